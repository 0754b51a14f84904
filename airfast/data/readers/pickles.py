"""The pickles of pyskl and mmaction2, opened without running anything: arrays, lists, dicts, texts and numbers alone.

One object: ``{"split": {name: [frame_dir, …]}, "annotations": [{"frame_dir", "total_frames", "label", "keypoint"
(M, T, V, C)}, …]}``, of M persons; with C of 2, pixels, y points down.
"""

import mmap
import pickle
from codecs import encode
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import Said, SourceClip, persons_apart, trimmed_of_zeros
from airfast.errors import InputError, in_one_line, one_line, shown

LAYOUTS = {17: "coco17", 18: "openpose18", 25: "kinect25"}  # by joints
SIDES = {"train": "train", "val": "test", "test": "test"}
FPS = 30.0


class Array:
    """Stands for numpy.ndarray while an array is put together: called by itself it would make any size."""


def empty_array(kind: type, shape: tuple[int, ...], typecode: bytes) -> Any:
    """As NumPy begins an array that its state then fills; the state is checked against its bytes by NumPy."""
    if kind is not Array or shape != (0,):
        raise pickle.UnpicklingError("an array that does not begin empty")
    return np.ndarray.__new__(np.ndarray, (0,), typecode.decode() if isinstance(typecode, bytes) else typecode)


def from_buffer(buffer: Any, kind: Any, shape: tuple[int, ...], order: str) -> Any:
    """An array of protocol 5."""
    return np.frombuffer(bytes(buffer), dtype=kind).reshape(shape, order=order)  # type: ignore[call-overload]


def scalar(kind: Any, data: Any) -> Any:
    """A number of NumPy's."""
    return np.frombuffer(data, kind)[0]


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): encode,
}
for _home in ("numpy.core", "numpy._core"):
    KNOWN[f"{_home}.multiarray", "_reconstruct"] = empty_array
    KNOWN[f"{_home}.multiarray", "scalar"] = scalar
    KNOWN[f"{_home}.numeric", "_frombuffer"] = from_buffer


class Reader(pickle.Unpickler):
    """An unpickler that knows arrays and nothing else that could be called, and that allocates what it reads."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names."""
        try:
            return KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not opened") from None


def load(path: Path) -> Any:
    """The object of a file, which is mapped: a file that is open would make room for as much as a damaged one promises.

    Raises:
        Exception: whatever the opcodes of a damaged pickle happen to raise.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        check_memo(mapped)
        mapped.seek(0)
        return Reader(mapped).load()


def check_memo(file: mmap.mmap) -> None:
    """UnpicklingError where a pickle remembers a thing under a number that no writer comes to: a table of that size."""
    puts = 0
    for opcode, number, _ in genops(file):  # type: ignore[arg-type]  # it reads and readlines, which is asked of it
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            if not isinstance(number, int) or not 0 <= number <= puts:
                raise pickle.UnpicklingError("damaged: it numbers what it remembers out of turn")
            puts += 1


def word(value: Any) -> str:
    """A name or number as text; what is in a list may be that list a billion times."""
    if not isinstance(value, str | int | np.integer):
        raise pickle.UnpicklingError(f"expected a name or a number, found {shown(value)}")
    return one_line(str(value))


def read_pickle(path: Path, name: str) -> list[SourceClip]:
    """The clips of a file: one an annotation and person, called by its ``frame_dir``.

    Raises:
        InputError: another kind of pickle, one that would run something, or joints of no known set.
    """
    try:
        said = load(path)
        sides = sides_of(said["split"])
        rows = [(word(row["frame_dir"]), keypoints_of(row), label_of(row)) for row in said["annotations"]]
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: expected a pickle with split and annotations, as pyskl's; {error}") from None
    except Exception as error:  # a damaged pickle ends in whatever its opcodes happen to raise
        raise InputError(f"{path}: cannot be read as a pickle: {in_one_line(error)}") from None
    clips = []
    for clip, keypoints, label in rows:
        where = f"{path} {clip}"
        if keypoints.ndim != 4 or keypoints.dtype.kind not in "iuf":
            raise InputError(f"{where}: expected keypoints (persons, frames, joints, 3), found {keypoints.shape}")
        flat = keypoints.shape[-1] == 2
        if keypoints.shape[-1] != 3 and not flat:
            raise InputError(f"{where}: expected keypoints of 2 or 3 coordinates, found {keypoints.shape[-1]}")
        if keypoints.shape[2] not in LAYOUTS:
            raise InputError(
                f"{where}: {keypoints.shape[2]} joints are of no known set ({', '.join(LAYOUTS.values())})"
            )
        about = Said(label=label, split=sides.get(clip, ""))
        persons = [each for person in keypoints if (each := trimmed_of_zeros(person)) is not None]
        layout, up = LAYOUTS[keypoints.shape[2]], "-y" if flat else None
        if flat:
            persons = [np.pad(each, ((0, 0), (0, 0), (0, 1))) for each in persons]
        clips += persons_apart(
            [
                SourceClip(clip, each, fps=FPS, up=up, layout=layout, said=about, person=person, flat=flat)
                for person, each in enumerate(persons)
            ]
        )
    if not clips:
        raise InputError(f"{path}: expected annotations with a person, found none")
    return clips


def keypoints_of(row: Any) -> NDArray[Any]:
    """The array of an annotation."""
    found = row["keypoint"]
    if not isinstance(found, np.ndarray):
        raise pickle.UnpicklingError(f"expected keypoints as an array, found {shown(found)}")
    return found


def label_of(row: Any) -> str:
    """The label of an annotation; empty where there is none."""
    return "" if row.get("label") is None else word(row["label"])


def sides_of(splits: Any) -> dict[str, str]:
    """The side of every clip, where there is one split alone: sets with several leave it to the user."""
    ends = {str(key).rsplit("_", 1)[-1]: clips for key, clips in splits.items()}
    named = {SIDES[end]: clips for end, clips in ends.items() if end in SIDES}
    if len(splits) != 2 or set(named) != {"train", "test"}:
        return {}
    return {word(clip): side for side, clips in named.items() for clip in clips}
