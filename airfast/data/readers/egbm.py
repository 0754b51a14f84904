"""EGBM (Kinect v2): a row a frame of 25 joints, each a position and an orientation, without names.

The format is not public; this is inferred, and joints without orientation (75 numbers a row) are read as any unnamed
table is, on the layout that ``--dataset egbm`` says.
"""

import re
from pathlib import Path

from airfast.data.readers.clip import SourceClip
from airfast.data.readers.tables import numbers

JOINTS, NUMBERS, FPS = 25, 7, 30.0  # x, y, z in metres and a quaternion
BEGINS = 16_384  # characters that the first row is within
NUMBER = re.compile(r"\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*")


def is_egbm(path: Path) -> bool:
    """Whether the first row is of as many numbers and nothing else."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            fields = file.readline(BEGINS).split(",")
    except OSError:
        return False
    return len(fields) == JOINTS * NUMBERS and all(NUMBER.fullmatch(field) for field in fields)


def read_egbm(path: Path, name: str) -> list[SourceClip]:
    """The one clip of a file; its label and person are for a label file to say.

    Raises:
        InputError: a table that cannot be read or has other columns.
    """
    positions = numbers(path, JOINTS * NUMBERS).reshape(-1, JOINTS, NUMBERS)[:, :, :3]
    return [SourceClip(name, positions, fps=FPS, unit="m", layout="kinect25")]
