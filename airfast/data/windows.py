"""Long recordings cut into windows of equal length."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from airfast.data.motion import MotionSet
from airfast.errors import InputError


@dataclass(frozen=True)
class Windows:
    """Windows of a set.

    Attributes:
        motion: a clip a window, under the name of its recording.
        clip: (W,) int64, index of the recording that each comes from.
        first: (W,) int64, its first frame there.
    """

    motion: MotionSet
    clip: NDArray[np.int64]
    first: NDArray[np.int64]


def cut(motion: MotionSet, seconds: float, hop: float | None = None) -> Windows:
    """Cut every clip into windows of ``seconds``, one every ``hop`` seconds.

    The last window of a clip ends with it, so that every frame is in one; a clip that is not longer than a window is
    one window as it is.

    Args:
        motion: the set.
        seconds: length of a window.
        hop: from one start to the next; half a window if not given.

    Raises:
        InputError: a window or hop that is not positive, or a hop that leaves out frames.
    """
    hop = seconds / 2 if hop is None else hop
    if not 0 < hop <= seconds < 1e6:
        raise InputError(f"window and hop: expected 0 < hop ≤ window in seconds, found {seconds:g} and {hop:g}")
    clips, firsts, lengths = [], [], []
    for clip, (length, fps) in enumerate(zip(motion.lengths.tolist(), motion.fps.tolist(), strict=True)):
        size = min(length, max(1, round(seconds * fps)))
        starts = np.unique(np.append(np.arange(0, length - size + 1, max(1, round(hop * fps))), length - size))
        clips.append(np.full(len(starts), clip))
        firsts.append(starts)
        lengths.append(np.full(len(starts), size))
    origin, first, size_of = (np.concatenate(each).astype(np.int64) for each in (clips, firsts, lengths))
    starts = motion.offsets[origin] + first
    frames = np.concatenate([np.arange(start, start + size) for start, size in zip(starts, size_of, strict=True)])
    windows = replace(
        motion,
        positions=motion.positions[frames],
        lengths=size_of,
        fps=motion.fps[origin],
        names=tuple(motion.names[i] for i in origin),
        labels=motion.labels[origin],
        subjects=tuple(motion.subjects[i] for i in origin),
        groups=tuple(motion.groups[i] for i in origin),
    )
    return Windows(windows, origin, first)


def into_clips(motion: MotionSet, seconds: float, hop: float | None = None) -> MotionSet:
    """The windows of a set as a set: each under its recording's name and its start, on the side that this was on.

    ``info["recordings"]`` says which recording each comes from: :func:`airfast.data.splits.split` parts none of them.

    Raises:
        InputError: as :func:`cut`.
    """
    windows = cut(motion, seconds, hop)
    starts = windows.first / windows.motion.fps
    names = tuple(f"{name}@{start:.2f}s" for name, start in zip(windows.motion.names, starts, strict=True))
    clips = dict(zip(names, windows.motion.names, strict=True))
    known, persons, sides = (motion.info.get(key, {}) for key in ("recordings", "persons", "split"))
    info = dict(motion.info) | {"recordings": {name: known.get(clip, clip) for name, clip in clips.items()}}
    if sides:
        info["split"] = {name: sides[clip] for name, clip in clips.items()}
    if persons:
        firsts = dict(zip(names, windows.first.tolist(), strict=True))
        info["persons"] = {
            name: persons[clip] | {"first_frame": persons[clip]["first_frame"] + firsts[name]}
            for name, clip in clips.items()
            if clip in persons
        }
    return replace(windows.motion, names=names, info=info)
