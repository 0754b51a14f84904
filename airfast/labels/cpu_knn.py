"""Nearest neighbours on the CPU: candidates from FAISS in float32, the canonical answer from float64.

A float32 inner product of unit rows of length D is off by at most D·2⁻²⁴ in any order of summation. So a row whose
last candidate is further than that below its k-th exact similarity is certainly right; any other row is searched again.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from airfast.labels.backend import SIMILARITY_BITS

ONE = float(1 << SIMILARITY_BITS)
LOW = 0x7FFFFFFF

Int = NDArray[np.int32]
Float = NDArray[np.float32]


def exact_knn(unit: Float, k: int) -> tuple[Int, Int]:
    """The k nearest rows by inner product, (N, k) int32 indices and (N, k) int32 fixed-point similarities."""
    import faiss

    n, d = unit.shape
    bound = 1.01 * d * 2.0**-24 + 1.0 / ONE
    fetch = min(n, k + max(k // 2, 8))
    near, candidates = faiss.knn(unit, unit, fetch, metric=faiss.METRIC_INNER_PRODUCT)
    index, similarity = canonical(unit, candidates.astype(np.int32), k)
    if fetch < n:
        doubtful = np.flatnonzero(similarity[:, -1] / ONE <= near[:, -1] + bound)
        _search_again(unit, doubtful, index, similarity, bound)
    return index, similarity


def _search_again(unit: Float, rows: NDArray[np.int64], index: Int, similarity: Int, bound: float) -> None:
    """Redo rows in place: whatever float32 cannot rule out is compared in float64."""
    k = index.shape[1]
    block = max(1, (1 << 24) // len(unit))  # 64 MB of float32 similarities at a time
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        floor = (similarity[part, -1] / ONE - bound).astype(np.float32)
        search_rows(unit, part, unit[part] @ unit.T, floor, k, index, similarity)


@njit(inline="always")
def fixed_dot(a, b):  # type: ignore[no-untyped-def]
    """Inner product in float64, rounded to the fixed-point grid: near-ties of float32 become ties or get resolved."""
    total = 0.0
    for c in range(a.shape[0]):
        total += np.float64(a[c]) * np.float64(b[c])
    return np.int64(np.rint(total * ONE))


@njit(inline="always")
def write_best(i, keys, count, k, index, similarity):  # type: ignore[no-untyped-def]
    """Row i of the answer: itself, then the largest keys; a key is similarity above, negated index below."""
    best = np.sort(keys[:count])
    index[i, 0] = i
    similarity[i, 0] = 1 << SIMILARITY_BITS
    for a in range(1, k):
        key = best[count - a]
        index[i, a] = LOW - (key & 0xFFFFFFFF)
        similarity[i, a] = key >> 32


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def canonical(unit, candidates, k):  # type: ignore[no-untyped-def]
    """The best k of each row's candidates by exact similarity, ties by index, the row itself first."""
    n, fetch = candidates.shape
    index = np.empty((n, k), np.int32)
    similarity = np.empty((n, k), np.int32)
    for i in prange(n):
        keys = np.empty(fetch, np.int64)
        count = 0
        for a in range(fetch):
            j = candidates[i, a]
            if j != i:
                keys[count] = (fixed_dot(unit[i], unit[j]) << 32) | (LOW - j)
                count += 1
        write_best(i, keys, count, k, index, similarity)
    return index, similarity


@njit(parallel=True, cache=True, fastmath={"reassoc", "contract"})
def search_rows(unit, rows, near, floor, k, index, similarity):  # type: ignore[no-untyped-def]
    """As `canonical`, for some rows, over every column whose float32 similarity reaches the row's floor."""
    n = unit.shape[0]
    for r in prange(rows.shape[0]):
        i = rows[r]
        keys = np.empty(n, np.int64)
        count = 0
        for j in range(n):
            if j != i and near[r, j] >= floor[r]:
                keys[count] = (fixed_dot(unit[i], unit[j]) << 32) | (LOW - j)
                count += 1
        write_best(i, keys, count, k, index, similarity)
