"""Equations 2 to 6 as loops over samples, written from the paper and METHOD 4 and 5."""

import math

import numpy as np


def softmax(row):
    weights = [math.exp(value - max(row)) for value in row]
    return [weight / sum(weights) for weight in weights]


def appendage_loss(logits, labels, agreement):
    """Eq. 2."""
    terms = []
    for row, label, s in zip(logits, labels, agreement, strict=True):
        if label < 0:
            continue
        q = softmax(row)
        u = 1 / len(q)
        divergence = sum(u * math.log(u / each) for each in q)
        terms.append(s * -math.log(q[label]) + (1 - s) * divergence)
    return sum(terms) / max(1, len(terms))


def refined_loss(logits, appendage_logits, labels, agreement):
    """Eq. 3, the mean over the batch."""
    terms = []
    for row, other, label, s in zip(logits, appendage_logits, labels, agreement, strict=True):
        if label < 0:
            continue
        q, q_ha = softmax(row), softmax(other)
        hard = [1.0 if k == label else 0.0 for k in range(len(q))]
        target = [s * a + (1 - s) * b for a, b in zip(q_ha, hard, strict=True)]
        terms.append(-sum(t * math.log(p) for t, p in zip(target, q, strict=True)))
    return sum(terms) / max(1, len(terms))


def mse(a, b):
    return float(np.mean([(x - y) ** 2 for x, y in zip(np.ravel(a), np.ravel(b), strict=True)]))


def intra_loss(singles, multis):
    """Eq. 5 for one scale."""
    return sum(mse(one, many) for one, many in zip(singles, multis, strict=True))


def inter_loss(singles):
    """Eq. 6."""
    mean = sum(singles) / len(singles)
    return sum(mse(z, mean) for z in singles)


def variance_covariance(projections, nuisance=None):
    """VICReg's terms with the Z × Z covariance written out, about the mean of those that share a nuisance."""
    total = 0.0
    for z in projections:
        batch, width = z.shape
        nuisance = nuisance or [0] * batch
        means = {of: np.mean([row for row, its in zip(z, nuisance, strict=True) if its == of], 0) for of in nuisance}
        left = [row - means[of] for row, of in zip(z, nuisance, strict=True)]
        covariance = sum(np.outer(row, row) for row in left) / (batch - len(means))
        variance = [covariance[d, d] for d in range(width)]
        total += 5 * sum(max(0.0, 1 - math.sqrt(v + 1e-4)) for v in variance) / width
        total += sum(covariance[a, b] ** 2 for a in range(width) for b in range(width) if a != b) / width
    return total
