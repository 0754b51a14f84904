"""Which labels are known where few are: a share of every class (Table III, METHOD 7), or so many of each."""

import numpy as np

from airfast.evaluate.metrics import Integers


def draw_labelled(labels: Integers, fraction: float, seed: int) -> Integers:
    """Which training clips keep their label: a share of every class, rounded, and at least one of it.

    Larger shares of one seed hold the smaller ones. With few clips the floor of one a class can be more than the
    share: say how many were drawn.

    Args:
        labels: (n,) int64 in 0..classes−1.
        fraction: in (0, 1].
        seed: the same seed draws the same clips on every machine.

    Returns:
        (m,) indices into labels, ascending.
    """
    rng = np.random.default_rng(seed)
    kept = []
    for label in np.unique(labels):
        clips = rng.permutation(np.flatnonzero(labels == label))
        kept.append(clips[: max(1, round(fraction * len(clips)))])
    return np.sort(np.concatenate(kept))


def draw_few(labels: Integers, count: int, seed: int) -> Integers:
    """Which training clips are labelled where a few of every class are: ``count`` of each, all of a smaller class.

    Larger counts of one seed hold the smaller ones.

    Args:
        labels: (n,) int64 in 0..classes−1.
        count: labelled clips a class, at least 1.
        seed: the same seed draws the same clips on every machine.

    Returns:
        (m,) indices into labels, ascending.
    """
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept))
