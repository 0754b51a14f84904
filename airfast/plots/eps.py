"""Fig. 5: what eps does to the labels of a run's final features, and to the accuracy of runs trained with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from airfast.data.source import Source
from airfast.errors import InputError
from airfast.methods.air.amdl import label_quality
from airfast.plots.canvas import COLOURS, GREY, INK, new_figure, run_target, save, styled
from airfast.plots.confusion import find_row
from airfast.plots.run_features import PRE_TRAINED, UNTRAINED, RunFeatures, read_features
from airfast.runs.folder import read_config, read_evaluation

SWEEP = tuple(round(0.40 + 0.05 * step, 2) for step in range(9))
"""0.4 to 0.8, the range of Fig. 5."""


@dataclass(frozen=True)
class Accuracy:
    """Linear accuracy (last epoch, mean over probes, per cent) of one run and of its untrained twin."""

    eps: float
    pre_trained: float
    untrained: float


def plot_eps(
    runs: Sequence[Path | str], out: Path | str | None = None, data: Source = None, device: str = "auto"
) -> Path:
    """Draw label quality over eps for the first run's features; of several runs, accuracy over their eps too.

    Args:
        runs: run folders; several must differ in ``air.cluster.eps`` and be evaluated (linear).
        out: a .png or .svg; ``eps.png`` in the first run's folder by default.
        data: where the first run's clips are, if not where they were.
        device: auto, cpu or cuda.

    Raises:
        InputError: not a run, several runs with one eps, a run that is not evaluated.
    """
    first = Path(runs[0])
    out = run_target(first, out, "eps.png")
    accuracies = accuracy_by_eps([Path(run) for run in runs]) if len(runs) > 1 else []
    features = read_features(first, data, device)[PRE_TRAINED]
    return save(draw_eps(label_quality_by_eps(features), features.labels().eps, accuracies), out)


def label_quality_by_eps(features: RunFeatures, sweep: Sequence[float] = SWEEP) -> list[dict[str, Any]]:
    """Clusters, noise share and adjusted mutual information of the label stage at every eps."""
    return [{"eps": eps} | label_quality(features.labels(eps), features.motion) for eps in sweep]


def accuracy_by_eps(runs: Sequence[Path]) -> list[Accuracy]:
    """Linear accuracy of every run, by its ``air.cluster.eps``."""
    found = []
    for run in runs:
        record = read_evaluation(run / "evaluate-linear.json")
        both = [100 * find_row(record, name)["accuracy"]["mean"] for name in (PRE_TRAINED, UNTRAINED)]
        eps = read_config(run).air.cluster.eps
        if eps == "auto":
            raise InputError(f"plot eps: {run} has air.cluster.eps=auto, another of every epoch")
        found.append(Accuracy(eps, *both))
    different = {each.eps for each in found}
    if len(different) < 2:
        raise InputError(
            f"plot eps: {len(runs)} runs, all with air.cluster.eps = {min(different)}; expected several values"
        )
    return sorted(found, key=lambda each: each.eps)


@styled
def draw_eps(quality: Sequence[dict[str, Any]], used: float, accuracies: Sequence[Accuracy]) -> Figure:
    """Clusters, noise and mutual information over eps; a fourth panel of accuracy where several runs are given."""
    figure = new_figure(8.6, 5.4) if accuracies else new_figure(9.6, 3.1)
    panels = list(figure.subplots(*((2, 2) if accuracies else (1, 3))).ravel())
    draw_quality(panels[:3], quality)
    for axes in panels[:3]:
        axes.axvline(used, color=GREY, linestyle=":", linewidth=1.2)
        axes.set_xlabel("eps (distance)")
    if accuracies:
        draw_accuracies(panels[3], accuracies)
    figure.suptitle(f"The label stage over eps on the final features (dotted: {used:g}, as trained)", fontsize=10)
    return figure


def draw_quality(panels: Sequence[Axes], quality: Sequence[dict[str, Any]]) -> None:
    """Clusters, noise share and adjusted mutual information, a panel each."""
    eps = [line["eps"] for line in quality]
    clusters, noise, mutual = panels
    clusters.plot(eps, [line["clusters"] for line in quality], "o-", color=COLOURS[0], markersize=4)
    clusters.set(title="Clusters", ylabel="clusters")
    clusters.set_ylim(0, 1.1 * max(1, *(line["clusters"] for line in quality)))
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    noise.plot(eps, [100 * line["noise_share"] for line in quality], "o-", color=COLOURS[0], markersize=4)
    noise.set(title="Clips in no cluster", ylabel="share of the clips (%)", ylim=(0, 103))
    for key, look, colour, label in (
        ("ami_class", "o-", COLOURS[0], "with class"),
        ("ami_group", "s--", COLOURS[3], "with group"),
    ):
        if key in quality[0]:
            mutual.plot(eps, [line[key] for line in quality], look, color=colour, markersize=4, label=label)
    mutual.set(title="Adjusted mutual information", ylabel="AMI (0: chance, 1: same)")
    mutual.set_ylim(min(-0.1, mutual.get_ylim()[0]), 1)
    if mutual.get_legend_handles_labels()[0]:
        mutual.legend(loc="upper left")


def draw_accuracies(axes: Axes, accuracies: Sequence[Accuracy]) -> None:
    """A point a run; the line joins the means of runs that share an eps."""
    eps = np.array([each.eps for each in accuracies])
    values = np.unique(eps)
    for name, colour, look in ((PRE_TRAINED, COLOURS[0], "o-"), (UNTRAINED, INK, "x:")):
        figures = np.array([each.pre_trained if name == PRE_TRAINED else each.untrained for each in accuracies])
        means = [figures[eps == value].mean() for value in values]
        axes.plot(eps, figures, look[0], color=colour, markersize=4, alpha=0.6)
        axes.plot(values, means, look, color=colour, markersize=4, label=name)
    axes.set(title=f"Linear probe, {len(accuracies)} runs (Fig. 5)", xlabel="air.cluster.eps of the run (distance)")
    axes.set_ylabel("accuracy, last epoch (%)")
    axes.legend(loc="best")
