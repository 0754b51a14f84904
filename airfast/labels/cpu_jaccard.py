"""k-reciprocal encoding and the sparse Jaccard join on the CPU, in Numba (METHOD 3.3–3.6).

Rows are split into a fixed number of chunks, each with its own scratch arrays; threads take whole chunks, and all sums
are of integers, so the result does not depend on how many threads there are.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from airfast.labels.backend import SIMILARITY_BITS, half_set, smallest_overlap
from airfast.labels.cpu_select import fixed_dot

Int = NDArray[np.int32]
Long = NDArray[np.int64]
ONE = float(1 << SIMILARITY_BITS)
CHUNKS = 64
BLOCK_MB = 512
PAIR_BYTES = 56  # of a pair in the buffers, their copy, and the distances computed from them


def encode(unit: NDArray[np.float32], index: Int, similarity: Int, k1: int, k2: int) -> tuple[Long, Int, Int, int]:
    """METHOD 3.3–3.5: indptr (N+1,), columns (nnz,), weights (nnz,) of V after query expansion, and its unit."""
    half = half_set(k1)
    # A row of V sums to `one` / k2 and a row after query expansion to `one`, which must stay below 2**31.
    scale = (1 << SIMILARITY_BITS) // k2
    flags = reciprocal(index, k1, half)
    expanded = _two_pass(expand, (unit, index, similarity, flags, k1, half, float(scale)), len(index))
    indptr, columns, weights = _two_pass(query_expand, (index, k2, *expanded), len(index))
    return indptr, columns, weights, scale * k2


def _two_pass(kernel: Callable[..., None], inputs: tuple[Any, ...], n: int) -> tuple[Long, Int, Int]:
    """Run a kernel that builds sparse rows twice: to count, then to fill."""
    indptr = np.zeros(n + 1, np.int64)
    nothing = np.empty(0, np.int32)
    kernel(*inputs, indptr, nothing, nothing)
    np.cumsum(indptr, out=indptr)
    columns = np.empty(indptr[-1], np.int32)
    weights = np.empty(indptr[-1], np.int32)
    kernel(*inputs, indptr, columns, weights)
    return indptr, columns, weights


def join(
    indptr: Long, columns: Int, weights: Int, one: int, eps: float, memory_mb: int
) -> Iterator[tuple[Int, Int, Int]]:
    """METHOD 3.6: blocks of (row, col, Σ min) with row < col and Jaccard distance ≤ eps."""
    n = len(indptr) - 1
    least = smallest_overlap(eps, one)
    slot, start, rows, row_weights = invert(indptr, columns, weights)
    # Pairs a chunk may hold: at least one row's worth. Beyond a few million in all, more room makes nothing faster.
    capacity = max(n, (min(memory_mb, BLOCK_MB) << 20) // (CHUNKS * PAIR_BYTES))
    bounds = np.linspace(0, n, CHUNKS + 1).astype(np.int64)
    at, end = bounds[:-1].copy(), bounds[1:]
    while (at < end).any():
        found, row, col, overlap = join_chunks(
            indptr, columns, weights, slot, start, rows, row_weights, at, end, least, capacity
        )
        taken = [slice(c * capacity, c * capacity + found[c]) for c in range(CHUNKS) if found[c]]
        if taken:
            yield tuple(np.concatenate([a[s] for s in taken]) for a in (row, col, overlap))  # type: ignore[misc]


@njit(parallel=True, cache=True)
def reciprocal(index, k1, half):  # type: ignore[no-untyped-def]
    """Bit 0: the neighbour has the row among its k1; bit 1: both are within each other's half set."""
    n = index.shape[0]
    flags = np.zeros((n, k1), np.uint8)
    for i in prange(n):
        for a in range(k1):
            j = index[i, a]
            for b in range(k1):
                if index[j, b] == i:
                    flags[i, a] = 3 if a < half and b < half else 1
                    break
    return flags


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def expand(unit, index, similarity, flags, k1, half, scale, indptr, columns, weights):  # type: ignore[no-untyped-def]
    """METHOD 3.3–3.4: the expanded reciprocal sets; counts into indptr[1:] when `columns` is empty, else fills."""
    n = index.shape[0]
    fill = columns.shape[0] > 0
    for chunk in prange(CHUNKS):
        seen = np.full(n, -1, np.int32)  # 2i: a member of R(i); 2i+1: added to it; less: of an earlier row
        members = np.empty(k1 * (half + 1), np.int32)
        close = np.empty(k1 * (half + 1), np.int64)
        for i in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            count = 0
            for a in range(k1):
                if flags[i, a] & 1:
                    members[count] = index[i, a]
                    close[count] = similarity[i, a]
                    seen[index[i, a]] = 2 * i
                    count += 1
            own = count
            for m in range(own):
                q = members[m]
                size = 0
                common = 0
                for b in range(half):
                    if flags[q, b] & 2:
                        size += 1
                        common += seen[index[q, b]] == 2 * i
                if 3 * common > 2 * size:
                    for b in range(half):
                        j = index[q, b]
                        if flags[q, b] & 2 and seen[j] < 2 * i:
                            seen[j] = 2 * i + 1
                            members[count] = j
                            count += 1
            if not fill:
                indptr[i + 1] = count
                continue
            total = 0.0
            soft = np.empty(count, np.float64)
            for m in range(count):
                if m >= own:
                    close[m] = fixed_dot(unit[i], unit[members[m]])
                soft[m] = np.exp(2.0 * (close[m] / ONE - 1.0))
                total += soft[m]
            for m in range(count):
                columns[indptr[i] + m] = members[m]
                weights[indptr[i] + m] = np.rint(soft[m] / total * scale)


@njit(parallel=True, cache=True)
def query_expand(index, k2, v_indptr, v_columns, v_weights, indptr, columns, weights):  # type: ignore[no-untyped-def]
    """METHOD 3.5 without the division: the sum of V over the first k2 neighbours; counts, then fills."""
    n = index.shape[0]
    fill = columns.shape[0] > 0
    for chunk in prange(CHUNKS):
        seen = np.full(n, -1, np.int32)
        place = np.empty(n, np.int64)
        for i in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            at = indptr[i]
            count = 0
            for a in range(k2):
                q = index[i, a]
                for e in range(v_indptr[q], v_indptr[q + 1]):
                    j = v_columns[e]
                    if seen[j] != i:
                        seen[j] = i
                        if fill:
                            place[j] = at + count
                            columns[at + count] = j
                            weights[at + count] = v_weights[e]
                        count += 1
                    elif fill:
                        weights[place[j]] += v_weights[e]
            if not fill:
                indptr[i + 1] = count


@njit(cache=True)
def invert(indptr, columns, weights):  # type: ignore[no-untyped-def]
    """Inverted lists: for each column its rows in ascending order, and where each entry of V went."""
    n = indptr.shape[0] - 1
    start = np.zeros(n + 2, np.int64)
    for e in range(columns.shape[0]):
        start[columns[e] + 2] += 1
    for c in range(n):
        start[c + 2] += start[c + 1]
    slot = np.empty(columns.shape[0], np.int64)
    rows = np.empty(columns.shape[0], np.int32)
    row_weights = np.empty(columns.shape[0], np.int32)
    for i in range(n):
        for e in range(indptr[i], indptr[i + 1]):
            at = start[columns[e] + 1]
            start[columns[e] + 1] = at + 1
            slot[e] = at
            rows[at] = i
            row_weights[at] = weights[e]
    return slot, start[: n + 1].copy(), rows, row_weights


@njit(parallel=True, cache=True)
def join_chunks(indptr, columns, weights, slot, start, rows, row_weights, at, end, least, capacity):  # type: ignore[no-untyped-def]
    """Σ min of each row with every later row that shares a column; each chunk stops before its output overflows.

    `at` is moved to the first row that was not finished. Returns the number of pairs a chunk found, and the pairs.
    """
    n = indptr.shape[0] - 1
    found = np.zeros(CHUNKS, np.int64)
    row = np.empty(CHUNKS * capacity, np.int32)
    col = np.empty(CHUNKS * capacity, np.int32)
    overlap = np.empty(CHUNKS * capacity, np.int32)
    for turn in prange(CHUNKS):
        # Early rows have the most later rows: a thread's run of turns takes chunks from both ends.
        chunk = CHUNKS - 1 - turn // 2 if turn % 2 else turn // 2
        if at[chunk] >= end[chunk]:
            continue
        total = np.zeros(n, np.int32)
        touched = np.empty(n + 1, np.int32)
        base = chunk * capacity
        i = at[chunk]
        while i < end[chunk] and found[chunk] + n - 1 - i <= capacity:
            count = 0
            for e in range(indptr[i], indptr[i + 1]):
                w = weights[e]
                for f in range(slot[e] + 1, start[columns[e] + 1]):
                    j = np.uint64(rows[f])
                    before = total[j]
                    touched[count] = j
                    count += before == 0  # without a branch: on weak features it would be mispredicted half the time
                    total[j] = before + min(w, row_weights[f])
            for t in range(count):
                j = np.uint64(touched[t])
                if total[j] >= least:
                    row[base + found[chunk]] = i
                    col[base + found[chunk]] = j
                    overlap[base + found[chunk]] = total[j]
                    found[chunk] += 1
                total[j] = 0
            i += 1
        at[chunk] = i
    return found, row, col, overlap
