"""DBSCAN over a stream of pairs within eps, by the parallel rule (METHOD 3.7), in memory that grows with N alone.

A point that has min_samples neighbours is core and stays so. Pairs between known core points are merged into a
union-find and forgotten; a pair with a point not yet core has to wait, but such a point has fewer than min_samples
pairs: at most N·min_samples of them ever wait.
"""

from collections.abc import Iterable

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int = NDArray[np.int32]


def cluster(pairs: Iterable[tuple[Int, Int]], n: int, min_samples: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Labels (N,) int64, -1 for noise, and core (N,) bool, from each pair within eps once, without self pairs.

    Equal to scikit-learn's DBSCAN on the precomputed distances, contested border points included.
    """
    degree, parent, waiting = gathered(pairs, n, min_samples)
    labels, core = number(*waiting, degree, min_samples, parent)
    return labels, core


def gathered(pairs: Iterable[tuple[Int, Int]], n: int, min_samples: int) -> tuple[Int, Int, tuple[Int, Int]]:
    """What pairs say: degrees (N,), the union-find's parents (N,) of those known to be core, the pairs that wait."""
    degree = np.ones(n, np.int32)  # a point is its own neighbour
    parent = np.arange(n, dtype=np.int32)
    waiting = (np.empty(0, np.int32), np.empty(0, np.int32))
    for row, col in pairs:
        count_degrees(row, col, degree)
        row, col = np.concatenate((waiting[0], row)), np.concatenate((waiting[1], col))
        kept = merge_core_pairs(row, col, degree, min_samples, parent)
        waiting = (row[:kept].copy(), col[:kept].copy())
    return degree, parent, waiting


@njit(cache=True)
def count_degrees(row, col, degree):  # type: ignore[no-untyped-def]
    """Add each pair to the degree of both its ends."""
    for e in range(row.shape[0]):
        degree[row[e]] += 1
        degree[col[e]] += 1


@njit(inline="always")
def find(parent, i):  # type: ignore[no-untyped-def]
    """Root of i, with path halving; a root is the smallest index of its set."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def merge_core_pairs(row, col, degree, min_samples, parent):  # type: ignore[no-untyped-def]
    """Merge pairs of core points; move the other pairs to the front of row and col and return how many they are."""
    kept = 0
    for e in range(row.shape[0]):
        i, j = row[e], col[e]
        if degree[i] >= min_samples and degree[j] >= min_samples:
            a, b = find(parent, i), find(parent, j)
            if a < b:
                parent[b] = a
            else:
                parent[a] = b
        else:
            row[kept] = i
            col[kept] = j
            kept += 1
    return kept


@njit(cache=True)
def number(row, col, degree, min_samples, parent):  # type: ignore[no-untyped-def]
    """Number the components by their smallest core index; a border point takes the smallest adjacent number."""
    n = degree.shape[0]
    core = degree >= min_samples
    labels = np.full(n, -1, np.int64)
    clusters = 0
    for i in range(n):
        if core[i]:
            root = find(parent, i)
            if root == i:
                labels[i] = clusters
                clusters += 1
            else:
                labels[i] = labels[root]
    for e in range(row.shape[0]):
        for i, j in ((row[e], col[e]), (col[e], row[e])):
            if core[i] and not core[j] and (labels[j] < 0 or labels[i] < labels[j]):
                labels[j] = labels[i]
    return labels, core
