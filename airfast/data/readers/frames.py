"""Frames as lines of text: JSON or CSV, as sensors, pose estimators and spreadsheets write them.

A line of JSON is an object with the joints of one body (or of several) or the joints alone:

    {"time": 0.033, "person": "a", "joints": {"pelvis": [0, 1, 0], …}}    by name
    {"joints": [[0, 1, 0], …]}      [[0, 1, 0], …]      [0, 1, 0, …]      in the layout's order
    {"timestamp_ms": 33, "pose_world_landmarks": [[{"x": 0, "y": 0, "z": 0, "visibility": 1}, …], …]}    MediaPipe's

A line of CSV holds one body; the first line may name its columns: ``pelvis_x, pelvis_y, pelvis_z, …`` and, if present,
``time`` (seconds) or ``timestamp_ms`` and ``person``. Without names it is 3 numbers a joint in the layout's order.
Coordinates that are null, NaN or left out are of joints that were lost in that frame.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError, shown
from airfast.reading import parse_json

LANDMARKS = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
TIMES = {"time": 1.0, "timestamp": 1.0, "time_s": 1.0, "timestamp_ms": 1e-3, "timestampMs": 1e-3, "time_ms": 1e-3}
PERSONS = ("person", "person_id", "id")
PASSED_OVER = ("frame", "frame_id", "frame_index", "")
AXES = ("_x", "_y", "_z")
LOST: NDArray[np.float64] = np.empty((0, 3))


@dataclass(frozen=True)
class Frame:
    """One body at one moment.

    Attributes:
        points: (P, 3) float64, NaN where a point was lost; (0, 3) where the whole body was.
        names: of the points; None if they are those of the layout, in its order.
        person: who; "" if the line does not say.
        time: seconds; None if the line does not say.
        mediapipe: whether the points are MediaPipe's world landmarks: metres, y down.
    """

    points: NDArray[np.float64]
    names: tuple[str, ...] | None = None
    person: str = ""
    time: float | None = None
    mediapipe: bool = False


class FrameLines:
    """Lines to frames, one after another: the first line of CSV may name the columns of those that follow."""

    def __init__(self) -> None:
        self.columns: Columns | None = None
        self.header: list[str] = []
        self.started = False

    def read(self, line: str) -> list[Frame]:
        """The bodies of a line: none of a blank one or of names of columns.

        Raises:
            InputError: the line is neither JSON nor CSV of joints; the next may be read all the same.
        """
        line = line.strip().lstrip("\ufeff#").strip()
        if not line:
            return []
        if line[0] in "{[":
            return list(json_frames(line))
        fields = [field.strip() for field in next(csv.reader([line]))]
        first, self.started = not self.started, True
        if first and any(number(field) is None for field in fields):
            self.header = fields
            self.columns = named_columns(fields)
            return []
        if self.header and self.columns is None:  # numbers under names that were not understood are of no joint
            named_columns(self.header)
        return [csv_frame(fields, self.columns)]


@dataclass(frozen=True)
class Columns:
    """Where a line of CSV holds what.

    Attributes:
        names: of the joints.
        places: (P, 3) int64, columns of their coordinates.
        person, time: columns; None where there is none.
        scale: seconds in one unit of the time.
        count: columns in all.
    """

    names: tuple[str, ...]
    places: NDArray[np.int64]
    person: int | None
    time: int | None
    scale: float
    count: int


def named_columns(header: Sequence[str]) -> Columns:
    """What names of columns say; raises InputError where a coordinate is missing or a column is none of a frame."""
    where: dict[str, dict[str, int]] = {}
    person = time = None
    scale = 1.0
    for place, name in enumerate(header):
        joint, axis = name[:-2], name[-2:].lower()
        if axis in AXES and joint:
            where.setdefault(joint, {})[axis] = place
        elif name in TIMES:
            time, scale = place, TIMES[name]
        elif name in PERSONS:
            person = place
        elif name.lower() not in PASSED_OVER:
            raise InputError(f"column {name!r}: expected JOINT_x, JOINT_y, JOINT_z, {', '.join((*TIMES, *PERSONS))}")
    lacking = [joint for joint, axes in where.items() if len(axes) < 3]
    if lacking or not where:
        raise InputError(f"expected columns JOINT_x, _y and _z, found not all of {(lacking or ['any joint'])[0]}")
    common = "body_" if all(joint.startswith("body_") for joint in where) else ""  # FreeMoCap's, before all of them
    names = tuple(joint.removeprefix(common) for joint in where)
    places = np.array([[axes[axis] for axis in AXES] for axes in where.values()], dtype=np.int64)
    return Columns(names, places, person, time, scale, len(header))


def csv_frame(fields: Sequence[str], columns: Columns | None) -> Frame:
    """A line of CSV as a frame."""
    if columns is None:
        values = [lost_or_number(field) for field in fields]
        if len(values) % 3:
            raise InputError(f"expected 3 numbers a joint, found {len(values)} numbers")
        return Frame(np.array(values, dtype=np.float64).reshape(-1, 3))
    if len(fields) != columns.count:
        raise InputError(f"expected {columns.count} fields, found {len(fields)}")
    points = [[lost_or_number(fields[place]) for place in row] for row in columns.places]
    person = "" if columns.person is None else fields[columns.person]
    time = None if columns.time is None else moment(number(fields[columns.time]), columns.scale)
    return Frame(np.array(points, dtype=np.float64), columns.names, person, time)


HUGE = 1e300
"""What is farther or later is nowhere; JSON has integers that are no float at all."""


def json_frames(line: str) -> Iterator[Frame]:
    """A line of JSON as frames."""
    try:
        said = parse_json(line)
    except ValueError as error:
        raise InputError(str(error)) from None
    if not isinstance(said, dict):
        yield Frame(in_order(said))
        return
    unit = next((name for name in TIMES if name in said), None)
    time = None if unit is None else moment(said[unit], TIMES[unit])
    person = str(next((said[name] for name in PERSONS if said.get(name) is not None), ""))
    landmarks = next((said[name] for name in LANDMARKS if name in said), None)
    if landmarks is not None:
        bodies = landmarks if landmarks and isinstance(landmarks[0], list) else [landmarks]
        for index, body in enumerate(bodies):
            who = person or (str(index) if len(bodies) > 1 else "")
            yield Frame(in_order(body) if body else LOST, None, who, time, mediapipe=True)
        return
    if "joints" not in said:
        known = f"joints or {LANDMARKS[0]}"
        raise InputError(f"expected an object with {known}, found {', '.join(map(str, said)) or 'an empty one'}")
    joints = said["joints"]
    if not joints:
        yield Frame(LOST, None, person, time)
    elif isinstance(joints, Mapping):
        yield Frame(np.array([point(each) for each in joints.values()]), tuple(map(str, joints)), person, time)
    else:
        yield Frame(in_order(joints), None, person, time)


def in_order(values: Any) -> NDArray[np.float64]:
    """Points as lists of three, as objects with x, y and z, or as one flat list."""
    if not isinstance(values, list) or not values:
        raise InputError(f"expected the joints of a frame as a list, found {type(values).__name__}")
    if all(isinstance(each, int | float) or each is None for each in values):
        if len(values) % 3:
            raise InputError(f"expected 3 numbers a joint, found {len(values)} numbers")
        return np.array([finite(each) for each in values]).reshape(-1, 3)
    return np.array([point(each) for each in values])


def point(value: Any) -> list[float]:
    """x, y and z; NaN where lost."""
    if value is None:
        return [math.nan] * 3
    if isinstance(value, Mapping):
        value = [value.get(axis, "") for axis in "xyz"]
    if not isinstance(value, list) or len(value) != 3:
        raise InputError(f"expected x, y and z of a joint, found {shown(value)}")
    return [finite(each) for each in value]


def finite(value: Any) -> float:
    """A coordinate; NaN for null, NaN and infinity: the joint was lost."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"expected a coordinate, found {shown(value)}")
    return float(value) if abs(value) < HUGE else math.nan


def lost_or_number(field: str) -> float:
    """A field of CSV as a coordinate; an empty one was lost."""
    value = number(field) if field else math.nan
    if value is None:
        raise InputError(f"expected a coordinate, found {field[:40]!r}")
    return finite(value)


def number(field: str) -> float | None:
    """A field as a number; None if it is none."""
    try:
        return float(field)
    except ValueError:
        return None


def moment(value: Any, scale: float) -> float:
    """A time in seconds."""
    if not isinstance(value, int | float) or not abs(value) < HUGE:
        raise InputError(f"expected a time, found {shown(value)}")
    return float(value) * scale
