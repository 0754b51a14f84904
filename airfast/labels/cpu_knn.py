"""Exact nearest neighbours of unit rows among themselves on the CPU.

The search is symmetric: a tile of X·Xᵀ, computed once in float32, serves its rows and its columns, which halves the
products. Tiles are played like a tournament: in each round every block of rows meets one other block, so threads never
share a row, and a tile is read while it is still in the cache of the core that computed it.

Exactness: a float32 inner product of unit rows of length D is off by at most D·2⁻²⁴ in any order of summation. A row
keeps every candidate within twice that of its k-th best; these are compared again in float64, on a fixed-point grid,
ties by index. A row whose candidates do not fit its buffer (many ties) is searched again in full.
"""

from collections.abc import Iterator

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airfast.labels.backend import SIMILARITY_BITS, error_bound

ONE = float(1 << SIMILARITY_BITS)
LOW = 0x7FFFFFFF
TILE = 512  # rows and columns of a tile: 1 MB of float32, the size of a core's own cache
STEP = 64  # entries compared at once: a few vector registers
ROOM = 32  # a buffer with less free room than this after compaction is given up

Int = NDArray[np.int32]
Long = NDArray[np.int64]
Float = NDArray[np.float32]


def exact_knn(unit: Float, k: int) -> tuple[Int, Int]:
    """The k ≤ N nearest rows of (N, D) float32 unit rows by inner product, nearest first, ties by index.

    Returns index and similarity, both (N, k) int32, the similarity times 2**30. The row itself is always first.
    """
    n, d = unit.shape
    bound = error_bound(d)
    capacity = max(4 * k, 64) + ROOM
    floor = np.full(n, -np.inf, np.float32)
    count = np.zeros(n, np.int32)
    kept = np.empty((n, capacity), np.float32)
    ids = np.empty((n, capacity), np.int32)
    with threadpool_limits(1, user_api="blas"):  # the threads are in the tournament, each with its own products
        for left, right in tournament(-(-n // TILE)):
            play(unit, left, right, max(k - 1, 1), np.float32(2 * bound), floor, count, kept, ids)
    index, similarity = settle(unit, max(k - 1, 1), np.float32(2 * bound), floor, count, kept, ids, k)
    search_again(unit, np.flatnonzero(count < 0), floor, index, similarity)
    return index, similarity


def tournament(blocks: int) -> Iterator[tuple[Long, Long]]:
    """Rounds of pairs (left ≤ right) in which no block occurs twice; first each with itself (circle method)."""
    yield np.arange(blocks), np.arange(blocks)
    ring = list(range(blocks + blocks % 2))  # an odd one out pauses against the block that does not exist
    half = len(ring) // 2
    for _ in range(len(ring) - 1):
        pairs = [sorted(pair) for pair in zip(ring[:half], ring[: -half - 1 : -1], strict=True) if max(pair) < blocks]
        if pairs:
            table = np.array(pairs)
            yield table[:, 0].copy(), table[:, 1].copy()
        ring = [ring[0], ring[-1], *ring[1:-1]]


def search_again(unit: Float, rows: Long, floor: Float, index: Int, similarity: Int) -> None:
    """Redo rows in place: whatever float32 similarity reaches the row's floor is compared in float64."""
    block = max(1, (1 << 24) // len(unit))  # 64 MB of float32 similarities at a time
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        near = unit[part] @ unit.T
        index[part], similarity[part] = search_rows(unit, part, near, floor[part], index.shape[1])


@njit(inline="always")
def fixed_dot(a, b):  # type: ignore[no-untyped-def]
    """Inner product in float64, rounded to the fixed-point grid: near-ties of float32 become ties or get resolved."""
    total = 0.0
    for c in range(a.shape[0]):
        total += np.float64(a[c]) * np.float64(b[c])
    return np.int64(np.floor(total * ONE + 0.5))


@njit(inline="always")
def write_best(i, keys, index, similarity):  # type: ignore[no-untyped-def]
    """The answer for row i: itself, then the largest keys; a key is similarity above, negated index below."""
    best = np.sort(keys)
    index[0] = i
    similarity[0] = 1 << SIMILARITY_BITS
    for a in range(1, index.shape[0]):
        key = best[keys.shape[0] - a]
        index[a] = LOW - (key & 0xFFFFFFFF)
        similarity[a] = key >> 32


@njit
def kth_largest(values, k):  # type: ignore[no-untyped-def]
    """The k-th largest value (k ≥ 1); reorders the values (Hoare's selection)."""
    lo, hi, target = 0, values.shape[0] - 1, k - 1
    while lo < hi:
        pivot = values[(lo + hi) // 2]
        a, b = lo, hi
        while a <= b:
            while values[a] > pivot:
                a += 1
            while values[b] < pivot:
                b -= 1
            if a <= b:
                values[a], values[b] = values[b], values[a]
                a += 1
                b -= 1
        if target <= b:
            hi = b
        elif target >= a:
            lo = a
        else:
            break
    return values[target]


@njit
def compact(i, k, slack, scratch, floor, count, kept, ids):  # type: ignore[no-untyped-def]
    """Raise the floor of row i to its k-th best so far less the slack, and drop what is below."""
    full = count[i]
    scratch[:full] = kept[i, :full]
    least = kth_largest(scratch[:full], k) - slack
    m = 0
    for a in range(full):
        if kept[i, a] >= least:
            kept[i, m] = kept[i, a]
            ids[i, m] = ids[i, a]
            m += 1
    floor[i] = least
    count[i] = m if m <= kept.shape[1] - ROOM else -1


@njit(inline="always")
def offer(i, j, value, k, slack, scratch, floor, count, kept, ids):  # type: ignore[no-untyped-def]
    """Take j as a candidate of row i, unless the row was given up."""
    m = count[i]
    if m >= 0:
        kept[i, m] = value
        ids[i, m] = j
        count[i] = m + 1
        if m + 1 == kept.shape[1]:
            compact(i, k, slack, scratch, floor, count, kept, ids)


@njit(parallel=True, cache=True)
def play(unit, left, right, k, slack, floor, count, kept, ids):  # type: ignore[no-untyped-def]
    """One round: the tile of each pair of blocks, offered to its rows and, off the diagonal, to its columns."""
    n = unit.shape[0]
    for p in prange(left.shape[0]):
        r0, c0 = left[p] * TILE, right[p] * TILE
        r1, c1 = min(n, r0 + TILE), min(n, c0 + TILE)
        tile = np.empty((r1 - r0, c1 - c0), np.float32)
        np.dot(unit[r0:r1], unit[c0:c1].T, tile)
        scratch = np.empty(kept.shape[1], np.float32)
        column_floor = floor[c0:c1]
        row = np.empty(c1 - c0, np.float32)
        for r in range(r1 - r0):
            i = r0 + r
            if r0 == c0 and c1 - c0 > k:  # the first tile of these rows: a floor at once saves most of the offers
                row[:] = tile[r]
                row[r] = -np.inf
                floor[i] = kth_largest(row, k) - slack
            for start in range(0, c1 - c0, STEP):
                part = tile[r, start : start + STEP]
                bar = column_floor[start : start + STEP]
                least = floor[i]
                for_row, for_column = 0, 0
                for c in range(part.shape[0]):
                    for_row += part[c] >= least
                    for_column += part[c] >= bar[c]
                if for_row:
                    for c in range(part.shape[0]):
                        j = c0 + start + c
                        if part[c] >= floor[i] and j != i:
                            offer(i, j, part[c], k, slack, scratch, floor, count, kept, ids)
                if for_column and r0 != c0:
                    for c in range(part.shape[0]):
                        if part[c] >= bar[c]:
                            offer(c0 + start + c, i, part[c], k, slack, scratch, floor, count, kept, ids)


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def settle(unit, wanted, slack, floor, count, kept, ids, k):  # type: ignore[no-untyped-def]
    """The best k of each row's candidates by exact similarity, ties by index; rows given up are left open."""
    n = unit.shape[0]
    index = np.empty((n, k), np.int32)
    similarity = np.empty((n, k), np.int32)
    for i in prange(n):
        if count[i] > wanted:
            compact(i, wanted, slack, np.empty(count[i], np.float32), floor, count, kept, ids)
        keys = np.empty(max(count[i], 0), np.int64)
        for a in range(count[i]):
            j = ids[i, a]
            keys[a] = (fixed_dot(unit[i], unit[j]) << 32) | (LOW - j)
        if count[i] >= 0:
            write_best(i, keys, index[i], similarity[i])
    return index, similarity


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def search_rows(unit, rows, near, floor, k):  # type: ignore[no-untyped-def]
    """As `settle`, for some rows, over every column whose float32 similarity reaches the row's floor."""
    n = unit.shape[0]
    index = np.empty((rows.shape[0], k), np.int32)
    similarity = np.empty((rows.shape[0], k), np.int32)
    for r in prange(rows.shape[0]):
        i = rows[r]
        keys = np.empty(n, np.int64)
        count = 0
        for j in range(n):
            if j != i and near[r, j] >= floor[r]:
                keys[count] = (fixed_dot(unit[i], unit[j]) << 32) | (LOW - j)
                count += 1
        write_best(i, keys[:count], index[r], similarity[r])
    return index, similarity
