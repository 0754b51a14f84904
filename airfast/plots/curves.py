"""Curves over the epochs of a run, from its metrics: the losses, and the quality of its labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from airfast.errors import InputError
from airfast.plots.canvas import COLOURS, GREY, LINES, MARKERS, new_figure, run_target, save, styled
from airfast.runs.folder import read_metrics

Metrics = Sequence[dict[str, Any]]

TERMS = {
    "loss": "whole loss (Eq. 7)",
    "intra": "intra-scale alignment (Eq. 5)",
    "inter": "inter-modality alignment (Eq. 6)",
    "vcreg": "variance and covariance",
    "class_x": "classification of X (Eq. 3)",
    "class_la": "classification of LA",
    "class_ha": "classification of HA (Eq. 2)",
}


def plot_clusters(run: Path | str, out: Path | str | None = None) -> Path:
    """Draw clusters, noise, agreement and adjusted mutual information over epochs; returns the picture's path.

    Args:
        run: a run folder.
        out: a .png or .svg; ``clusters.png`` in the run folder by default.

    Raises:
        InputError: not a run, or one that has made no labels yet.
    """
    run = Path(run)
    out = run_target(run, out, "clusters.png")
    metrics = read_metrics(run)
    if not any("clusters" in line for line in metrics):
        raise InputError(f"{run}: no labels in its {len(metrics)} epochs; AIR's begin after air.warmup")
    return save(draw_clusters(metrics), out)


@styled
def draw_clusters(metrics: Metrics) -> Figure:
    """Four panels over the epochs: clusters, noise share (%), mean agreement, adjusted mutual information."""
    lines = [line for line in metrics if "clusters" in line]
    figure = new_figure(8.6, 5.2)
    clusters, noise, agreement, mutual = panels = list(figure.subplots(2, 2, sharex=True).ravel())
    for axes in panels:
        shade_warmup(axes, metrics)
    curve(clusters, lines, "clusters")
    clusters.set(title="Clusters of the epoch", ylabel="clusters")
    clusters.set_ylim(0, 1.1 * max(1, *(line["clusters"] for line in lines)))
    clusters.yaxis.set_major_locator(MaxNLocator(integer=True))
    curve(noise, lines, "noise_share", factor=100)
    noise.set(title="Clips in no cluster", ylabel="share of the clips (%)", ylim=(0, 100))
    curve(agreement, lines, "mean_agreement")
    agreement.set(title="Agreement of X and HA (Eq. 1)", ylabel="mean over clips (0 to 1)", ylim=(0, 1))
    curve(mutual, lines, "ami_class", 0, label="with the true classes")
    curve(mutual, lines, "ami_group", 1, label="with the known groups (actions)")
    mutual.set(title="Adjusted mutual information of clusters", ylabel="AMI (0: chance, 1: same)")
    mutual.set_ylim(min(-0.1, mutual.get_ylim()[0]), 1)
    mutual.axhline(0, color=GREY, linewidth=0.8)
    if mutual.get_legend_handles_labels()[0]:
        mutual.legend(loc="upper left")
    name_epochs(panels[2:])
    return figure


@styled
def draw_losses(metrics: Metrics) -> Figure:
    """A small panel for the loss and each of its terms (as weighted in the sum) over the epochs."""
    there = [term for term in TERMS if any(term in line for line in metrics)]
    columns = 3
    rows = -(-len(there) // columns)
    figure = new_figure(8.6, 2.0 * rows + 0.3)
    grid = list(figure.subplots(rows, columns, sharex=True, squeeze=False).ravel())
    for axes, term in zip(grid, there, strict=False):
        shade_warmup(axes, metrics)
        curve(axes, [line for line in metrics if term in line], term)
        axes.set_title(TERMS[term], fontsize=9)
    for axes in grid[len(there) :]:
        axes.set_visible(False)
    for axes in grid[::columns]:
        axes.set_ylabel("loss")
    name_epochs(grid[max(0, len(there) - columns) : len(there)])
    return figure


def curve(axes: Axes, lines: Metrics, key: str, style: int = 0, factor: float = 1, label: str | None = None) -> None:
    """One metric over the epochs that have it, with markers where they are few enough to be told apart."""
    there = [line for line in lines if key in line]
    if there:
        axes.plot(
            [line["epoch"] for line in there],
            [factor * line[key] for line in there],
            color=COLOURS[(0, 3, 2)[style]],
            linestyle=LINES[style],
            marker=MARKERS[style],
            markevery=max(1, len(there) // 12),
            markersize=4,
            label=label,
        )


def shade_warmup(axes: Axes, metrics: Metrics) -> None:
    """Mark the epochs before the first labels."""
    first = next((line["epoch"] for line in metrics if "clusters" in line), None)
    if first is not None and first > metrics[0]["epoch"]:
        axes.axvspan(metrics[0]["epoch"], first, color=GREY, alpha=0.18, linewidth=0, label="_warm-up")


def name_epochs(axes: Sequence[Axes]) -> None:
    """Label the epoch axes; labels of epochs are whole numbers."""
    for each in axes:
        first, last = each.get_xlim()
        if last - first < 2:  # a single epoch: room for one tick
            each.set_xlim((first + last) / 2 - 1, (first + last) / 2 + 1)
        each.set_xlabel("epoch (grey: warm-up)")
        each.tick_params(labelbottom=True)
        each.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
