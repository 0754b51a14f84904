"""The label stage as others do it, to be measured beside ours: dense NumPy, and scipy-CSR + Numba.

Written here from METHOD section 3. Both use FAISS for the neighbours and scikit-learn's DBSCAN, as is customary.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit, prange, set_num_threads
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

Float = NDArray[np.float32]
Timed = tuple[NDArray[np.int64], dict[str, float]]


def faiss_neighbours(unit: Float, k1: int) -> NDArray[np.int64]:
    """FAISS's exact search alone, (N, k1): the yardstick of the whole stage."""
    import faiss

    return np.asarray(faiss.knn(unit, unit, k1, metric=faiss.METRIC_INNER_PRODUCT)[1])


def one_thread() -> None:
    """Have FAISS and the loops here use one thread from now on."""
    import faiss

    faiss.omp_set_num_threads(1)
    set_num_threads(1)


def dense(
    unit: Float,
    k1: int,
    k2: int,
    eps: float,
    min_samples: int,
    neighbours: Callable[[Float, int], NDArray[np.int64]] = faiss_neighbours,
) -> Timed:
    """The field's way: N×N arrays of V and of distances, a Python loop over the rows. Labels and seconds by step."""
    steps = _Steps()
    rank = steps.run("knn", lambda: neighbours(unit, k1))
    v = steps.run("encode", lambda: dense_encoding(unit, rank, k1, k2))
    distance = steps.run("edges", lambda: dense_jaccard(v))
    scan = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed")
    return steps.run("cluster", lambda: scan.fit_predict(distance)), steps.seconds


def sparse(unit: Float, k1: int, k2: int, eps: float, min_samples: int) -> Timed:
    """The better way: reciprocal sets in Numba, V as scipy CSR, a product for the expansion, a Numba join."""
    steps = _Steps()
    rank = steps.run("knn", lambda: faiss_neighbours(unit, k1))
    v = steps.run("encode", lambda: _sparse_encoding(unit, rank, k1, k2))
    graph = steps.run("edges", lambda: _sparse_jaccard(v, eps))
    scan = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed")
    return steps.run("cluster", lambda: scan.fit_predict(graph)), steps.seconds


class _Steps:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        self.seconds[step] = time.perf_counter() - started
        return result


def dense_encoding(unit: Float, rank: NDArray[np.int64], k1: int, k2: int) -> Float:
    """V after local query expansion, N×N, from a ranking (N, ≥ k1) that begins with the row itself."""
    n = len(unit)

    def reciprocal(i: int, k: int) -> NDArray[np.int64]:
        forward = rank[i, :k]
        mutual: NDArray[np.bool_] = (rank[forward, :k] == i).any(1)
        return forward[mutual]

    full = [reciprocal(i, k1) for i in range(n)]
    half = [reciprocal(i, round(k1 / 2) + 1) for i in range(n)]
    v = np.zeros((n, n), np.float32)
    for i in range(n):
        expanded = [full[i]]
        for q in full[i]:
            if len(np.intersect1d(half[q], full[i], assume_unique=True)) > 2 / 3 * len(half[q]):
                expanded.append(half[q])
        members = np.unique(np.concatenate(expanded))
        weights = np.exp(2 * (unit[members] @ unit[i] - 1))
        v[i, members] = weights / weights.sum()
    expanded_query = np.empty_like(v)
    for i in range(n):
        expanded_query[i] = v[rank[i, :k2]].mean(0)
    return expanded_query


def dense_jaccard(v: Float) -> Float:
    """N×N Jaccard distances of rows of V by inverted lists, as the field has them."""
    n = len(v)
    lists = [np.flatnonzero(v[:, c]) for c in range(n)]
    distance = np.empty((n, n), np.float32)
    for i in range(n):
        overlap = np.zeros(n, np.float32)
        for c in np.flatnonzero(v[i]):
            overlap[lists[c]] += np.minimum(v[i, c], v[lists[c], c])
        distance[i] = 1 - overlap / (2 - overlap)
    return np.maximum(distance, 0, out=distance)


def _sparse_encoding(unit: Float, rank: NDArray[np.int64], k1: int, k2: int) -> sp.csr_matrix:
    n = len(unit)
    width = k1 * (round(k1 / 2) + 2)
    columns = np.empty((n, width), np.int32)
    weights = np.empty((n, width), np.float32)
    counts = _encode_rows(unit, rank, k1, round(k1 / 2) + 1, columns, weights)
    used = np.arange(width) < counts[:, None]
    indptr = np.concatenate(([0], np.cumsum(counts)))
    v = sp.csr_matrix((weights[used], columns[used], indptr), shape=(n, n))
    mean = sp.csr_matrix(
        (np.full(n * k2, 1 / k2, np.float32), rank[:, :k2].ravel(), np.arange(0, n * k2 + 1, k2)), shape=(n, n)
    )
    return mean @ v


@njit(parallel=True, cache=True)
def _encode_rows(unit, rank, k1, half, columns, weights):  # type: ignore[no-untyped-def]
    n = rank.shape[0]
    full = np.zeros((n, k1), np.bool_)
    close = np.zeros((n, half), np.bool_)
    for i in prange(n):
        for a in range(k1):
            full[i, a] = np.any(rank[rank[i, a], :k1] == i)
        for a in range(half):
            close[i, a] = np.any(rank[rank[i, a], :half] == i)
    counts = np.zeros(n, np.int64)
    for i in prange(n):
        own = set(rank[i, :k1][full[i]])
        expanded = set(rank[i, :k1][full[i]])
        for q in own:
            other = rank[q, :half][close[q]]
            common = 0
            for j in other:
                common += j in own
            if common > 2 / 3 * len(other):
                for j in other:
                    expanded.add(j)
        total = np.float32(0)
        for m, j in enumerate(expanded):
            columns[i, m] = j
            weights[i, m] = np.exp(2 * (np.dot(unit[i], unit[j]) - 1))
            total += weights[i, m]
        counts[i] = len(expanded)
        weights[i, : counts[i]] /= total
    return counts


def _sparse_jaccard(v: sp.csr_matrix, eps: float) -> sp.csr_matrix:
    n = v.shape[0]
    by_column = v.tocsc()
    arrays = (v.indptr, v.indices, v.data, by_column.indptr, by_column.indices, by_column.data)
    counts = _join_rows(*arrays, eps, np.zeros(n + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    indptr = np.cumsum(counts)
    columns, distance = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _join_rows(*arrays, eps, indptr, columns, distance)
    return sp.csr_matrix((distance, columns, indptr), shape=(n, n))


@njit(parallel=True, cache=True)
def _join_rows(indptr, indices, data, c_indptr, c_indices, c_data, eps, out, columns, distance):  # type: ignore[no-untyped-def]
    n = indptr.shape[0] - 1
    counts = np.zeros(n + 1, np.int64)
    for chunk in prange(64):
        overlap = np.zeros(n, np.float32)
        for i in range(chunk * n // 64, (chunk + 1) * n // 64):
            overlap[:] = 0
            for e in range(indptr[i], indptr[i + 1]):
                c = indices[e]
                for f in range(c_indptr[c], c_indptr[c + 1]):
                    overlap[c_indices[f]] += min(data[e], c_data[f])
            at = 0
            for j in range(n):
                d = 1 - overlap[j] / (2 - overlap[j])
                if d <= eps:
                    if columns.shape[0]:
                        columns[out[i] + at] = j
                        distance[out[i] + at] = max(d, np.float32(0))
                    at += 1
            counts[i + 1] = at
    return counts
