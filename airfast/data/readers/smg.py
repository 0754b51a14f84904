"""SMG (Kinect v2): ``SampleNNNN_skeleton.csv``, and beside it how fast it was recorded and which gestures are in it.

``_skeleton.csv`` has a row a frame of 25 joints × 11 numbers, x, y, z first; ``_data.csv`` frames, fps, depth;
``_finelabels.csv`` gesture, first and last frame (from 1, inferred): each gesture is a clip. A sample is a person, and
the persons 36 to 40 are the test side.
"""

import re
from pathlib import Path

from airfast.data.readers.clip import Said, SourceClip
from airfast.data.readers.tables import numbers, segments

NAME = re.compile(r"Sample(\d{4})_skeleton\.csv", re.IGNORECASE)
JOINTS, NUMBERS, FPS = 25, 11, 30.0
TEST = range(36, 41)


def is_smg(path: Path) -> bool:
    """Whether a file has the name of one of its skeletons."""
    return NAME.fullmatch(path.name) is not None


def read_smg(path: Path, name: str) -> list[SourceClip]:
    """The gestures of a sample, or the whole of it where it has no labels beside it.

    Raises:
        InputError: a table that cannot be read or has other columns, or a gesture of frames that there are not.
    """
    sample = path.name.split("_")[0].lower().removeprefix("sample")
    positions = numbers(path, JOINTS * NUMBERS).reshape(-1, JOINTS, NUMBERS)[:, :, :3]
    data, labels = (path.with_name(re.sub("skeleton", kind, path.name, flags=re.I)) for kind in ("data", "finelabels"))
    fps = float(numbers(data, 3)[0, 1]) if data.is_file() else FPS
    about = Said(subject=sample, split="test" if int(sample) in TEST else "train")
    clip = SourceClip(name, positions, fps=fps, unit="m", layout="kinect25", said=about)
    return segments(clip, labels, 1) if labels.is_file() else [clip]
