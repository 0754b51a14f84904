"""The join finds exactly the pairs whose Σ min reaches the threshold, by whichever way a row takes."""

import numpy as np
import pytest

from airfast.labels.cpu.join import join
from airfast.labels.seam import smallest_overlap

ONE = 1 << 30


def rows(n, size, columns, noise, seed):
    """n sparse rows: `size` of the first `columns` columns each, uneven weights; every other row is nearly the last."""
    rng = np.random.default_rng(seed)
    chosen = np.argpartition(rng.random((n, columns)), size - 1)[:, :size].astype(np.int32)
    weights = rng.exponential(size=(n, size)) ** 2 + 0.05
    chosen[1::2], weights[1::2] = chosen[: n - 1 : 2], weights[: n - 1 : 2]
    weights *= np.exp(noise * rng.normal(size=(n, size)))
    weights *= ONE / weights.sum(1, keepdims=True)
    return np.arange(n + 1, dtype=np.int64) * size, chosen.ravel(), weights.astype(np.int32).ravel()


def overlaps(indptr, columns, weights, i):
    """Σ min of row i with every row."""
    own = np.zeros(len(indptr) - 1, np.int64)
    own[columns[indptr[i] : indptr[i + 1]]] = weights[indptr[i] : indptr[i + 1]]
    return np.add.reduceat(np.minimum(own[columns], weights), indptr[:-1])


def check(sparse, sample, eps, memory):
    """Pairs of the sampled rows with later rows are those of `overlaps`; returns how many there are."""
    row, col, overlap = (np.concatenate(parts) for parts in zip(*join(*sparse, ONE, eps, memory), strict=True))
    for i in sample:
        expected = overlaps(*sparse, i)
        later = np.flatnonzero(expected >= smallest_overlap(eps, ONE))
        later = later[later > i]
        order = np.argsort(col[row == i])
        np.testing.assert_array_equal(col[row == i][order], later)
        np.testing.assert_array_equal(overlap[row == i][order], expected[later])
    return len(row)


@pytest.mark.parametrize("memory", [1, 100])  # with 1 MB, tasks stop for want of room
@pytest.mark.parametrize("eps", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("size", [3, 40, 100])  # 100 of 600 columns by 600 rows: totals are read in full
@pytest.mark.parametrize("columns", [120, 600])  # of 120 columns, most are shared: the light entries' lists are walked
def test_pairs_are_those_of_the_equation(columns, size, eps, memory):
    assert check(rows(600, size, columns, 0.3, size), range(600), eps, memory) > 0


def test_several_blocks():
    n = (1 << 14) + 600  # two blocks of columns, as rows are long
    rng = np.random.default_rng(0)
    indptr, columns, weights = rows(n, 64, 300, 0.3, 1)
    columns += (np.repeat(np.arange(n) // 2 % 50, 64) * 300).astype(np.int32)  # in fifty groups that share no column
    assert check((indptr, columns, weights), rng.integers(0, n, 40), 0.6, 100) >= n // 2
