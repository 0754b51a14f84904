"""What every reader returns, and how it becomes a clip of a layout."""

from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.skeletons.layout import METRES, Layout


@dataclass(frozen=True)
class SourceClip:
    """One clip as its file holds it.

    Attributes:
        name: the clip's name: its file, with `#index` or a given name where a file holds many.
        positions: (T, nodes, 3), global positions in `unit`, y up.
        joints: node names, or None if the nodes are those of the layout, in its order.
        fps: frames a second, None if the file does not say.
        unit: "m", "cm" or "mm", None if the file does not say.
        layout: layout the file names, None if it names none.
    """

    name: str
    positions: NDArray[np.generic]
    joints: tuple[str, ...] | None = None
    fps: float | None = None
    unit: str | None = None
    layout: str | None = None


FARTHEST = 1e4
"""Metres from the origin; beyond it float32 cannot tell millimetres apart, and nobody was recorded there."""


def to_layout(clip: SourceClip, layout: Layout, unit: str, where: str) -> NDArray[np.float32]:
    """The joints of the layout, in its order, in metres: (T, J, 3) float32.

    Joints the layout drops, and End Sites it does not name, are left out.

    Raises:
        InputError: a joint is unknown or missing, the clip has fewer than 2 frames, or a coordinate is not finite or
            absurd (FARTHEST).
    """
    if len(clip.positions) < 2:
        raise InputError(f"{where}: expected at least 2 frames, found {len(clip.positions)}")
    chosen = clip.positions[:, _source_index(clip, layout, where)].astype(np.float64)  # (T, J, 3)
    bad = np.argwhere(~np.isfinite(chosen))
    if len(bad):
        frame, joint, _ = bad[0]
        place = f"frame {frame} (from 0), joint {layout.joints[joint]}"
        raise InputError(f"{where}: {place}: expected a finite position, found {chosen[frame, joint]}")
    with np.errstate(over="ignore"):
        far = np.argwhere(np.abs(chosen) * METRES[unit] > FARTHEST)
    if len(far):
        frame, joint, axis = far[0]
        place = f"frame {frame} (from 0), joint {layout.joints[joint]}"
        found = f"{chosen[frame, joint, axis]:g} {unit}"
        raise InputError(f"{where}: {place}: expected at most {FARTHEST:g} m from the origin, found {found}")
    return (chosen * METRES[unit]).astype(np.float32)


def _source_index(clip: SourceClip, layout: Layout, where: str) -> list[int]:
    """Index of each joint of the layout among the clip's nodes."""
    if clip.joints is None:
        if clip.positions.shape[1] != len(layout.joints):
            raise InputError(
                f"{where}: expected {len(layout.joints)} joints (layout {layout.name}), found {clip.positions.shape[1]}"
            )
        return list(range(len(layout.joints)))
    found: dict[str, int] = {}
    for i, source in enumerate(clip.joints):
        name = layout.aliases.get(source, source)
        if name in layout.joints:
            if name in found:
                raise InputError(f"{where}: joint {name!r} is given twice")
            found[name] = i
        elif not source.endswith("_end") and not any(fnmatchcase(source, pattern) for pattern in layout.drop):
            near = get_close_matches(source, layout.joints, n=1)
            hint = f", nearest is {near[0]!r}" if near else ""
            raise InputError(f"{where}: unknown joint {source!r}, not in layout {layout.name}{hint}")
    missing = [name for name in layout.joints if name not in found]
    if missing:
        raise InputError(f"{where}: joint {missing[0]!r} of layout {layout.name} is missing")
    return [found[name] for name in layout.joints]
