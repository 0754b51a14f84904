"""E-Gait and Emotion-Gait (STEP): ``features*.h5`` with (T, 48) a clip, and ``labels*.h5`` beside it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import Said, SourceClip
from airfast.errors import InputError, in_one_line, shown
from airfast.reading import RATIO, UNPACKED

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
            found = {key: array_of(file, key, path) for key in sorted(file)}
        beside = path.with_name(path.name.replace("features", "labels", 1))
        if beside.is_file() and beside != path:
            with h5py.File(beside) as file:
                labels = {key: array_of(file, key, beside) for key in file}
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


def array_of(file: Any, key: str, path: Path) -> NDArray[Any]:
    """An array that lies in this very file and is not far larger than it; ValueError for links and promises."""
    import h5py

    found = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise ValueError(f"{shown(key)} is not an array of this file")
    if found.nbytes > max(UNPACKED, RATIO * path.stat().st_size):
        raise ValueError(f"{shown(key)} promises {found.shape} {found.dtype}, far more than the file")
    return np.asarray(found)
