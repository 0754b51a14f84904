"""iMiGUE (OpenPose): ``<id>_light_hand.csv``, and ``<id>_label.csv`` beside it with the gestures that are in it.

A row a frame: a column that is passed over, then x, y and confidence of 35 points, in pixels: the 25 of BODY_25 and
five of each hand, the left one first (inferred, as OpenPose lists them). ``_label.csv`` has gesture (99 is 32), first
and last frame (from 0, inferred): each gesture is a clip.
"""

import re
from pathlib import Path

from airfast.data.readers.clip import Said, SourceClip, in_a_plane
from airfast.data.readers.tables import numbers, segments

NAME = re.compile(r"(?P<id>[^/]+)_light_hand\.csv", re.IGNORECASE)
POINTS = 35


def is_imigue(path: Path) -> bool:
    """Whether a file has the name of one of its recordings."""
    return NAME.fullmatch(path.name) is not None


def read_imigue(path: Path, name: str) -> list[SourceClip]:
    """The gestures of a recording, or the whole of it where it has no labels beside it; NaN where a point was not seen.

    Raises:
        InputError: a table that cannot be read or has other columns, or a gesture of frames that there are not.
    """
    points = numbers(path, 1 + 3 * POINTS)[:, 1:].reshape(-1, POINTS, 3)
    take = re.sub("_light_hand", "", path.stem, flags=re.IGNORECASE)
    clip = SourceClip(name, in_a_plane(points), up="-y", layout="imigue22", said=Said(group=take), flat=True)
    labels = path.with_name(f"{take}_label.csv")
    return segments(clip, labels, 0, (("99", "32"),)) if labels.is_file() else [clip]
