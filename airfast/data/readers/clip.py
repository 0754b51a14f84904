"""What every reader returns, and how it becomes a clip of a layout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from airfast.data.gate import empty_frames
from airfast.errors import InputError
from airfast.skeletons.layout import METRES, Layout


@dataclass(frozen=True)
class Said:
    """What a file says of a clip, as a label file would, which wins; "" where it does not."""

    label: str = ""
    subject: str = ""
    group: str = ""
    split: str = ""
    family: str = ""


NOTHING = Said()


@dataclass(frozen=True)
class SourceClip:
    """One clip as its file holds it.

    Attributes:
        name: the clip's name: its file, with `#index` or a given name where a file holds many.
        positions: (T, nodes, 3), global positions in `unit`.
        joints: node names, or None if the nodes are those of the layout, in its order.
        fps: frames a second, None if the file does not say.
        unit: "m", "cm" or "mm", None if the file does not say.
        up: the axis that points up, a key of UP, None if the file does not say.
        layout: layout the file names, None if it names none.
        notes: what did not quite add up in the file, a line each.
        parents: index of each node's parent, -1 for the root; None if the file does not say.
        said: label and people, as far as the file says.
        person: index of who it is of the persons of one recording.
        recording: what the clips of all its persons share; "" for that of one.
        start: frame of the recording (from 0) that is the clip's first.
        flat: whether the third coordinate was not measured, and is 0.
    """

    name: str
    positions: NDArray[np.generic]
    joints: tuple[str, ...] | None = None
    fps: float | None = None
    unit: str | None = None
    up: str | None = None
    layout: str | None = None
    notes: tuple[str, ...] = ()
    parents: tuple[int, ...] | None = None
    said: Said = NOTHING
    person: int = 0
    recording: str = ""
    start: int = 0
    flat: bool = False


UP = {
    "y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-y": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    "-x": ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
}
"""Rotations, for column vectors, that turn the axis of that name upwards, to +y; none of them mirrors."""

FARTHEST = 1e4
"""Metres from the origin; beyond it float32 cannot tell millimetres apart, and nobody was recorded there."""


RATES = (0.01, 1e5)
"""Frames a second that motion is recorded at, with room to either side."""


def check_rate(rate: object, expected: str) -> None:
    """Raise InputError, which begins as told, unless a frame rate is a number within RATES."""
    low, high = RATES
    if not isinstance(rate, int | float) or not low <= rate <= high:
        raise InputError(f"{expected} a positive number, found {rate} ({low:g} to {high:g} are taken)")


@dataclass(frozen=True)
class Mending:
    """What the user has asked to be mended.

    Attributes:
        scale: times the positions, beside the unit.
        up: the axis of the files that points up, a key of UP; None for what the file says, or y.
        fill_gaps: frames that a joint may be missing (NaN) for and is put on the line between where it was seen.
        trim_empty: whether frames without a body are cut off at either end.
    """

    scale: float = 1.0
    up: str | None = None
    fill_gaps: int = 0
    trim_empty: bool = False


def to_layout(
    clip: SourceClip, layout: Layout, unit: str, where: str, mending: Mending | None = None
) -> NDArray[np.float32]:
    """The joints of the layout, in its order, in metres, y up: (T, J, 3) float32.

    Joints the layout drops, and End Sites it does not name, are left out.

    Raises:
        InputError: a joint is unknown or missing, the clip has fewer than 2 frames, or a coordinate is not finite or
            absurd (FARTHEST).
    """
    if len(clip.positions) < 2:
        raise InputError(f"{where}: expected at least 2 frames, found {len(clip.positions)}")
    mending = mending or Mending()
    chosen = filled(_joints(clip, layout, where), mending.fill_gaps)
    bad = np.argwhere(~np.isfinite(chosen))
    if len(bad):
        frame, joint, _ = bad[0]
        gap = "" if not np.isnan(chosen[frame, joint]).all() else "; --fill-gaps N puts gaps of N frames on a line"
        place = f"frame {frame} (from 0), joint {layout.joints[joint]}"
        raise InputError(f"{where}: {place}: expected a finite position, found {chosen[frame, joint]}{gap}")
    metres = METRES[unit] * mending.scale
    with np.errstate(over="ignore"):
        far = np.argwhere(np.abs(chosen) * metres > FARTHEST)
    if len(far):
        frame, joint, axis = far[0]
        place = f"frame {frame} (from 0), joint {layout.joints[joint]}"
        found = f"{chosen[frame, joint, axis]:g} {unit}"
        raise InputError(f"{where}: {place}: expected at most {FARTHEST:g} m from the origin, found {found}")
    turned = (chosen * metres) @ np.array(UP[mending.up or clip.up or "y"], dtype=np.float64).T
    return turned.astype(np.float32)


def persons_apart(clips: Sequence[SourceClip]) -> list[SourceClip]:
    """The persons of one recording, each under a name of its own where there are several."""
    if len(clips) < 2:
        return list(clips)
    return [replace(clip, name=f"{clip.name}#person{clip.person}", recording=clip.name) for clip in clips]


def of_persons(clips: Sequence[SourceClip], who: str) -> list[SourceClip]:
    """The clips of the persons asked for: all, the largest of each recording, or the one of an index."""
    if who == "all":
        return list(clips)
    if who != "largest":
        return [clip for clip in clips if clip.person == int(who)]
    largest: dict[str, SourceClip] = {}
    for clip in clips:
        key = clip.recording or clip.name
        if key not in largest or extent(clip) > extent(largest[key]):
            largest[key] = clip
    return list(largest.values())


def extent(clip: SourceClip) -> float:
    """The longest side of a body's box, the median over the frames that hold one."""
    positions = clip.positions.astype(np.float64)
    whole = positions[np.isfinite(positions).all(axis=(1, 2))]
    return float(np.median(np.ptp(whole, axis=1).max(axis=1))) if len(whole) else 0.0


def in_a_plane(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (T, P, 3) of x, y and confidence, as pose estimators give them: z is 0, NaN where nothing was seen."""
    seen = points[:, :, 2:] > 0
    return np.where(seen, np.concatenate([points[:, :, :2], np.zeros_like(points[:, :, 2:])], axis=2), np.nan)


def trimmed_of_zeros(person: NDArray[np.generic]) -> NDArray[np.generic] | None:
    """Joints (T, J, 3) without the zeros that fill a fixed length after the last frame; None where nobody was there."""
    there = np.flatnonzero(np.asarray(person).any(axis=(1, 2)))
    return person[: there[-1] + 1] if len(there) else None


def filled(positions: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Positions with gaps (NaN) of at most so many frames on the line between the frames before and after."""
    lost: NDArray[np.bool_] = np.asarray(np.isnan(positions).any(axis=2))  # (T, J)
    if not most or not lost.any():
        return positions
    out = positions.copy()
    for joint in np.flatnonzero(lost.any(axis=0)):
        here: NDArray[np.int64] = np.concatenate([[0], lost[:, joint], [0]]).astype(np.int64)
        edges = np.flatnonzero(np.diff(here))
        for first, end in edges.reshape(-1, 2).tolist():
            if end - first <= most and first > 0 and end < len(out):
                before, after = positions[first - 1, joint], positions[end, joint]
                share = (np.arange(first, end) - (first - 1)) / (end - first + 1)
                out[first:end, joint] = before + share[:, None] * (after - before)
    return out


def with_a_body(positions: NDArray[np.float32], where: str) -> slice:
    """The frames without those at either end that have all joints at one point; InputError where that leaves < 2."""
    there = np.flatnonzero(~empty_frames(positions))
    if len(there) < 2:
        raise InputError(f"{where}: --trim-empty leaves {len(there)} frames with a body, expected at least 2")
    return slice(int(there[0]), int(there[-1]) + 1)


def _joints(clip: SourceClip, layout: Layout, where: str) -> NDArray[np.float64]:
    """The joints of the layout, in its order, as the clip's nodes give them."""
    names = _names(clip, layout, where)
    sources = joint_sources(names, layout, where)
    if clip.parents is not None:
        own = [each[0] if len(each) == 1 else -1 for each in sources]
        _check_tree(names, clip.parents, own, layout, where)
    for joint, each in zip(layout.joints, sources, strict=True):
        if -1 in each:
            lacking = layout.derived[joint][each.index(-1)] if len(each) > 1 else joint
            raise InputError(f"{where}: joint {lacking!r} of layout {layout.name} is missing")
    return joints_from(clip.positions, sources)


def joint_sources(names: Sequence[str], layout: Layout, where: str) -> list[tuple[int, ...]]:
    """For each joint of a layout the points that it is the mean of, as indices into ``names``; -1 is a missing one.

    Raises:
        InputError: a name that the layout knows nothing of, or the same joint twice.
    """
    found: dict[str, int] = {}
    of_others = {each for sources in layout.derived.values() for each in sources}
    for i, source in enumerate(names):
        name = layout.aliases.get(source, source)
        if name in layout.joints or name in of_others:
            if name in found:
                raise InputError(f"{where}: joint {name!r} is given twice")
            found[name] = i
        elif not source.endswith("_end") and not any(fnmatchcase(source, pattern) for pattern in layout.drop):
            near = get_close_matches(source, layout.joints, n=1)
            hint = f", nearest is {near[0]!r}" if near else ""
            raise InputError(f"{where}: unknown joint {source!r}, not in layout {layout.name}{hint}")
    of = [(name,) if name in found else layout.derived.get(name, (name,)) for name in layout.joints]
    return [tuple(found.get(name, -1) for name in sources) for sources in of]


def joints_from(points: NDArray[np.generic], sources: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Points (T, P, 3) to joints (T, J, 3), each the mean of its sources."""
    joints = points[:, [each[0] for each in sources]].astype(np.float64)
    for joint, several in enumerate(sources):
        if len(several) > 1:
            joints[:, joint] = points[:, several].mean(axis=1, dtype=np.float64)
    return joints


def _names(clip: SourceClip, layout: Layout, where: str) -> tuple[str, ...]:
    """The names of a clip's nodes; where the file does not say, they are the layout's points in their order."""
    return clip.joints if clip.joints is not None else unnamed(clip.positions.shape[1], layout, where)


def unnamed(count: int, layout: Layout, where: str) -> tuple[str, ...]:
    """The names of points that come without; raises InputError where they are not as many as the layout's."""
    points = layout.points or tuple(name for name in layout.joints if name not in layout.derived)
    if count != len(points):
        raise InputError(f"{where}: expected {len(points)} joints (layout {layout.name}), found {count}")
    return points


def _check_tree(names: tuple[str, ...], parents: tuple[int, ...], index: list[int], layout: Layout, where: str) -> None:
    """Raise InputError where a joint's parent in the layout is not above it in the file (index -1: in no file)."""
    for joint, parent in enumerate(layout.parents):
        if index[joint] < 0 or (parent >= 0 and index[parent] < 0):
            continue
        above = parents[index[joint]]
        while above >= 0 and parent >= 0 and above != index[parent]:
            above = parents[above]
        if parent >= 0 and above < 0:
            said = f"layout {layout.name} has {layout.joints[joint]!r} below {layout.joints[parent]!r}"
            direct = parents[index[joint]]
            raise InputError(f"{where}: {said}, the file below {names[direct] if direct >= 0 else 'nothing'!r}")
