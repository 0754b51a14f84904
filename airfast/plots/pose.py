"""A skeleton in the plane: where it is seen from, and its bones in the colours of their body parts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from airfast.data.dataset import facing_turn
from airfast.plots.canvas import GREY, INK, PALE, category
from airfast.skeletons.layout import Layout

AZIMUTH, ELEVATION = math.radians(35), math.radians(10)
Flat = NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """A partition of the joints that is to be seen.

    Attributes:
        title: what it is called.
        names: of the parts.
        of: (J,) part of each joint.
    """

    title: str
    names: tuple[str, ...]
    of: tuple[int, ...]


def both_partitions(layout: Layout) -> tuple[Parts, Parts]:
    """HA and LA of a layout."""
    high = Parts("HA: appendages", layout.high_names, layout.high)
    return high, Parts("LA: segments", layout.low_names, layout.low)


def seen_from_the_side(clip: Flat, layout: Layout) -> Flat:
    """Project a clip (T, J, 3) to (T, J, 2), metres: half turned to the viewer, the root at x = 0 in every frame.

    The clip is turned by its mean shoulder line first, so that all are seen from the same side.
    """
    turned = clip @ facing_turn(clip, layout.shoulders)
    turned = turned - turned[:, [layout.root]] * np.array([1, 0, 1], dtype=np.float32)
    across, up, towards = np.moveaxis(turned, -1, 0)
    right = across * math.cos(AZIMUTH) + towards * math.sin(AZIMUTH)
    depth = towards * math.cos(AZIMUTH) - across * math.sin(AZIMUTH)
    raised = up * math.cos(ELEVATION) - depth * math.sin(ELEVATION)
    return np.stack([right, raised], axis=-1).astype(np.float32)


def bones(layout: Layout) -> list[tuple[int, int]]:
    """(child, parent) of every bone."""
    return [(joint, parent) for joint, parent in enumerate(layout.parents) if parent >= 0]


class DrawnPose:
    """Bones and joints of one frame on axes, in the colours and markers of a partition; it can be moved."""

    def __init__(self, axes: Axes, flat: Flat, layout: Layout, parts: Parts) -> None:
        self.bones = bones(layout)
        self.part_of = np.asarray(parts.of)
        colours = [category(parts.of[child])[0] for child, _ in self.bones]
        self.lines = LineCollection([], colors=colours, linewidths=2.6, capstyle="round")
        axes.add_collection(self.lines)
        self.joints = []
        for part in range(len(parts.names)):
            colour, marker = category(part)
            self.joints += axes.plot([], [], marker, color=colour, markeredgecolor=INK, markersize=4, mew=0.4)
        self.move(flat)

    def move(self, flat: Flat) -> None:
        """Take the pose (J, 2)."""
        self.lines.set_segments([flat[[child, parent]] for child, parent in self.bones])
        for part, drawn in enumerate(self.joints):
            drawn.set_data(*flat[self.part_of == part].T)


def prepare_axes(axes: Axes, flat: Flat, heights: bool = True) -> None:
    """Equal scales that hold every pose of (T, J, 2), the floor as a line, height in metres where asked for."""
    low, high = flat.reshape(-1, 2).min(axis=0), flat.reshape(-1, 2).max(axis=0)
    axes.set(xlim=(low[0] - 0.1, high[0] + 0.1), ylim=(low[1] - 0.08, high[1] + 0.1), aspect="equal", xticks=[])
    axes.axhline(low[1] - 0.03, color=PALE, linewidth=1.2, zorder=0)
    axes.spines["bottom"].set_visible(False)
    if heights:
        axes.set_ylabel("height (m)")
    else:
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False, labelleft=False)


def legend_of(axes: Axes, parts: Parts) -> None:
    """The parts' names beside their colours and markers, on axes that show nothing else."""
    handles = []
    for index, name in enumerate(parts.names):
        colour, marker = category(index)
        look: dict[str, Any] = {"marker": marker, "markeredgecolor": INK, "markersize": 5, "markeredgewidth": 0.4}
        handles.append(Line2D([], [], color=colour, linewidth=2.6, label=name.replace("_", " "), **look))
    axes.set_axis_off()
    axes.legend(handles=handles, loc="center left", title=parts.title, alignment="left", borderaxespad=0)


def draw_scored_pose(
    axes: Axes, flat: Flat, layout: Layout, parts: Parts, colours: Sequence[str], labels: Sequence[str]
) -> None:
    """One pose (J, 2) with a colour and a label a part; labels stand in columns at its sides and do not overlap."""
    segments = [flat[[child, parent]] for child, parent in bones(layout)]
    part = [parts.of[child] for child, _ in bones(layout)]
    axes.add_collection(LineCollection(segments, colors=INK, linewidths=6.4, capstyle="round"))
    axes.add_collection(LineCollection(segments, colors=[colours[i] for i in part], linewidths=4.8, capstyle="round"))
    prepare_axes(axes, flat[None], heights=False)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    margin = 0.02 * (right - left)
    centres = np.stack([middle_joint(flat[np.asarray(parts.of) == i]) for i in range(len(parts.names))])
    middle = float(np.median(centres[:, 0]))
    for side in (-1, 1):
        here = [i for i in np.argsort(-centres[:, 1]) if (centres[i, 0] > middle) == (side > 0)]
        heights = spread(centres[here, 1], 0.13 * (top - bottom))
        edge = right if side > 0 else left
        for index, height in zip(here, heights, strict=True):
            ends = [centres[index, 0], edge], [centres[index, 1], height]
            axes.plot(*ends, color=GREY, linewidth=0.6, zorder=3)
            place: dict[str, Any] = {"ha": "left" if side > 0 else "right", "va": "center", "fontsize": 8}
            axes.text(edge + side * margin, height, labels[index], **place)


def middle_joint(joints: Flat) -> Flat:
    """The joint (2,) of a part (n, 2) that is nearest to its mean."""
    found: Flat = joints[np.linalg.norm(joints - joints.mean(axis=0), axis=1).argmin()]
    return found


def spread(heights: NDArray[np.float32], least: float) -> list[float]:
    """Heights in descending order, pushed down where two would be nearer than ``least``."""
    placed: list[float] = []
    for height in heights:
        placed.append(float(min(height, placed[-1] - least) if placed else height))
    return placed
