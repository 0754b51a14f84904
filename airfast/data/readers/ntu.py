"""NTU RGB+D's .skeleton: text, a count of frames, in each a count of bodies, of each 25 joints of Kinect v2."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import NOTHING, Said, SourceClip, persons_apart
from airfast.errors import InputError, in_one_line
from airfast.reading import read_bytes

FPS, JOINTS, BODY, JOINT = 30.0, 25, 10, 12  # frames a second; words of a body before its joints, words of a joint
NAME = re.compile(r"S\d{3}C\d{3}(?P<subject>P\d{3})R\d{3}(?P<label>A\d{3})")


def read_ntu(path: Path, name: str) -> list[SourceClip]:
    """The bodies of a file: a clip each, NaN where the sensor lost it between its first and its last frame.

    Raises:
        InputError: it cannot be read, ends early, or holds no body.
    """
    try:
        words = read_bytes(path).decode("ascii").split()
        bodies, frames = tracked(words)
    except (UnicodeDecodeError, IndexError, OverflowError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as .skeleton: {in_one_line(error)}") from None
    if not bodies:
        raise InputError(f"{path}: expected a body, found none in {frames} frames")
    said = NAME.search(path.name)
    about = Said(label=said["label"], subject=said["subject"]) if said else NOTHING
    clips = []
    for person, seen in enumerate(bodies.values()):
        first, last = min(seen), max(seen)
        positions: NDArray[np.float64] = np.full((last - first + 1, JOINTS, 3), np.nan)
        for at, joints in seen.items():
            positions[at - first] = joints
        clips.append(
            SourceClip(name, positions, fps=FPS, unit="m", layout="kinect25", said=about, person=person, start=first)
        )
    return persons_apart(clips)


def tracked(words: list[str]) -> tuple[dict[str, dict[int, NDArray[np.float64]]], int]:
    """Joints (25, 3) of every body by its number and frame, and the count of frames."""
    bodies: dict[str, dict[int, NDArray[np.float64]]] = {}
    frames, place = int(words[0]), 1
    for frame in range(frames):
        count, place = int(words[place]), place + 1
        for _ in range(count):
            body, joints = words[place], int(words[place + BODY])
            if joints != JOINTS:
                raise ValueError(f"frame {frame}: expected {JOINTS} joints, found {joints}")
            start = place + BODY + 1
            values = words[start : start + JOINTS * JOINT]
            if len(values) < JOINTS * JOINT:
                raise ValueError(f"frame {frame} of {frames}: the file ends early")
            numbers = np.array(values, dtype=np.float64).reshape(JOINTS, JOINT)
            bodies.setdefault(body, {})[frame] = numbers[:, :3]
            place = start + JOINTS * JOINT
    if place != len(words):
        raise ValueError(f"{len(words) - place} words after the last of {frames} frames")
    return bodies, frames
