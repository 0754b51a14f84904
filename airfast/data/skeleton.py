"""The skeleton that a run reads a set as: its own joints or the canonical ones, and how they are parted."""

from dataclasses import replace

import numpy as np

from airfast.config import Config
from airfast.data.motion import FRAMES, MotionSet
from airfast.data.room import room
from airfast.skeletons.canonical import canonical_joints
from airfast.skeletons.layout import load_layout
from airfast.skeletons.partition import equal_parts


def canonical(motion: MotionSet) -> MotionSet:
    """A set on the 24 canonical joints; one that has them already is returned as it is.

    ``info["lacking"]`` lists the joints that the set's layout does not have; how they are placed instead is said in
    :func:`airfast.skeletons.canonical.canonical_joints`, as is the InputError for a layout that names none.
    """
    layout = load_layout("canonical")
    if motion.layout.joints == layout.joints:
        return motion
    weights, lacking = canonical_joints(motion.layout, layout)
    positions = room((len(motion.positions), len(layout.joints), 3))
    for first in range(0, len(positions), FRAMES):
        some = slice(first, first + FRAMES)
        np.matmul(weights, motion.positions[some], out=positions[some])
    return replace(motion, positions=positions, layout=layout, info=motion.info | {"lacking": list(lacking)})


def as_configured(motion: MotionSet, config: Config) -> MotionSet:
    """A set as ``inputs.joints`` and ``air.partition`` say."""
    if config.inputs.joints == "canonical":
        motion = canonical(motion)
    return replace(motion, layout=equal_parts(motion.layout)) if config.air.partition == "equal" else motion
