"""The kernels of the CUDA backend, in Triton; with TRITON_INTERPRET=1 the same lines run on the CPU.

Everything that is added up is an integer, so atomics may come in any order and the answer is the same bits.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"

import triton
import triton.language as tl


@triton.jit
def fixed_dots(unit, left, right, out, pairs, d, one, PAIRS: tl.constexpr, COLUMNS: tl.constexpr):
    """Inner products of pairs of rows in float64, on the fixed-point grid; twin of cpu_knn.fixed_dot."""
    pair = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    there = pair < pairs
    a = tl.load(left + pair, mask=there, other=0).to(tl.int64)
    b = tl.load(right + pair, mask=there, other=0).to(tl.int64)
    total = tl.zeros((PAIRS,), tl.float64)
    for start in range(0, d, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = there[:, None] & (column < d)[None, :]
        x = tl.load(unit + a[:, None] * d + column[None, :], mask=inside, other=0.0).to(tl.float64)
        y = tl.load(unit + b[:, None] * d + column[None, :], mask=inside, other=0.0).to(tl.float64)
        total += tl.sum(x * y, 1)
    tl.store(out + pair, tl.floor(total * one + 0.5).to(tl.int32), mask=there)


@triton.jit
def reciprocal(index, flags, n, stride, k1, half, ROWS: tl.constexpr, K: tl.constexpr):
    """Some rows: bit 0 where the neighbour has the row among its k1, bit 1 where both are in each other's half set."""
    i = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    a = tl.arange(0, K)[None, :]
    there = (i < n) & (a < k1)
    neighbour = tl.load(index + i * stride + a, mask=there, other=0).to(tl.int64)
    full = tl.zeros((ROWS, K), tl.int32)
    close = tl.zeros((ROWS, K), tl.int32)
    for b in range(k1):
        mutual = (tl.load(index + neighbour * stride + b, mask=there, other=-1) == i).to(tl.int32)
        full = full | mutual
        close = close | (mutual * (b < half))
    tl.store(flags + i * k1 + a, full | (close * (a < half) * 2), mask=there)


@triton.jit
def expand(index, flags, out, first, last, stride, k1, half, ROWS: tl.constexpr, K: tl.constexpr, H: tl.constexpr):
    """Some rows: their reciprocal sets, then the half sets that overlap them enough; -1 where there is nothing."""
    local = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    i = first + local
    row = out + local * (k1 + k1 * half)
    here = i < last
    a = tl.arange(0, K)
    h = tl.arange(0, H)
    some = here[:, None] & (a < k1)[None, :]
    own = tl.load(flags + i[:, None] * k1 + a[None, :], mask=some, other=0) & 1
    neighbour = tl.load(index + i[:, None] * stride + a[None, :], mask=some, other=-1)
    member = tl.where(own > 0, neighbour, -1)
    tl.store(row[:, None] + a[None, :], member, mask=some)
    inside = here[:, None] & (h < half)[None, :]
    for b in range(k1):
        q = tl.load(index + i * stride + b, mask=here, other=0).to(tl.int64)
        mine = tl.load(flags + i * k1 + b, mask=here, other=0) & 1
        close = (tl.load(flags + q[:, None] * k1 + h[None, :], mask=inside, other=0) & 2) > 0
        other = tl.load(index + q[:, None] * stride + h[None, :], mask=inside, other=-1)
        shared = tl.sum((other[:, :, None] == member[:, None, :]).to(tl.int32), 2)  # a member occurs once: 0 or 1
        common = tl.sum(tl.where(close, shared, 0), 1)
        size = tl.sum(close.to(tl.int32), 1)
        taken = close & ((mine > 0) & (3 * common > 2 * size))[:, None]
        tl.store(row[:, None] + k1 + b * half + h[None, :], tl.where(taken, other, -1), mask=inside)


@triton.jit
def query_expand(index, indptr, columns, weights, total, first, stride, n, BLOCK: tl.constexpr):
    """One row and one of its first k2 neighbours: add the neighbour's row of V to the row's dense total."""
    row = tl.program_id(0).to(tl.int64)
    q = tl.load(index + (first + row) * stride + tl.program_id(1)).to(tl.int64)
    end = tl.load(indptr + q + 1)
    for start in range(tl.load(indptr + q), end, BLOCK):
        entry = start + tl.arange(0, BLOCK)
        column = tl.load(columns + entry, mask=entry < end, other=0)
        weight = tl.load(weights + entry, mask=entry < end, other=0)
        tl.atomic_add(total + row * n + column, weight, mask=entry < end)


@triton.jit
def join(
    owner,
    columns,
    weights,
    slot,
    start,
    rows,
    row_weights,
    total,
    entries,
    end_entry,
    first,
    n,
    LISTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Some entries of V: add min(V_i, V_j) to the dense total of row i for every later row j in the column's list."""
    entry = entries + tl.program_id(0).to(tl.int64) * LISTS + tl.arange(0, LISTS)
    there = entry < end_entry
    row = tl.load(owner + entry, mask=there, other=0).to(tl.int64) - first
    weight = tl.load(weights + entry, mask=there, other=0)
    column = tl.load(columns + entry, mask=there, other=0)
    end = tl.load(start + column + 1, mask=there, other=0)
    at = tl.load(slot + entry, mask=there, other=0) + 1
    longest = tl.max(tl.where(there, end - at, 0), 0)
    for shift in range(0, longest, BLOCK):
        item = at[:, None] + shift + tl.arange(0, BLOCK)[None, :]
        inside = there[:, None] & (item < end[:, None])
        other = tl.load(rows + item, mask=inside, other=0)
        shared = tl.minimum(weight[:, None], tl.load(row_weights + item, mask=inside, other=0))
        tl.atomic_add(total + row[:, None] * n + other, shared, mask=inside)
