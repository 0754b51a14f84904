"""The confusion matrix of a run, in per cent of each true class, beside the untrained encoder's."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.plots.canvas import new_figure, plain, run_target, save, styled
from airfast.plots.run_features import PRE_TRAINED, UNTRAINED
from airfast.runs.folder import read_evaluation

Shares = NDArray[np.float64]
UNTESTED: dict[str, Any] = {"facecolor": "none", "edgecolor": "#bbbbbb", "hatch": "////", "linewidth": 0}


def plot_confusion(run: Path | str, out: Path | str | None = None) -> Path:
    """Draw the confusion of the linear probe (last epoch, all seeds together); returns the picture's path.

    Args:
        run: a run folder with an ``evaluate-linear.json``.
        out: a .png or .svg; ``confusion.png`` in the run folder by default.

    Raises:
        InputError: no linear evaluation yet.
    """
    run = Path(run)
    out = run_target(run, out, "confusion.png")
    return save(draw_confusion(read_evaluation(run / "evaluate-linear.json")), out)


@styled
def draw_confusion(record: dict[str, Any]) -> Figure:
    """Pre-trained on the left, untrained on the right; rows are the true classes and sum to 100 %."""
    classes = [plain(name) for name in record["classes"]]
    matrices = {name: row_shares(record, name) for name in (PRE_TRAINED, UNTRAINED)}
    size = 0.34 * max(len(classes), 6)  # inches of a matrix
    longest = 0.08 * max(map(len, classes))  # and of the names at its sides
    figure = new_figure(2 * size + longest + 0.8, size + longest + 0.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        draw_shares(axes, matrix, classes)
        axes.set(title=f"{name} encoder", xlabel="predicted class")
    panels[0].set_ylabel("true class")
    seeds = len(find_row(record, PRE_TRAINED)["scores"])
    figure.suptitle(
        f"Linear probe, {record['test_clips']} test clips, {seeds} seeds: % of each true class", fontsize=10
    )
    return figure


def draw_shares(axes: Axes, matrix: Shares, classes: list[str]) -> None:
    """A matrix (K, K) of per cent, darker for more, with its numbers; a class without test clips is hatched."""
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=90)
    axes.set_yticks(ticks, classes)
    axes.tick_params(length=0)
    for row, column in np.ndindex(matrix.shape):
        share = matrix[row, column]
        if np.isnan(share):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **UNTESTED))
        elif share >= 0.5:
            colour = "#ffffff" if share > 55 else "#000000"
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=7.5)


def row_shares(record: dict[str, Any], features: str) -> Shares:
    """(K, K) per cent of each true class, over all seeds of a linear probe's last epoch; nan rows were not tested."""
    counts = np.sum([np.asarray(each["confusion"], float) for each in find_row(record, features)["scores"]], axis=0)
    tested = counts.sum(axis=1, keepdims=True)
    shares: Shares = 100 * np.divide(counts, tested, out=np.full_like(counts, np.nan), where=tested > 0)
    return shares


def find_row(record: dict[str, Any], features: str) -> dict[str, Any]:
    """The linear probe's row of some features in an evaluation."""
    for row in record["rows"]:
        if (row["features"], row["probe"]) == (features, "linear"):
            found: dict[str, Any] = row
            return found
    raise InputError(f"the evaluation has no linear probe of the {features} encoder; run airfast evaluate again")
