"""Rows of an evaluation's table: what they say over seeds, and how they are written down."""

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit

from airfast._version import __version__
from airfast.evaluate.metrics import Integers, Scores
from airfast.record import write_record

FIGURES = ("accuracy", "macro_f1", "balanced_accuracy")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        features: whose: "majority" class, "hand-made" statistics, "untrained" encoder, "pre-trained" encoder.
        probe: what read them: "–", "linear" or "fine-tuned" (last epoch), the same with ", best" (test epoch),
            "logistic", "forest", "1-NN", "20-NN".
        scores: one a seed; a single one where nothing is random.
        fraction: share of the training labels that was asked for, of protocols that fine-tune.
        clips: labelled clips that they really trained on, the mean over seeds.
        each: labelled clips a class that were asked for, of the few-label protocol.
        shared: test clips over training clips where every seed drew a split of its own, else 0; see :func:`half_width`.
    """

    features: str
    probe: str
    scores: tuple[Scores, ...]
    fraction: float | None = None
    clips: float | None = None
    shared: float = 0
    each: int | None = None

    def values(self, figure: str) -> list[float]:
        """One value a seed of accuracy, macro_f1 or balanced_accuracy."""
        return [getattr(each, figure) for each in self.scores]

    def mean(self, figure: str) -> float:
        """Mean over seeds of accuracy, macro_f1 or balanced_accuracy."""
        return float(np.mean(self.values(figure)))

    def sd(self, figure: str) -> float:
        """Standard deviation over seeds; 0 for a single one."""
        return float(np.std(self.values(figure), ddof=min(1, len(self.scores) - 1)))

    def half_width(self, figure: str) -> float | None:
        """Half the width of the 95 % interval of the mean."""
        return half_width(self.values(figure), self.shared)

    def recall(self) -> list[float]:
        """Recall of every class over the test clips of all seeds; nan where there is none of it."""
        confusion = self.confusion()
        there = confusion.sum(axis=1)
        share = np.divide(confusion.diagonal(), there, out=np.full(len(there), np.nan), where=there > 0)
        return [float(each) for each in share]

    def confusion(self) -> Integers:
        """(classes, classes) test clips of all seeds; rows are the true classes."""
        return np.asarray(np.sum([each.confusion for each in self.scores], axis=0), dtype=np.int64)

    @property
    def labelled(self) -> str:
        """How many of the labels were known, in words; empty where all were."""
        return labels_known(self.fraction, self.each)

    def record(self) -> dict[str, Any]:
        """The row as JSON."""
        figures = {}
        for figure in FIGURES:
            mean, half = self.mean(figure), self.half_width(figure)
            interval = None if half is None else [mean - half, mean + half]
            figures[figure] = {"mean": mean, "sd": self.sd(figure), "interval_95": interval}
        scores = [vars(each) | {"recall": defined(each.recall)} for each in self.scores]
        asked = {"fraction": self.fraction, "each": self.each}
        extra = {name: value for name, value in (asked | {"clips": self.clips}).items() if value is not None}
        return (
            {"features": self.features, "probe": self.probe, "scores": scores}
            | figures
            | {"recall": defined(self.recall()), "confusion": self.confusion().tolist()}
            | extra
        )


def labels_known(fraction: float | None, each: int | None) -> str:
    """``fraction`` and ``each`` of a row, in words; empty for neither."""
    if each is not None:
        return f"{each} a class"
    return "" if fraction is None else f"{100 * fraction:g} %"


def half_width(values: Sequence[float], shared: float = 0) -> float | None:
    """t(0.975, n−1)·sd·√(1/n + shared): half the 95 % interval of the mean of n values; None for a single one.

    Args:
        values: a figure of n seeds.
        shared: test clips over training clips where each is of a split of its own of the same clips. Such figures are
            not independent, and the plain interval (shared 0) is too narrow: at five splits of 4:1 by half.

    Source: Nadeau and Bengio, Machine Learning 52, 2003, Section 3, corrected resampled t.
    """
    count = len(values)
    if count < 2:
        return None
    return float(stdtrit(count - 1, 0.975) * np.std(values, ddof=1) * math.sqrt(1 / count + shared))


def defined(values: Sequence[float]) -> list[float | None]:
    """nan as None: JSON has no word for it."""
    return [None if math.isnan(value) else value for value in values]


def over_seeds(tables: Sequence[Sequence[Row]], shared: float = 0) -> list[Row]:
    """One table from those of several seeds, which have the same rows in the same order; ``shared`` as of a row."""
    merged = []
    for rows in zip(*tables, strict=True):
        clips = None if rows[0].clips is None else float(np.mean([row.clips for row in rows]))
        scores = tuple(each for row in rows for each in row.scores)
        merged.append(replace(rows[0], scores=scores, clips=clips, shared=shared))
    return merged


def save_table(path: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    """The table with every seed's figures as JSON; InputError where it cannot be written."""
    record = {
        "airfast": __version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        **about,
        "rows": [row.record() for row in rows],
    }
    write_record(path, record)


Progress = Callable[[int, int], None]
"""Called with (done, in all)."""
