"""Accuracy and its fairer sisters, from predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """How well one set of predictions does, every figure in [0, 1]."""

    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    recall: tuple[float, ...]  # a class; nan where the test side has none of it
    confusion: tuple[tuple[int, ...], ...]  # rows are the true classes


def score(true: Integers, predicted: Integers, classes: int) -> Scores:
    """Scores of predictions (n,) against true labels (n,) in 0..classes−1; n ≥ 1.

    Macro-F1 and balanced accuracy are means over the classes that the test side has.
    """
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    hit = confusion.diagonal()
    there, said = confusion.sum(axis=1), confusion.sum(axis=0)
    present = there > 0
    recall = np.divide(hit, there, out=np.full(classes, np.nan), where=present)
    f1 = np.divide(2 * hit, there + said, out=np.zeros(classes), where=there + said > 0)
    return Scores(
        accuracy=float(hit.sum() / there.sum()),
        macro_f1=float(f1[present].mean()),
        balanced_accuracy=float(recall[present].mean()),
        recall=tuple(recall.tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def calibration_error(probability: NDArray[np.floating], true: Integers, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., ICML 2017): |accuracy − confidence| a bin, weighted by its samples.

    Args:
        probability: (n, classes), rows sum to 1; n ≥ 1.
        true: (n,) true classes.
        bins: of equal width over [0, 1].
    """
    confidence, said = probability.max(axis=1).astype(np.float64), probability.argmax(axis=1)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, (said == true) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(true))
