"""A new row against a fitted set, dense and in plain loops: written from the docstring of ``JaccardDBSCAN.predict``."""

import numpy as np

from tests.reference.labels import SLACK, dbscan, ranking, reciprocal, unit


def fixed(a, b):
    """Inner products of unit rows in steps of 2⁻³⁰."""
    one, two = (np.rint(unit(each) * 2**30).astype(np.int64) for each in (a, b))
    return (one @ two.T + 2**29) >> 30


def soft(similarities):
    weights = np.exp(-(2 - 2 * np.asarray(similarities) / 2**30))
    return weights / weights.sum()


def predict(x, new, eps, min_samples, k1, k2):
    n = len(x)
    k1 = min(k1, n)
    k2, half = min(k2, k1), min(round(k1 / 2) + 1, k1)
    rank, s = ranking(x), fixed(x, x)
    full = [reciprocal(rank, i, k1) for i in range(n)]
    halves = [reciprocal(rank, i, half) for i in range(n)]
    plain = np.zeros((n, n))
    for i in range(n):
        members = set(full[i])
        for q in full[i]:
            if len(set(halves[q]) & set(full[i])) > 2 / 3 * len(halves[q]):
                members |= set(halves[q])
        members = sorted(members)
        plain[i, members] = soft([2**30 if j == i else s[i, j] for j in members])
    v = np.stack([plain[rank[i, :k2]].mean(0) for i in range(n)])
    m = np.stack([np.minimum(v[i], v).sum(1) for i in range(n)])
    labels, core = dbscan(1 - m / (2 - m) <= eps + SLACK, min_samples)
    answers = []
    for near in fixed(new, x):
        order = sorted(range(n), key=lambda j: (-near[j], j))[: k1 - 1]
        last = [2**30 if rank[j, k1 - 1] == j else s[j, rank[j, k1 - 1]] for j in range(n)]
        sets = [j for j in order if near[j] > last[j]]
        members = set(sets)
        for q in sets:
            if len(set(halves[q]) & set(sets)) > 2 / 3 * len(halves[q]):
                members |= set(halves[q])
        members = sorted(members)
        row = np.zeros(n)
        row[members] = soft([*near[members], 2**30])[:-1]
        row = (row + plain[order[: k2 - 1]].sum(0)) / k2
        overlap = np.minimum(row, v).sum(1)
        distance = np.where(core, 1 - overlap / (2 - overlap), np.inf)
        best = int(distance.argmin())
        answers.append(labels[best] if distance[best] <= eps + SLACK else -1)
    return np.array(answers)
