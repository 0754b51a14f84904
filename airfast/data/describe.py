"""What is in a prepared set, and what is odd about it."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.gate import copies, kept, leaking, summary
from airfast.data.motion import MotionSet
from airfast.data.splits import leaks, split

PLAUSIBLE_HEIGHT = (0.5, 3.0)
"""Metres; a body outside is more likely in the wrong unit, or not y up."""


def describe(motion: MotionSet) -> dict[str, Any]:
    """Facts and warnings about a set, JSON-ready.

    Returns:
        name, synthetic, note; layout, joints; clips, frames, seconds; clip_frames and body_height (metres) as {min,
        median, max}; fps, classes, subjects, groups, families as {value: clips} (unknown ones are left out);
        unlabelled, a number of clips; warnings, a list of lines.
    """
    heights = body_heights(motion)
    return {
        "name": motion.info.get("name", ""),
        "synthetic": bool(motion.info.get("synthetic", False)),
        "note": motion.info.get("note", ""),
        "layout": motion.layout.name,
        "joints": list(motion.layout.joints),
        "clips": len(motion),
        "frames": len(motion.positions),
        "seconds": round(float((motion.lengths / motion.fps).sum()), 1),
        "clip_frames": _range(motion.lengths),
        "body_height": _range(heights),
        "fps": {f"{rate:g}": count for rate, count in sorted(Counter(motion.fps.tolist()).items())},
        "classes": {name: int((motion.labels == i).sum()) for i, name in enumerate(motion.classes)},
        "unlabelled": int((motion.labels < 0).sum()),
        "subjects": _counts(motion.subjects),
        "groups": _counts(motion.groups),
        "families": _counts(motion.families),
        "warnings": warnings(motion, heights),
    }


def body_heights(motion: MotionSet) -> NDArray[np.float32]:
    """(N,) float32, metres: vertical extent of the joints, the median over each clip's frames."""
    extent = np.ptp(motion.positions[:, :, 1], axis=1)
    clips = np.split(extent, motion.offsets[1:])
    return np.array([np.median(clip) for clip in clips], dtype=np.float32)


def warnings(motion: MotionSet, heights: NDArray[np.float32]) -> list[str]:
    """Lines about what preparing has found (or heights), short clips, copies, missing classes and leaks."""
    held = motion.info.get("findings")
    if held is None:  # a set that was made in memory, or by an older version
        held = kept([*copies(motion), *leaking(motion)])
        return [*_odd_heights(motion, heights), *_short(motion), *summary(held), *_odd_labels(motion), *_leaks(motion)]
    return [*summary(held), *_odd_labels(motion), *_leaks(motion)]


def _odd_heights(motion: MotionSet, heights: NDArray[np.float32]) -> list[str]:
    low, high = PLAUSIBLE_HEIGHT
    odd = np.flatnonzero((heights < low) | (heights > high))
    if not len(odd):
        return []
    first = f"{motion.names[odd[0]]}: {heights[odd[0]]:.3g} m"
    return [f"{len(odd)} of {len(motion)} body heights are outside {low:g}-{high:g} m (unit? y up?), the first {first}"]


def _short(motion: MotionSet) -> list[str]:
    short = np.flatnonzero(motion.lengths < 2)
    if not len(short):
        return []
    return [f"{len(short)} clips have fewer than 2 frames, the first: {motion.names[short[0]]}"]


def _odd_labels(motion: MotionSet) -> list[str]:
    if not motion.classes:
        return []
    present = np.unique(motion.labels[motion.labels >= 0])
    if len(present) == 1:
        return [f"only one class: {motion.classes[present[0]]}"]
    return []


def _leaks(motion: MotionSet) -> list[str]:
    """Leaks of a random split, where the source declares none."""
    declared = len(set(motion.info.get("split", {}).values()) - {""}) > 1
    if declared or np.bincount(motion.labels[motion.labels >= 0], minlength=2).max() < 2:
        return []
    return [f"a random split leaks: {line}" for line in leaks(motion, *split(motion, "random", seed=0))]


def _counts(column: tuple[str, ...]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in column if value).items()))


def _range(values: NDArray[Any]) -> dict[str, float]:
    return {
        "min": round(float(values.min()), 3),
        "median": round(float(np.median(values)), 3),
        "max": round(float(values.max()), 3),
    }
