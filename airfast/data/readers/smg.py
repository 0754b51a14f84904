"""SMG (Kinect v2): ``SampleNNNN_skeleton.csv``, and beside it how fast it was recorded and which gestures are in it.

``_skeleton.csv`` has a row a frame of 25 joints × 11 numbers, x, y, z first; ``_data.csv`` frames, fps, depth;
``_finelabels.csv`` gesture, first and last frame (from 1, inferred): each gesture is a clip. A sample is a person, and
the persons 36 to 40 are the test side.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import Said, SourceClip
from airfast.errors import InputError

NAME = re.compile(r"Sample(\d{4})_skeleton\.csv", re.IGNORECASE)
JOINTS, NUMBERS, FPS = 25, 11, 30.0
TEST = range(36, 41)


def is_smg(path: Path) -> bool:
    """Whether a file has the name of one of its skeletons."""
    return NAME.fullmatch(path.name) is not None


def read_smg(path: Path, name: str) -> list[SourceClip]:
    """The gestures of a sample, or the whole of it where it has no labels beside it."""
    said = NAME.fullmatch(path.name)
    assert said is not None
    table = numbers(path, JOINTS * NUMBERS)
    positions = table.reshape(-1, JOINTS, NUMBERS)[:, :, :3]
    beside = {kind: path.with_name(f"Sample{said[1]}_{kind}.csv") for kind in ("data", "finelabels")}
    fps = float(numbers(beside["data"], 3)[0, 1]) if beside["data"].is_file() else FPS
    about = Said(subject=said[1], split="test" if int(said[1]) in TEST else "train")
    clip = SourceClip(name, positions, fps=fps, unit="m", layout="kinect25", said=about)
    if not beside["finelabels"].is_file():
        return [clip]
    cuts = []
    for row, (gesture, first, last) in enumerate(numbers(beside["finelabels"], 3).astype(int).tolist()):
        if not 1 <= first < last <= len(positions):
            raise InputError(f"{beside['finelabels']}:{row + 1}: frames {first} to {last} of {len(positions)}")
        part, label = positions[first - 1 : last], replace(about, label=str(gesture))
        cuts.append(replace(clip, name=f"{name}#{row}", positions=part, said=label))
    return cuts


def numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """A table without names: (rows, columns)."""
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as numbers: {error}") from None
    if table.shape[1] != columns or not len(table):
        raise InputError(f"{path}: expected {columns} columns, found {table.shape[1] if len(table) else 'no row'}")
    return np.asarray(table, dtype=np.float64)
