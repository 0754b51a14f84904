"""Tables of numbers without names, as Kinect recorders and OpenPose's wrappers write them."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import SourceClip
from airfast.errors import InputError, in_one_line
from airfast.reading import read_text

CELL = 1e15  # beyond it a number is no index of a frame


def numbers(path: Path, columns: int) -> NDArray[np.float64]:
    """The rows of a table: (rows, columns) float64; blank lines are passed over.

    Raises:
        InputError: it cannot be read, is no table of numbers, has another count of columns, or no row.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: expected {columns} columns, found no row")
    try:
        table = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as numbers: {in_one_line(error)}") from None
    if table.shape[1] != columns:
        raise InputError(f"{path}: expected {columns} columns, found {table.shape[1]}")
    return np.asarray(table, dtype=np.float64)


def segments(
    clip: SourceClip, path: Path, first_frame: int, classes: Sequence[tuple[str, str]] = ()
) -> list[SourceClip]:
    """A clip for each segment that a table of labels names: class, first and last frame.

    Args:
        clip: the whole recording.
        path: the table.
        first_frame: what the table counts the first frame as, 0 or 1.
        classes: classes that stand for others.

    Raises:
        InputError: as :func:`numbers`, or frames that the recording does not have.
    """
    cuts = []
    for row, cells in enumerate(numbers(path, 3)):
        if not (np.abs(cells) < CELL).all():
            raise InputError(f"{path}:{row + 1}: expected a class, a first and a last frame, found {cells.tolist()}")
        label, first, last = (int(cell) for cell in cells)
        if not first_frame <= first < last < len(clip.positions) + first_frame:
            raise InputError(f"{path}:{row + 1}: frames {first} to {last} of {len(clip.positions)}")
        part = clip.positions[first - first_frame : last - first_frame + 1]
        said = replace(clip.said, label=dict(classes).get(str(label), str(label)))
        cuts.append(replace(clip, name=f"{clip.name}#{row}", positions=part, said=said))
    return cuts
