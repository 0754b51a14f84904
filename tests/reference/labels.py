"""The label stage as the equations say it: dense arrays, plain loops, float64. Slow, and right by inspection.

Written from METHOD section 3 and Eq. 1; shares no code with the package.
"""

import math

import numpy as np

SLACK = 1e-7  # distances equal up to rounding are equal: the slack that the package documents


def unit(x):
    x = np.asarray(x, np.float64)
    # The package takes unit rows in float32: the reference starts from the same numbers.
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)


def products(x):
    """(N, N) int64 inner products in steps of 2⁻³⁰, of unit rows in such steps: exact, half a step upwards."""
    rows = np.rint(unit(x) * 2**30).astype(np.int64)
    return (rows @ rows.T + 2**29) >> 30


def ranking(x):
    """(N, N): all rows from near to far, ties by index, the row itself first by identity."""
    key = products(x)
    np.fill_diagonal(key, 2**40)
    return np.argsort(-key, axis=1, kind="stable")


def reciprocal(rank, i, k):
    return [j for j in rank[i, :k] if i in rank[j, :k]]


def jaccard_distance(x, k1, k2):
    """(N, N) Jaccard distances after k-reciprocal encoding and local query expansion."""
    s, rank = products(x) / 2**30, ranking(x)
    n = len(s)
    k1 = min(k1, n)
    half = min(round(k1 / 2) + 1, k1)
    v = np.zeros((n, n))
    full = [reciprocal(rank, i, k1) for i in range(n)]
    halves = [reciprocal(rank, i, half) for i in range(n)]
    for i in range(n):
        expanded = set(full[i])
        for q in full[i]:
            if len(set(halves[q]) & set(full[i])) > 2 / 3 * len(halves[q]):
                expanded |= set(halves[q])
        members = sorted(expanded)
        weights = np.exp(-(2 - 2 * s[i, members]))
        v[i, members] = weights / weights.sum()
    v = np.stack([v[rank[i, : min(k2, k1)]].mean(0) for i in range(n)])
    m = np.stack([np.minimum(v[i], v).sum(1) for i in range(n)])
    return 1 - m / (2 - m)


def grouped_distance(x, groups, k1, k2):
    """(N, N) CA-Jaccard distances: lists within and across groups, their union, the heads of both averaged.

    Written from Chen et al. 2024, Section 3; k counts the row itself, and a list ends where its group does.
    """
    s, rank = products(x) / 2**30, ranking(x)
    n = len(s)
    lists = [[[j for j in rank[i] if (groups[j] == groups[i]) == same] for i in range(n)] for same in (True, False)]
    v = np.zeros((n, n))
    for i in range(n):
        members = [j for kind, k in zip(lists, k1, strict=True) for j in kind[i][:k] if i in kind[j][:k]]
        weights = np.exp(-(2 - 2 * s[i, members]))
        v[i, members] = weights / weights.sum()
    k2 = [min(pair) for pair in zip(k1, k2, strict=True)]
    heads = [lists[0][i][: k2[0]] + lists[1][i][: k2[1]] for i in range(n)]
    v = np.stack([v[each].mean(0) for each in heads])
    m = np.stack([np.minimum(v[i], v).sum(1) for i in range(n)])
    return 1 - m / (2 - m)


def dbscan(within, min_samples):
    """Labels and core points from the (N, N) bool matrix of d ≤ eps, by the parallel rule."""
    n = len(within)
    core = within.sum(1) >= min_samples
    labels = np.full(n, -1)
    cluster = 0
    for i in range(n):
        if not core[i] or labels[i] >= 0:
            continue
        stack, labels[i] = [i], cluster
        while stack:
            for j in np.flatnonzero(within[stack.pop()] & core):
                if labels[j] < 0:
                    labels[j] = cluster
                    stack.append(j)
        cluster += 1
    for i in np.flatnonzero(~core):
        adjacent = labels[within[i] & core]
        if len(adjacent):
            labels[i] = adjacent.min()
    return labels, core


def agreement(a, b, k):
    """Eq. 1 with k neighbours, self excluded by index."""
    first, second = ranking(a)[:, 1 : k + 1], ranking(b)[:, 1 : k + 1]
    union = [len(set(p) | set(q)) for p, q in zip(first, second, strict=True)]
    common = [len(set(p) & set(q)) for p, q in zip(first, second, strict=True)]
    return np.array([c / u if u else 1.0 for c, u in zip(common, union, strict=True)])


def labels(x, eps=0.6, min_samples=4, k1=30, k2=6):
    return dbscan(jaccard_distance(x, k1, k2) <= eps + SLACK, min_samples)


def feature_distance(x, metric):
    x = unit(x) if metric == "cosine" else np.asarray(x, np.float64)
    squared = ((x[:, None] - x[None]) ** 2).sum(-1)
    return squared / 2 if metric == "cosine" else np.vectorize(math.sqrt)(squared)
