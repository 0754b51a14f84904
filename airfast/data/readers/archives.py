"""NumPy files as the field ships them, beside airfast's own (:mod:`airfast.data.readers.arrays`).

AMASS and SMPL       .npz with joints (``Jtr`` or ``joints``: (T, J, 3)), z up; ``poses`` alone are refused
CTR-GCN              .npz with ``x_train``, ``y_train``, ``x_test``, ``y_test``: (N, T, 2·25·3), one-hot labels
CMD and UmURL        ``*_data_joint.npy``: (N, 3, T, 25, M), with ``*_label.pkl`` beside it
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.arrays import read_arrays
from airfast.data.readers.clip import Said, SourceClip, persons_apart, trimmed_of_zeros
from airfast.data.readers.pickles import load, word
from airfast.errors import InputError, in_one_line
from airfast.reading import map_array, open_arrays

SMPL = {
    22: ("smpl22", list(range(22))),
    24: ("canonical", list(range(24))),
    52: ("canonical", [*range(22), 22, 37]),  # SMPL-H: the first joint of each hand's index finger
    55: ("canonical", [*range(22), 25, 40]),  # SMPL-X: after jaw and eyes
}
"""By joints: the layout, and which of them it is made of."""
FPS = 30.0  # of Kinect v2
UMURL = re.compile(r"(?P<side>train|test|val)?_?.*data_joint\.npy", re.IGNORECASE)


def read_archive(path: Path, name: str) -> list[SourceClip]:
    """The clips of an .npy or .npz file.

    Raises:
        InputError: as of :func:`airfast.data.readers.arrays.read_arrays`, or an archive that lacks what its kind needs.
    """
    if path.suffix.lower() == ".npy":
        return read_umurl(path, name) if is_umurl(path) else read_arrays(path, name)
    there = keys_of(path)
    if {"x_train", "y_train"} <= there or {"x_test", "y_test"} <= there:
        return read_ctrgcn(path, name, there)
    if "positions" not in there and there & {"Jtr", "joints", "poses"}:
        return read_smpl(path, name, there)
    return read_arrays(path, name)


def keys_of(path: Path) -> set[str]:
    """Names of the arrays of an archive; none of one that cannot be read, which is found out when it is."""
    try:
        with open_arrays(path) as loaded:
            return set() if isinstance(loaded, np.ndarray) else set(loaded.files)
    except Exception:  # a damaged file ends in whatever NumPy and zipfile happen to raise
        return set()


def arrays_of(path: Path, *names: str) -> list[NDArray[Any]]:
    """Some arrays of an archive."""
    try:
        with open_arrays(path) as loaded:
            return [loaded[name] for name in names]
    except Exception as error:  # as above
        raise InputError(f"{path}: cannot be read as {path.suffix}: {in_one_line(error)}") from error


def read_smpl(path: Path, name: str, there: set[str]) -> list[SourceClip]:
    """Joints that a body model gave."""
    key = next((each for each in ("Jtr", "joints") if each in there), None)
    if key is None:
        raise InputError(
            f"{path}: holds SMPL's pose parameters ('poses') and no joints; they follow from the licensed body model "
            "alone: save what it gives as 'Jtr' (frames, 24, 3) beside them"
        )
    rate = next((each for each in ("mocap_framerate", "mocap_frame_rate", "fps") if each in there), None)
    joints, *said = arrays_of(path, key, *([rate] if rate else []))
    if joints.ndim != 3 or joints.shape[2] != 3 or joints.shape[1] not in SMPL or joints.dtype.kind not in "iuf":
        known = ", ".join(map(str, SMPL))
        raise InputError(f"{path}: {key}: expected (frames, joints, 3) of {known} joints, found {joints.shape}")
    layout, taken = SMPL[joints.shape[1]]
    fps = float(said[0]) if said and said[0].size == 1 else None
    return [SourceClip(name, joints[:, taken], fps=fps, unit="m", up="z", layout=layout)]


def read_ctrgcn(path: Path, name: str, there: set[str]) -> list[SourceClip]:
    """Both sides, of each every person that was there, without the zeros after the last frame."""
    clips = []
    for side in ("train", "test"):
        if not {f"x_{side}", f"y_{side}"} <= there:
            continue
        x, y = arrays_of(path, f"x_{side}", f"y_{side}")
        if x.ndim != 3 or x.shape[2] != 150 or x.dtype.kind not in "iuf" or len(y) != len(x):
            raise InputError(f"{path}: x_{side}: expected (clips, frames, 150) and as many labels, found {x.shape}")
        labels = y.argmax(axis=1) if y.ndim == 2 else y
        for index, (flat, label) in enumerate(zip(x, labels.tolist(), strict=True)):
            persons = flat.reshape(-1, 2, 25, 3).swapaxes(0, 1)
            about = Said(label=str(label), split=side)
            clips += kinect(f"{name}#{side}{index}", persons, about)
    return clips


def is_umurl(path: Path) -> bool:
    """Whether a .npy is of the shape (N, 3, T, 25, M)."""
    try:
        shape = map_array(path).shape
    except Exception:  # as above
        return False
    return len(shape) == 5 and shape[1] == 3 and shape[3] == 25


def read_umurl(path: Path, name: str) -> list[SourceClip]:
    """Every person of every clip, without the zeros after the last frame; labels from the pickle beside it."""
    data = map_array(path)
    beside = path.with_name(re.sub(r"data_joint\.npy$", "label.pkl", path.name))
    names: list[str] = [f"{name}#{i}" for i in range(len(data))]
    labels: list[str] = [""] * len(data)
    if beside.is_file() and beside != path:
        try:
            said = load(beside)
            names, labels = [word(each) for each in said[0]], [word(each) for each in said[1]]
        except Exception as error:  # as of any pickle
            raise InputError(f"{beside}: cannot be read as a pickle: {in_one_line(error)}") from None
        if not len(names) == len(labels) == len(data):
            raise InputError(f"{beside}: expected {len(data)} names and labels, found {len(names)} and {len(labels)}")
    said_side = UMURL.fullmatch(path.name)
    side = {"train": "train", "test": "test", "val": "test"}.get((said_side and said_side["side"]) or "", "")
    clips = []
    for clip, called, label in zip(data, names, labels, strict=True):
        clips += kinect(called, np.asarray(clip).transpose(3, 1, 2, 0), Said(label=label, split=side))
    return clips


def kinect(name: str, persons: NDArray[Any], about: Said) -> list[SourceClip]:
    """Persons (M, T, 25, 3) of one recording, those that were there."""
    kept = [each for person in persons if (each := trimmed_of_zeros(person)) is not None]
    clips = [
        SourceClip(name, each, fps=FPS, unit="m", layout="kinect25", said=about, person=index)
        for index, each in enumerate(kept)
    ]
    return persons_apart(clips)
