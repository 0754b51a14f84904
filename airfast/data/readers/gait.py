"""E-Gait and Emotion-Gait (STEP): ``features*.h5`` with (T, 48) a clip, and ``labels*.h5`` beside it."""

from pathlib import Path
from typing import Any

import numpy as np

from airfast.data.readers.clip import Said, SourceClip
from airfast.errors import InputError, in_one_line

# In the order that the data suggest; the one printed in STEP's code contradicts them.
CLASSES = ("happy", "angry", "sad", "neutral")


def read_gait(path: Path, name: str) -> list[SourceClip]:
    """The clips of a file, in alphabetical order of their keys.

    Raises:
        InputError: h5py is not installed, the file cannot be read, or a clip is not (T, 48).
    """
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(f"{path}: needs h5py; pip install 'airfast[formats]'") from None
    labels: dict[str, Any] = {}
    try:
        with h5py.File(path) as file:
            found = {key: np.asarray(file[key]) for key in sorted(file)}
        beside = path.with_name(path.name.replace("features", "labels", 1))
        if beside.is_file() and beside != path:
            with h5py.File(beside) as file:
                labels = {key: np.asarray(file[key]) for key in file}
    except Exception as error:  # a damaged file ends in whatever HDF5 happens to raise
        raise InputError(f"{path}: cannot be read as .h5: {in_one_line(error)}") from None
    clips = []
    for key, flat in found.items():
        if flat.ndim != 2 or flat.shape[1] != 48:
            raise InputError(f"{path}: {key}: expected (frames, 48), found {flat.shape}")
        number = int(labels[key].reshape(-1)[0]) if key in labels else -1
        label = CLASSES[number] if 0 <= number < len(CLASSES) else ""
        clips.append(SourceClip(f"{name}#{key}", flat.reshape(-1, 16, 3), layout="gait16", said=Said(label=label)))
    if not clips:
        raise InputError(f"{path}: expected clips, found none")
    return clips
