"""One look for every picture: Figure objects on Agg, no pyplot; colours, markers and lines that survive grey."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from airfast.atomic import replacing
from airfast.errors import InputError

INK, GREY, PALE = "#1b1b1f", "#85858d", "#c9c9cf"
# Okabe and Ito, "Color Universal Design" (2008), in an order in which neighbours differ in lightness too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#a8326f", "#b8a800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.hashsalt": "airfast",  # the same picture is the same file
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
}
styled = rc_context(STYLE)
"""Decorator of functions that draw: the settings hold while they run and are put back after."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def category(index: int) -> tuple[str, str]:
    """Colour and marker of the n-th category: 56 pairs, neighbours differ in both."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def scatter(
    axes: Axes, points: NDArray[np.float32], kinds: NDArray[np.int64], names: Sequence[str], hollow: bool = False
) -> None:
    """Points with the colour and marker of their kind, on axes without ticks (those of t-SNE mean nothing).

    Args:
        axes: where.
        points: (N, 2).
        kinds: (N,) index into names; −1 is a small grey cross, drawn beneath.
        names: of the kinds, then of −1.
        hollow: outlines alone, to tell one meaning of the colours from another.
    """
    size = point_size(len(points))
    line, edge = (0.7, 0.0) if size < 15 else (1.2, 0.5)  # where they are crowded, outlines would hide the colours
    for kind in np.unique(kinds):
        colour, marker = category(int(kind)) if kind >= 0 else (GREY, "x")
        filled: dict[str, Any] = {"facecolors": "none" if hollow else colour, "edgecolors": colour if hollow else INK}
        x, y = points[kinds == kind].T
        axes.scatter(
            x,
            y,
            s=size * (0.6 if kind < 0 else 1),
            marker=marker,
            label=names[kind],
            rasterized=len(points) > 1000,  # a vector picture of more points is heavier than its pixels
            zorder=1 if kind < 0 else 2,
            linewidths=line if hollow or kind < 0 else edge,
            **({"c": colour} if kind < 0 else filled),
        )
    axes.set(xticks=[], yticks=[])
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set(visible=True, color=PALE)


def point_size(points: int) -> float:
    """Area of a marker in square points, smaller where there are many."""
    return float(np.clip(6000 / max(1, points), 8, 34))


def plain(name: str, most: int = 16) -> str:
    """A name from the data as a label: short, none of it read as a formula, and not one that legends leave out."""
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    return short.replace("$", r"\$").replace("_", " ", 1) if short.startswith("_") else short.replace("$", r"\$")


def target(out: Path | str, suffixes: Sequence[str] = (".png", ".svg")) -> Path:
    """The path of a picture, checked before the work: its suffix is known and its folder is there.

    Raises:
        InputError: another suffix, or no such folder.
    """
    out = Path(out)
    if out.suffix.lower() not in suffixes:
        raise InputError(f"--out {out}: expected a name that ends in {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}")
    return out


def run_target(run: Path | str, out: Path | str | None, name: str, suffixes: Sequence[str] = (".png", ".svg")) -> Path:
    """As :func:`target`; a picture without a name goes to the run's folder, which must be one."""
    if not (Path(run) / "config.yaml").is_file():
        raise InputError(f"{run}: not a run folder, it has no config.yaml")
    return target(out or Path(run) / name, suffixes)


def save(figure: Figure, out: Path) -> Path:
    """Write a figure as PNG (150 dots an inch) or SVG by its suffix, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    metadata = {"Date": None} if out.suffix.lower() == ".svg" else None
    with replacing(out) as part, rc_context(STYLE):
        figure.savefig(part, format=out.suffix[1:].lower(), dpi=150, metadata=metadata)
    return out
