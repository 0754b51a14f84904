"""Files of frames: .jsonl and .csv as a stream writes them, .json as MediaPipe's landmarks are saved, FreeMoCap's CSV.

``*_body_3d_xyz.csv`` is FreeMoCap's: millimetres, z up, MediaPipe's landmarks and its own virtual ones, which are left
out. A .json is a list of frames, or an object whose ``frames`` are one. A file with several persons is a clip each.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import SourceClip
from airfast.data.readers.frames import Frame, FrameLines
from airfast.errors import InputError
from airfast.reading import parse_json, read_text
from airfast.skeletons.layout import load_layout

FREEMOCAP = re.compile(r".*_body_3d_xyz\.csv", re.IGNORECASE)
MEDIAPIPE = "mediapipe33"
UNEVEN = 0.2  # of the usual step between frames: beyond it a file is told to be unevenly timed
FRAMES = 1e9  # that no recording has
BEGINS = 4096  # characters that tell what a file is
LIST = re.compile(r'\s*(\[\s*[\[{]|\{\s*"frames"\s*:\s*\[)')


def begins_as_frames(path: Path) -> bool:
    """Whether the first characters of a .csv or .json are those of frames."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(BEGINS)
    except OSError:
        return False
    if path.suffix.lower() == ".json":
        return LIST.match(text) is not None
    fields = [field.strip(" \"'") for field in text.lstrip("# ").partition("\n")[0].split(",")]
    if any(f"{field[:-2]}_y" in fields and f"{field[:-2]}_z" in fields for field in fields if field.endswith("_x")):
        return True
    numbers = [re.fullmatch(r"[-+0-9.eE]+|nan|", field) is not None for field in fields]
    return all(numbers) and len(fields) >= 9 and len(fields) % 3 == 0


def read_frames(path: Path, name: str) -> list[SourceClip]:
    """The clips of a file, one a person; called by the file, ``<file>#<person>`` where it says who.

    Raises:
        InputError: it cannot be read, or a frame cannot (with its line).
    """
    persons: dict[str, list[Frame]] = {}
    for frame in frames_of(path):
        persons.setdefault(frame.person, []).append(frame)
    if not persons:
        raise InputError(f"{path}: expected frames, found none")
    earliest = min((frames[0].time or 0.0) for frames in persons.values())
    freemocap = FREEMOCAP.fullmatch(path.name) is not None
    clips = []
    for index, (person, frames) in enumerate(persons.items()):
        called = f"{name}#{person}" if person else name
        clip = clip_of(frames, called, str(path), freemocap)
        later = ((frames[0].time or 0.0) - earliest) * (clip.fps or 0.0)  # 0 where there are no times
        start = round(min(later, FRAMES))
        clips.append(replace(clip, person=index, recording=name, start=start))
    return clips


def frames_of(path: Path) -> Iterator[Frame]:
    """The frames of a file, in order."""
    text = read_text(path)
    try:
        lines = whole(text) if path.suffix.lower() == ".json" else text.splitlines()
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix}: {error}") from None
    reader = FrameLines()
    unit = "frame" if path.suffix.lower() == ".json" else "line"
    for number, line in enumerate(lines, start=1):
        try:
            yield from reader.read(line)
        except InputError as error:
            where = f"{path}:{number}" if unit == "line" else f"{path}: frame {number - 1} (from 0)"
            raise InputError(f"{where}: {error}") from None


def whole(text: str) -> list[str]:
    """The frames of a .json as lines: lists of landmarks are MediaPipe's."""
    said = parse_json(text)
    frames = said["frames"] if isinstance(said, dict) else said
    return [json.dumps({"pose_world_landmarks": each} if are_landmarks(each) else each) for each in frames]


def are_landmarks(frame: object) -> bool:
    """Whether a frame is a list of objects, or of nobody."""
    return isinstance(frame, list) and (not frame or isinstance(frame[0], dict))


def clip_of(frames: list[Frame], name: str, where: str, freemocap: bool) -> SourceClip:
    """The frames of one person as a clip; what a frame lacks is NaN."""
    mediapipe = any(frame.mediapipe for frame in frames)
    names = next((frame.names for frame in frames if frame.names is not None), None)
    count = max(len(frame.points) for frame in frames)
    if names is not None:
        names = tuple(dict.fromkeys(each for frame in frames for each in frame.names or ()))
        count = len(names)
    points = np.full((len(frames), count, 3), np.nan)
    for at, frame in enumerate(frames):
        if names is not None and frame.names is not None:
            points[at, [names.index(each) for each in frame.names]] = frame.points
        elif len(frame.points) == count:
            points[at] = frame.points
        elif len(frame.points):
            raise InputError(f"{where}: frame {at} (from 0): expected {count} joints, found {len(frame.points)}")
    if freemocap and names is not None:
        known = load_layout(MEDIAPIPE).points
        kept = [index for index, each in enumerate(names) if each in known]
        points, names = points[:, kept], tuple(names[index] for index in kept)
    fps, notes = rate_of([frame.time for frame in frames], where)
    return SourceClip(
        name,
        points,
        names,
        fps,
        unit="mm" if freemocap else "m" if mediapipe else None,
        up="z" if freemocap else "-y" if mediapipe else None,
        layout=MEDIAPIPE if freemocap or mediapipe else None,
        notes=notes,
    )


def rate_of(times: list[float | None], where: str) -> tuple[float | None, tuple[str, ...]]:
    """Frames a second from the frames' times, None where they have none, and a note if they are unevenly spaced."""
    if any(time is None for time in times) or len(times) < 2:
        return None, ()
    steps: NDArray[np.float64] = np.diff(np.array(times, dtype=np.float64))
    if steps.min() <= 0:
        at = int(steps.argmin()) + 1
        raise InputError(f"{where}: frame {at} (from 0): expected a time after {times[at - 1]} s, found {times[at]}")
    usual = float(np.median(steps))
    uneven = int((np.abs(steps - usual) > UNEVEN * usual).sum())
    note = f"{uneven} of {len(steps)} steps between frames differ by more than {100 * UNEVEN:.0f} % from the usual one"
    return round(1 / usual, 3), (note,) if uneven else ()
