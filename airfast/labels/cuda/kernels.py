"""The kernels of the CUDA backend, in Triton; with TRITON_INTERPRET=1 the same lines run on the CPU.

Everything that is added up is an integer, so atomics may come in any order and the answer is the same bits.
`launch` runs them.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from typing import Any

import triton
import triton.language as tl

from airfast.labels.seam import SIMILARITY_BITS

NOBODY = tl.constexpr(0x7FFFFFFF)  # above every index
BITS = tl.constexpr(SIMILARITY_BITS)
HALF = tl.constexpr(1 << (SIMILARITY_BITS - 1))


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a kernel on a grid of programs, on the current device.

    Products and sums stay apart: no bit depends on it (what is added up is exact), but Triton warns at each compilation
    that does not say so.
    """
    kernel[grid](*arguments, **constants, enable_fp_fusion=False)


@triton.jit(do_not_specialize=["pairs"])
def fixed_dots(unit, left, right, out, pairs, d, one, PAIRS: tl.constexpr, COLUMNS: tl.constexpr):
    """Inner products of pairs of rows on the fixed-point grid, exact; twin of cpu/select.fixed_dot. one: 2**bits."""
    pair = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    there = pair < pairs
    a = tl.load(left + pair, mask=there, other=0).to(tl.int64)
    b = tl.load(right + pair, mask=there, other=0).to(tl.int64)
    total = tl.zeros((PAIRS,), tl.int64)
    for start in range(0, d, COLUMNS):
        column = start + tl.arange(0, COLUMNS)
        inside = there[:, None] & (column < d)[None, :]
        x = fixed(tl.load(unit + a[:, None] * d + column[None, :], mask=inside, other=0.0) * one)
        y = fixed(tl.load(unit + b[:, None] * d + column[None, :], mask=inside, other=0.0) * one)
        total += tl.sum(x.to(tl.int64) * y.to(tl.int64), 1)
    tl.store(out + pair, ((total + HALF) >> BITS).to(tl.int32), mask=there)


@triton.jit
def fixed(x):
    """float32 to the nearest int32, ties to even: both differences are exact."""
    low = tl.floor(x)
    down, rest = low.to(tl.int32), x - low
    return down + ((rest > 0.5) | ((rest == 0.5) & ((down & 1) == 1))).to(tl.int32)


@triton.jit(do_not_specialize=["wanted", "n", "top", "begin"])
def emit(
    left,
    right,
    ids,
    shift,
    floor,
    count,
    near,
    found,
    wanted,
    n,
    d,
    capacity,
    top,
    begin,
    BOTH: tl.constexpr,
    TILE: tl.constexpr,
    DEPTH: tl.constexpr,
    PANEL: tl.constexpr,
):
    """A tile of products of float16 rows, never written: what reaches the threshold of its row becomes a candidate.

    left (wanted, d) and right (n, d) have whole tiles of rows, and d is a multiple of DEPTH. BOTH: left and right are
    the same rows, and a tile above the diagonal serves its columns as well.
    """
    tile = top + tl.program_id(0) % PANEL
    across = begin + tl.program_id(0) // PANEL
    needed = tile * TILE < wanted
    if BOTH:
        needed &= across >= tile
    i = tile * TILE + tl.arange(0, TILE)
    j = across * TILE + tl.arange(0, TILE)
    depth = tl.arange(0, DEPTH)
    a = left + i.to(tl.int64)[:, None] * d + depth[None, :]
    b = right + j.to(tl.int64)[None, :] * d + depth[:, None]
    total = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, tl.where(needed, d, 0), DEPTH):  # a loop of none, since no layout survives an early return
        total = tl.dot(tl.load(a + start), tl.load(b + start), total)
    # Nothing reaches infinity, and no comparison with nan holds: rows and columns that are not there drop out.
    bar = tl.where(needed, tl.load(floor + i, mask=i < wanted, other=float("inf")), float("inf"))
    more = tl.load(shift + j, mask=j < n, other=float("nan"))
    keep(total, i, tl.load(ids + i, mask=i < wanted, other=0), bar, j, more, shift, count, near, found, capacity, 1)
    if BOTH:
        bar = tl.where(across > tile, tl.load(floor + j, mask=j < n, other=float("inf")), float("inf"))
        more = tl.load(shift + i, mask=i < n, other=float("nan"))
        keep(total, j, j, bar, i, more, shift, count, near, found, capacity, 0)


@triton.jit
def keep(total, owner, itself, bar, other, more, shift, count, near, found, capacity, AXIS: tl.constexpr):
    """Append to the candidates of each owner the others whose product and `more` reach its bar, one a round.

    total: (TILE, TILE) products; AXIS: where the others lie. `count` goes on where the buffer is full. Few tiles have
    any candidate; scatters of a whole tile from the layout of a product spill or do not compile.
    """
    column = tl.expand_dims(other, 1 - AXIS)
    reached = (total + tl.expand_dims(more, 1 - AXIS) >= tl.expand_dims(bar, AXIS)) & (
        column != tl.expand_dims(itself, AXIS)
    )
    first = tl.min(tl.where(reached, column, NOBODY), AXIS)
    while tl.min(first, 0) < NOBODY:
        here = column == tl.expand_dims(first, AXIS)
        value = tl.sum(tl.where(here, total, 0.0), AXIS) + tl.load(shift + first, mask=first < NOBODY, other=0.0)
        at = tl.atomic_add(count + owner, 1, mask=first < NOBODY, sem="relaxed")
        fits = (first < NOBODY) & (at < capacity)
        place = owner.to(tl.int64) * capacity + at
        tl.store(near + place, value, mask=fits)
        tl.store(found + place, first, mask=fits)
        first = tl.min(tl.where(reached & (column > tl.expand_dims(first, AXIS)), column, NOBODY), AXIS)


@triton.jit(do_not_specialize=["n"])
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


@triton.jit(do_not_specialize=["first", "last", "n"])
def expand(
    index, flags, marks, out, first, last, stride, n, k1, half, ROWS: tl.constexpr, K: tl.constexpr, H: tl.constexpr
):
    """Some rows: their reciprocal sets, then the half sets that overlap them enough; -1 where there is nothing new.

    marks: (rows, n) int32 zeros; who finds a member first marks it, and the caller wipes the marks away.
    """
    local = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    i = first + local
    row = out + local * (k1 + k1 * half)
    mark = marks + local * n
    here = i < last
    a = tl.arange(0, K)
    h = tl.arange(0, H)
    some = here[:, None] & (a < k1)[None, :]
    own = tl.load(flags + i[:, None] * k1 + a[None, :], mask=some, other=0) & 1
    neighbour = tl.load(index + i[:, None] * stride + a[None, :], mask=some, other=-1)
    member = tl.where(own > 0, neighbour, -1)
    met = tl.atomic_xchg(mark[:, None] + member, 1, mask=some & (member >= 0), sem="relaxed")
    tl.store(row[:, None] + a[None, :], tl.where(met > 0, -1, member), mask=some)
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
        known = tl.atomic_xchg(mark[:, None] + other, 1, mask=taken, sem="relaxed")
        fresh = taken & (known == 0)
        tl.store(row[:, None] + k1 + b * half + h[None, :], tl.where(fresh, other, -1), mask=inside)


@triton.jit(do_not_specialize=["first", "n", "least"])
def query_expand(
    index,
    indptr,
    columns,
    weights,
    total,
    cursor,
    column_out,
    weight_out,
    first,
    stride,
    n,
    least,
    TAKE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row and one of its first k2 neighbours: add the neighbour's row of V to the row's totals, or take them."""
    row = tl.program_id(0).to(tl.int64)
    q = tl.load(index + (first + row) * stride + tl.program_id(1)).to(tl.int64)
    end = tl.load(indptr + q + 1)
    for start in range(tl.load(indptr + q), end, BLOCK):
        entry = start + tl.arange(0, BLOCK)
        inside = entry < end
        column = tl.load(columns + entry, mask=inside, other=0)
        owner = row + column * 0
        cell = total + row * n + column
        if TAKE:
            take(cell, owner, column, inside, least, cursor, column_out, weight_out)
        else:
            weight = tl.load(weights + entry, mask=inside, other=0)
            reached = add(cell, weight, inside, least)
            tl.atomic_add(cursor + row, tl.sum(reached.to(tl.int64), 0), sem="relaxed")


@triton.jit(do_not_specialize=["entries", "end_entry", "first", "n", "least"])
def join(
    owner,
    columns,
    weights,
    slot,
    start,
    rows,
    row_weights,
    total,
    cursor,
    column_out,
    weight_out,
    entries,
    end_entry,
    first,
    n,
    least,
    TAKE: tl.constexpr,
    LISTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Some entries of V: min(V_i, V_j) for every later row j in the column's list to the totals of i, or take them."""
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
        cell = total + row[:, None] * n + other
        if TAKE:
            take(cell, row[:, None] + other * 0, other, inside, least, cursor, column_out, weight_out)
        else:
            shared = tl.minimum(weight[:, None], tl.load(row_weights + item, mask=inside, other=0))
            reached = add(cell, shared, inside, least)
            tl.atomic_add(cursor + row, tl.sum(reached.to(tl.int64), 1), mask=there, sem="relaxed")


@triton.jit
def add(cell, weight, inside, least):
    """Add to totals; which of them this addition brings to `least`: each at most once, as nothing is ever taken off."""
    before = tl.atomic_add(cell, weight, mask=inside, sem="relaxed")
    return inside & (before < least) & (before + weight >= least)


@triton.jit
def take(cell, row, column, inside, least, cursor, column_out, weight_out):
    """Leave zeros where totals were; what was at least `least` goes where the row's cursor stands."""
    total = tl.atomic_xchg(cell, 0, mask=inside, sem="relaxed")
    taken = inside & (total >= least)
    at = tl.atomic_add(cursor + row, 1, mask=taken, sem="relaxed")
    tl.store(column_out + at, column, mask=taken)
    tl.store(weight_out + at, total, mask=taken)
