"""OpenPose's ``--write_json``: a file a frame, ``<take>_<number>_keypoints.json``, an object whose ``people`` are one.

``pose_keypoints_3d`` (with ``--3d``) is x, y, z and confidence a point, one after another, ``pose_keypoints_2d`` x, y
and confidence; a point of confidence 0 was not seen. 25 points are BODY_25, 18 the older COCO order; y points down.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import SourceClip, in_a_plane, persons_apart
from airfast.errors import InputError, shown
from airfast.reading import SETTINGS, read_json

NAME = re.compile(r"(?P<take>.*?)_?(?P<number>\d{1,15})_keypoints\.json", re.IGNORECASE)
LAYOUTS = {25: "openpose25", 18: "openpose18"}  # by points
KINDS = {"pose_keypoints_3d": 4, "pose_keypoints_2d": 3}  # numbers a point
NOT_TRACKED = "OpenPose numbers people anew in every frame: person 0 need not be the same one throughout"

Points = NDArray[np.float64]


def is_openpose(path: Path) -> bool:
    """Whether a file has the name of one of its frames."""
    return NAME.fullmatch(path.name) is not None


def take_of(path: Path) -> tuple[str, int]:
    """What the frames of a take have in common, and the number of this one."""
    said = NAME.fullmatch(path.name)
    return (said["take"], int(said["number"])) if said else (path.name, 0)


def one_a_take(paths: Iterable[Path]) -> list[Path]:
    """Files without the frames that follow another of their take: what is read from the first of them."""
    first: dict[tuple[Path, str], Path] = {}
    for path in paths:
        take, number = take_of(path)
        key = path.parent, take
        if key not in first or number < take_of(first[key])[1]:
            first[key] = path
    return list(first.values())


def read_openpose(path: Path, name: str) -> list[SourceClip]:
    """The take that a frame is of: a clip a person, called by the take, NaN where they or a point were not seen.

    Raises:
        InputError: a frame that cannot be read, no person in any, or numbers of points that are none of OpenPose's.
    """
    take, _ = take_of(path)
    frames = {
        take_of(each)[1]: each for each in path.parent.iterdir() if is_openpose(each) and take_of(each)[0] == take
    }
    persons: dict[str, dict[int, dict[str, Points]]] = {}
    tracked = True
    for number in sorted(frames):
        for index, person in enumerate(people_of(frames[number])):
            known = person.get("person_id")
            known = known[0] if isinstance(known, list) and known else known
            has_id = isinstance(known, int) and known >= 0
            tracked &= has_id or index == 0
            of = persons.setdefault(str(known if has_id else index), {})
            of[number] = {kind: points_of(person, kind, frames[number]) for kind in KINDS}
    if not persons:
        raise InputError(f"{path}: expected a person, found none in {len(frames)} frames")
    called = f"{name.removesuffix(path.name)}{take}".rstrip("/") or path.parent.name
    notes = () if tracked else (NOT_TRACKED,)
    clips = [clip_of(seen, called, path, index, notes) for index, seen in enumerate(persons.values())]
    return persons_apart([replace(clip, start=clip.start - min(frames)) for clip in clips])


def people_of(path: Path) -> list[dict[str, Any]]:
    """The people of a frame."""
    said = read_json(path, SETTINGS)
    people = said.get("people") if isinstance(said, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise InputError(f"{path}: expected an object with a list 'people', as OpenPose writes, found {shown(said)}")
    return people


def points_of(person: dict[str, Any], kind: str, path: Path) -> Points:
    """The points of a person: (P, 4) or (P, 3), (0, …) where there are none."""
    flat, size = person.get(kind) or [], KINDS[kind]
    whole = isinstance(flat, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and abs(each) < 1e300 for each in flat
    )
    if not whole or len(flat) % size or len(flat) // size not in (0, *LAYOUTS):
        known = " or ".join(map(str, LAYOUTS))
        found = f"{len(flat)} numbers" if whole else shown(flat)
        raise InputError(f"{path}: {kind}: expected {size} numbers for each of {known} points, found {found}")
    return np.array(flat, dtype=np.float64).reshape(-1, size)


def clip_of(
    seen: dict[int, dict[str, Points]], name: str, path: Path, person: int, notes: tuple[str, ...]
) -> SourceClip:
    """One person's frames, from the first to the last with a third dimension where there is one."""
    kind = next((each for each in KINDS if any(len(points[each]) for points in seen.values())), "")
    there = {number: points[kind] for number, points in seen.items() if len(points[kind])} if kind else {}
    if not there:
        raise InputError(f"{path}: person {person}: expected points in one frame at least, found none")
    first, last = min(there), max(there)
    count = {len(points) for points in there.values()}
    if len(count) > 1:
        raise InputError(f"{path}: person {person}: expected one count of points, found {sorted(count)}")
    if last - first >= 2 * len(there) + 1000:
        found = f"{len(there)} between {first} and {last}"
        raise InputError(f"{path}: person {person}: expected frames one after another, found {found}")
    (points,) = count
    table = np.full((last - first + 1, points, KINDS[kind]), np.nan)
    for number, frame in there.items():
        table[number - first] = frame
    flat = kind == "pose_keypoints_2d"
    positions = in_a_plane(table) if flat else np.where(table[:, :, 3:] > 0, table[:, :, :3], np.nan)
    layout = LAYOUTS[points]
    return SourceClip(name, positions, up="-y", layout=layout, notes=notes, person=person, start=first, flat=flat)
