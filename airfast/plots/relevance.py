"""Fig. 8 and Fig. 9: which limbs agree with the body, class by class, and one class with and without ALR."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from airfast.data.source import Source
from airfast.device import pick_device
from airfast.errors import InputError, nearest
from airfast.labels import LabelSet
from airfast.plots.canvas import PALE, new_figure, plain, run_target, save, scatter, styled
from airfast.plots.embeddings import in_the_plane
from airfast.plots.part_agreement import part_agreement
from airfast.plots.pose import both_partitions, draw_scored_pose, seen_from_the_side
from airfast.plots.run_features import RunFeatures, features_of, open_run_clips

REDS = colormaps["Reds"]
EVERY = "all clips"


@dataclass(frozen=True)
class Scored:
    """A run's clips with the agreement of each part.

    Attributes:
        name: of the run folder.
        features: of the clips.
        parts: (N, P) S by part.
    """

    name: str
    features: RunFeatures
    parts: NDArray[np.float32]

    def members(self, kind: str) -> NDArray[np.int64]:
        """Indices of the clips of a class (or of all)."""
        motion = self.features.motion
        if kind == EVERY:
            return np.arange(len(motion))
        return np.flatnonzero(motion.labels == motion.classes.index(kind))


def plot_relevance(
    run: Path | str,
    other: Path | str | None = None,
    kind: str | None = None,
    out: Path | str | None = None,
    data: Source = None,
    device: str = "auto",
) -> Path:
    """Draw the agreement of each limb with the body (Fig. 8), or one class in two runs (Fig. 9).

    Args:
        run: a run folder.
        other: a second run on the same set, e.g. with ``air.alr.enabled=false``.
        kind: a class; by default every class, or the commonest one where two runs are compared.
        out: a .png or .svg; ``relevance.png`` in the run folder by default.
        data: where the clips are, if not where they were.
        device: auto, cpu or cuda.

    Returns:
        The picture's path.

    Raises:
        InputError: not a run, one without part skeletons, no such class.
    """
    out = run_target(run, out, "relevance.png")
    scored = [scored_run(Path(each), data, device) for each in (run, other) if each is not None]
    kinds = [kinds_of(each.features, kind) for each in scored]
    if len(scored) == 1:
        return save(draw_relevance(scored[0], kinds[0]), out)
    commonest = max(kinds[0], key=lambda each: len(scored[0].members(each)))
    if commonest not in kinds[1]:
        raise InputError(f"{other}: has no clips of class {commonest!r}, which {run} has")
    return save(draw_comparison(scored[0], scored[1], commonest), out)


def scored_run(run: Path, data: Source, device: str) -> Scored:
    """Features and part agreement of a run's training clips."""
    encoder, motion = open_run_clips(run, data)
    if "ha" not in encoder.config.air.scales:
        asp = f"air.asp={encoder.config.air.asp}"
        raise InputError(f"{run}: trained without part skeletons of whole limbs ({asp}): none can agree with the body")
    place = pick_device(device)
    features = features_of(encoder, motion, place)
    return Scored(run.resolve().name, features, part_agreement(encoder, features, place).numpy())


def kinds_of(features: RunFeatures, kind: str | None) -> list[str]:
    """The classes to draw: those that have clips, or the one asked for."""
    motion = features.motion
    there = [name for i, name in enumerate(motion.classes) if (motion.labels == i).any()]
    if kind is None:
        return there or [EVERY]
    if kind not in there:
        known = ", ".join(there) or "none"
        raise InputError(f"--class {kind}: no training clip is of it{nearest(kind, there)}; known: {known}")
    return [kind]


@styled
def draw_relevance(scored: Scored, kinds: list[str]) -> Figure:
    """A skeleton a class, each limb coloured by its mean agreement over the class's clips; deeper red is more."""
    columns = min(len(kinds), 5)
    rows = -(-len(kinds) // columns)
    figure = new_figure(max(4.8, 2.05 * columns + 0.6), 2.5 * rows + 0.9)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    scale = scale_of([means_of(scored, kind) for kind in kinds])
    for axes, kind in zip(grid, kinds, strict=False):
        draw_class(axes, scored, kind, scale, named=len(kinds) == 1)
        axes.set_title(f"{plain(kind)} ({len(scored.members(kind))})", loc="center")
    for axes in grid[len(kinds) :]:
        axes.set_axis_off()
    colour_bar(figure, list(grid), scale)
    figure.suptitle("Agreement of each limb with the whole body (Eq. 1)\nby class (training clips)", fontsize=10)
    return figure


@styled
def draw_comparison(first: Scored, second: Scored, kind: str) -> Figure:
    """Two runs side by side: the class's limbs above, its clips among all others by cluster below."""
    figure = new_figure(8.6, 7.6)
    above, below = figure.subplots(2, 2, height_ratios=[1, 1.25])
    scale = scale_of([means_of(each, kind) for each in (first, second)])
    for axes, plane, scored in zip(above, below, (first, second), strict=True):
        draw_class(axes, scored, kind, scale, named=True)
        refined = "with" if scored.features.settings.alr.enabled else "without"
        axes.set_title(f"{refined} ALR: {plain(scored.name, 30)}", loc="center")
        draw_clusters_of(plane, scored, kind)
    colour_bar(figure, list(above), scale)
    figure.suptitle(f"Class {plain(kind)}: limbs that agree with the body, and clusters of its clips", fontsize=10)
    return figure


def draw_clusters_of(axes: Axes, scored: Scored, kind: str) -> None:
    """The class's clips by cluster, all other clips as pale points, in the plane of t-SNE."""
    points = in_the_plane(scored.features.clustered().numpy())
    found, members = scored.features.labels(), scored.members(kind)
    assigned = found.labels.numpy()[members]
    x, y = np.delete(points, members, axis=0).T
    axes.scatter(x, y, s=6, color=PALE, zorder=0, rasterized=True)
    there, kinds = np.unique(assigned[assigned >= 0], return_inverse=True)
    local = np.full(len(members), -1, dtype=np.int64)
    local[assigned >= 0] = kinds  # numbered anew, or two clusters of the class might share a marker
    names = [f"cluster {i} ({(assigned == i).sum()})" for i in there]
    noise = f"in no cluster ({(assigned < 0).sum()})"
    scatter(axes, points[members], local, [*names, noise])
    axes.set_title(f"{summary(found, assigned)}, eps {found.eps:g}", fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    if -1 in local:  # drawn first, named last
        handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    axes.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3, handletextpad=0.2, columnspacing=1
    )


def summary(found: LabelSet, assigned: NDArray[np.int64]) -> str:
    """Into how many clusters a class falls."""
    inside = assigned[assigned >= 0]
    parts = len(np.unique(inside))
    return f"{len(inside)} of {len(assigned)} clips in {parts} of {found.num_clusters} clusters"


def means_of(scored: Scored, kind: str) -> NDArray[np.float32]:
    """(P,) mean S of each part over a class's clips."""
    return np.asarray(scored.parts[scored.members(kind)].mean(axis=0))


def scale_of(means: list[NDArray[np.float32]]) -> Normalize:
    """Colours from 0 to the largest mean, rounded up to a twentieth."""
    return Normalize(0, max(0.05, float(np.ceil(20 * max(each.max() for each in means)) / 20)))


def draw_class(axes: Axes, scored: Scored, kind: str, scale: Normalize, named: bool) -> None:
    """The first pose of the class's first clip, its limbs coloured and labelled by their mean agreement."""
    motion = scored.features.motion
    means = means_of(scored, kind)
    flat = seen_from_the_side(motion.clip(int(scored.members(kind)[0])), motion.layout)[0]
    parts, _ = both_partitions(motion.layout)
    labels = [
        f"{name.replace('_', ' ')} {mean:.2f}" if named else f"{mean:.2f}"
        for name, mean in zip(parts.names, means, strict=True)
    ]
    draw_scored_pose(axes, flat, motion.layout, parts, [to_hex(REDS(scale(mean))) for mean in means], labels)


def colour_bar(figure: Figure, axes: list[Axes], scale: Normalize) -> None:
    """What the colours mean."""
    bar = figure.colorbar(ScalarMappable(scale, REDS), ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("mean agreement S (0 to 1)", fontsize=8)
