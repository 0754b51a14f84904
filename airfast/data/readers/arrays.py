"""Joint positions as `.npy` or `.npz` arrays, described by a small JSON.

    clip.npy    (T, J, 3): one clip; (N, T, J, 3): N clips of T frames
    clips.npz   `positions` as above, or (F, J, 3) with `lengths` (N,): N clips one after another.
                Optional: `names` (N,), `fps` (one number), `joints` (J,). Other arrays are ignored.

Positions are global, y up, integers or floats. Pickled objects are refused. The JSON is `<stem>.json` beside the array,
or else `dataset.json` in the same folder; its keys, all optional, are

    layout   name of the layout (or path of a layout file)
    fps      frames a second
    unit     "m", "cm" or "mm"
    joints   joint names in the order of the array; left out, the layout's order is meant
    names    clip names of a file that holds many

and win over the arrays of an `.npz`. A clip is called by its file, `<file>#<index>` where a file holds many without
names.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import SourceClip
from airfast.errors import InputError, in_one_line, shown
from airfast.reading import open_arrays, read_json

KEYS = {"layout": str, "fps": int | float, "unit": str, "joints": list, "names": list}
"""Keys of the JSON beside an array, and what they hold."""


def read_arrays(path: Path, name: str) -> list[SourceClip]:
    """Read the clips of an `.npy` or `.npz` file.

    Args:
        path: the array file.
        name: what to call its clips.

    Raises:
        InputError: the file cannot be read or has the wrong shape, or the JSON beside it has an unknown or wrong key.
    """
    arrays = _load(path)
    notes = {key: arrays[key].tolist() for key in ("names", "fps", "joints") if key in arrays} | _notes(path)
    positions = _positions(arrays, path)
    lengths = arrays.get("lengths")
    if lengths is None:
        clips = [positions] if positions.ndim == 3 else list(positions)
    else:
        clips = _cut(positions, lengths, path)
    if not clips:
        raise InputError(f"{path}: expected at least one clip, found none")
    alone = lengths is None and positions.ndim == 3
    usual = [name] if alone else [f"{name}#{i}" for i in range(len(clips))]
    names = words(notes["names"], "names", path) if "names" in notes else usual
    if len(names) != len(clips):
        raise InputError(f"{path}: expected {len(clips)} names (one a clip), found {len(names)}")
    joints = _joints(notes, positions.shape[-2], path)
    fps, unit, layout = notes.get("fps"), notes.get("unit"), notes.get("layout")
    return [SourceClip(n, clip, joints, fps, unit, layout=layout) for n, clip in zip(names, clips, strict=True)]


def notes_path(path: Path) -> Path | None:
    """The JSON that describes an array file, None if there is none."""
    beside = (path.with_suffix(".json"), path.with_name("dataset.json"))
    return next((candidate for candidate in beside if candidate.is_file()), None)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with open_arrays(path) as loaded:
            if isinstance(loaded, np.ndarray):
                return {"positions": loaded}
            known = {key: loaded[key] for key in ("positions", "lengths", "names", "fps", "joints") if key in loaded}
            there = ", ".join(loaded.files) or "nothing"
    except Exception as error:  # a damaged file ends in whatever NumPy, zipfile or tokenize happen to raise
        raise InputError(f"{path}: cannot be read as {path.suffix}: {in_one_line(error)}") from error
    if "positions" not in known:
        raise InputError(f"{path}: expected an array 'positions', found {there}")
    return known


def _positions(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    positions = arrays["positions"]
    ranks = (3,) if "lengths" in arrays else (3, 4)
    if positions.ndim not in ranks or positions.shape[-1] != 3 or positions.dtype.kind not in "iuf":
        wanted = "(frames, joints, 3)" + (" or (clips, frames, joints, 3)" if 4 in ranks else "")
        raise InputError(f"{path}: expected {wanted} numbers, found {positions.shape} {positions.dtype}")
    return positions


def _cut(positions: NDArray[Any], lengths: NDArray[Any], path: Path) -> list[NDArray[Any]]:
    wanted = f"{path}: expected whole lengths that sum to {len(positions)} frames, found"
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise InputError(f"{wanted} {lengths.shape} {lengths.dtype}")
    whole = [int(length) for length in lengths]  # a sum of int64 may come out right by overflow
    if min(whole, default=0) < 0 or sum(whole) != len(positions):
        raise InputError(f"{wanted} {sum(whole)}" + (", some of them negative" if min(whole, default=0) < 0 else ""))
    return np.split(positions, np.cumsum(whole)[:-1]) if whole else []


def words(values: Any, what: str, path: Path) -> list[str]:
    """Names as texts; InputError where they are no list of names or numbers."""
    if not isinstance(values, list):
        raise InputError(f"{path}: {what}: expected a list, found {shown(values)}")
    for each in values:
        if not isinstance(each, str | int) or isinstance(each, bool):
            raise InputError(f"{path}: {what}: expected names, found {shown(each)}")
    return [str(each) for each in values]


def _joints(notes: dict[str, Any], nodes: int, path: Path) -> tuple[str, ...] | None:
    if "joints" not in notes:
        return None
    joints = tuple(words(notes["joints"], "joints", path))
    if len(joints) != nodes:
        raise InputError(f"{path}: expected {nodes} joint names, found {len(joints)}")
    return joints


def _notes(path: Path) -> dict[str, Any]:
    source = notes_path(path)
    if source is None:
        return {}
    notes = read_json(source)
    if not isinstance(notes, dict):
        raise InputError(f"{source}: expected an object with the keys {', '.join(KEYS)}, found {type(notes).__name__}")
    for key, value in notes.items():
        if key not in KEYS:
            near = get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS)}"
            raise InputError(f"{source}: unknown key {key!r}, {hint}")
        if not isinstance(value, KEYS[key]):
            kind = "a number" if key == "fps" else "a list" if KEYS[key] is list else "a text"
            raise InputError(f"{source}: {key}: expected {kind}, found {shown(value)}")
    return notes
