"""BVH motion files: validated reading and forward kinematics, vectorised over frames.

What this reader holds to:
- channels are read per joint, in the order the file gives them; rotations are applied in that order, R = R1·R2·R3;
- a position channel *replaces* that coordinate of the joint's OFFSET: its value is the joint's translation;
- CRLF, tabs, blank lines, joint names with blanks, keywords in any case, named ends, rows over several lines, UTF-16,
  cp1252, and control characters after the last row are accepted;
- one row more or fewer than `Frames:` says is noted; anything else that does not add up is an error with its line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.reading import read_bytes

_DEEPEST = 200  # joints below one another; no body has as many, and the parser descends by recursion
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")


@dataclass(frozen=True)
class Bvh:
    """Positions of every node of a BVH file.

    Attributes:
        names: node names, parents first; the End Site of a joint is `<joint>_end`.
        parents: index of each node's parent, -1 for the root.
        positions: (T, nodes, 3) float64, global positions in the file's unit.
        fps: frames a second; a Frame Time within 0.02 % of a whole rate is taken as that rate (0.0333333 s is 30).
        notes: what did not quite add up, a line each.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    positions: NDArray[np.float64]
    fps: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One joint or End Site: its parent's index, its OFFSET and its channels in file order."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    channels: tuple[str, ...]


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file and compute the global position of every node.

    Raises:
        InputError: the file is not BVH, ends early, `Frames:` disagrees with the rows by more than one, or a number is
            missing, too many or not finite. The message names file and line.
    """
    lines = _read_lines(path)
    nodes, rate, values, notes = parse(lines, path)
    return Bvh(
        names=tuple(node.name for node in nodes),
        parents=tuple(node.parent for node in nodes),
        positions=forward_kinematics(nodes, values),
        fps=rate,
        notes=notes,
    )


def parse(lines: Sequence[str], path: Path) -> tuple[list[Node], float, NDArray[np.float64], tuple[str, ...]]:
    """Parse the lines of a BVH file: its nodes, its frame rate, its (T, channels) float64 values, and notes."""
    motion = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if motion is None:
        raise InputError(f"{path}:{len(lines)}: expected a MOTION section, found the end of the file")
    nodes = _Hierarchy(lines[:motion], path).nodes()
    frames, frames_line = _field(lines, motion + 1, r"Frames\s*:?\s*(\d{1,9})", "'Frames: <number>'", path)
    seconds, seconds_line = _field(
        lines, frames_line, r"Frame\s+Time\s*:?\s*([-+.\deE]+)", "'Frame Time: <seconds>'", path
    )
    rate = _rate(seconds, f"{path}:{seconds_line}")
    rows = [(number, line) for number, line in enumerate(lines[seconds_line:], seconds_line + 1) if line.strip()]
    width = sum(len(node.channels) for node in nodes)
    rows = _unwrapped(rows, width, int(frames))
    if abs(len(rows) - int(frames)) > 1:
        raise InputError(f"{path}:{frames_line}: 'Frames: {frames}' but {len(rows)} rows of motion follow")
    if not rows:
        raise InputError(f"{path}:{frames_line}: the clip has no frames")
    notes = () if len(rows) == int(frames) else (f"'Frames: {frames}', and {len(rows)} rows of motion follow",)
    return nodes, rate, _values(rows, width, path), notes


def _unwrapped(rows: list[tuple[int, str]], width: int, frames: int) -> list[tuple[int, str]]:
    """Rows that an exporter has broken over several lines, put together again; others as they are."""
    if len(rows) <= frames + 1:
        return rows
    words = [(number, word) for number, line in rows for word in line.split()]
    if len(words) != frames * width:
        return rows
    parts = (words[at : at + width] for at in range(0, len(words), width))
    return [(part[0][0], " ".join(word for _, word in part)) for part in parts]


def forward_kinematics(nodes: Sequence[Node], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Global positions of every node.

    Args:
        nodes: the hierarchy, parents first.
        values: (T, channels) float64 in the order of the nodes' channels; rotations in degrees.

    Returns:
        (T, nodes, 3) float64, in the unit of offsets and position channels.
    """
    frames = len(values)
    positions = np.empty((frames, len(nodes), 3))
    turns: list[NDArray[np.float64]] = []
    column = 0
    for i, node in enumerate(nodes):
        own = values[:, column : column + len(node.channels)]  # (T, channels of this node)
        column += len(node.channels)
        shift = np.broadcast_to(np.array(node.offset), (frames, 3)).copy()
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3)) if node.parent < 0 else turns[node.parent]
        for channel, value in zip(node.channels, own.T, strict=True):
            if channel.endswith("position"):
                shift[:, "XYZ".index(channel[0])] = value
        base = 0.0 if node.parent < 0 else positions[:, node.parent]
        positions[:, i] = base + np.einsum("tij,tj->ti", turn, shift)
        turns.append(_turned(turn, node.channels, own))
    return positions


def _turned(turn: NDArray[np.float64], channels: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, 3, 3) rotations times the node's own: a turn about one axis only mixes the two other columns."""
    turn = turn.copy()
    for channel, degrees in zip(channels, values.T, strict=True):
        if channel.endswith("rotation"):
            axis = "XYZ".index(channel[0])
            b, c = (axis + 1) % 3, (axis + 2) % 3
            cos, sin = np.cos(np.deg2rad(degrees))[:, None], np.sin(np.deg2rad(degrees))[:, None]
            turn[:, :, b], turn[:, :, c] = (
                cos * turn[:, :, b] + sin * turn[:, :, c],
                cos * turn[:, :, c] - sin * turn[:, :, b],
            )
    return turn


class _Hierarchy:
    """Recursive descent over the words of the HIERARCHY section, each with its line."""

    def __init__(self, lines: Sequence[str], path: Path) -> None:
        spaced = (line.replace("{", " { ").replace("}", " } ") for line in lines)
        self.words = [(word, number) for number, line in enumerate(spaced, 1) for word in line.split()]
        self.path = path
        self.at = 0
        self.found: list[Node] = []

    def nodes(self) -> list[Node]:
        self.expect("HIERARCHY")
        self.expect("ROOT")
        self.node(-1, 1)
        if self.at < len(self.words):
            word, line = self.words[self.at]
            if word.upper() == "ROOT":
                second = next((name for name, _ in self.words[self.at + 1 :]), "")
                both = f"{self.found[0].name!r} and {second!r}"
                raise InputError(f"{self.path}:{line}: expected one body, found two roots, {both}")
            raise InputError(f"{self.path}:{line}: expected MOTION after the root joint, found {word!r}")
        return self.found

    def node(self, parent: int, depth: int) -> None:
        name, line = self.name()
        if depth > _DEEPEST:
            raise InputError(f"{self.path}:{line}: expected joints at most {_DEEPEST} deep, found {name!r} below them")
        if name in {node.name for node in self.found}:
            raise InputError(f"{self.path}:{line}: joint {name!r} is defined twice")
        index = len(self.found)
        self.expect("OFFSET")
        offset = (self.number(), self.number(), self.number())
        self.expect("CHANNELS")
        self.found.append(Node(name, parent, offset, self.channels()))
        while True:
            word, line = self.next("JOINT, End Site or }")
            if word.upper() == "JOINT":
                self.node(index, depth + 1)
            elif word.upper() == "END":
                self.end_site(index)
            elif word == "}":
                return
            else:
                raise InputError(f"{self.path}:{line}: expected JOINT, End Site or }}, found {word!r}")

    def end_site(self, parent: int) -> None:
        self.name()  # Site, or a name of its own: it is called by its joint all the same
        self.expect("OFFSET")
        offset = (self.number(), self.number(), self.number())
        self.expect("}")
        ends = sum(node.parent == parent and not node.channels for node in self.found)
        name = f"{self.found[parent].name}_end{ends + 1 if ends else ''}"
        self.found.append(Node(name, parent, offset, ()))

    def name(self) -> tuple[str, int]:
        words = []
        word, line = self.next("a joint name")
        while word != "{":
            words.append(word)
            word = self.next("{")[0]
        if not words:
            raise InputError(f"{self.path}:{line}: expected a joint name, found {{")
        return " ".join(words), line

    def channels(self) -> tuple[str, ...]:
        count, line = self.next("the number of channels")
        if not count.isdecimal() or len(count) > 2:
            raise InputError(f"{self.path}:{line}: expected the number of channels, found {count!r}")
        known = {channel.lower(): channel for channel in _CHANNELS}
        channels = []
        for _ in range(int(count)):
            word, line = self.next("a channel")
            if word.lower() not in known:
                raise InputError(f"{self.path}:{line}: expected one of {', '.join(_CHANNELS)}, found {word!r}")
            channels.append(known[word.lower()])
        if len(set(channels)) < len(channels):
            raise InputError(f"{self.path}:{line}: a channel is listed twice: {' '.join(channels)}")
        return tuple(channels)

    def number(self) -> float:
        word, line = self.next("a number")
        try:
            value = float(word)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise InputError(f"{self.path}:{line}: expected a number, found {word!r}")
        return value

    def expect(self, wanted: str) -> None:
        word, line = self.next(wanted)
        if word.upper() != wanted:
            raise InputError(f"{self.path}:{line}: expected {wanted}, found {word!r}")

    def next(self, wanted: str) -> tuple[str, int]:
        if self.at >= len(self.words):
            line = self.words[-1][1] if self.words else 1
            raise InputError(f"{self.path}:{line}: expected {wanted}, found the end of the hierarchy")
        self.at += 1
        return self.words[self.at - 1]


def _read_lines(path: Path) -> list[str]:
    lines = _text(read_bytes(path), path).splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise InputError(f"{path}: not a BVH file: it is empty")
    if lines[first].split()[0].upper() != "HIERARCHY":
        raise InputError(f"{path}:{first + 1}: not a BVH file: expected HIERARCHY, found {lines[first].strip()[:40]!r}")
    return lines


def _text(raw: bytes, path: Path) -> str:
    """The text of a file in UTF-8, in UTF-16 if it begins with that mark, else in cp1252; InputError if it is none."""
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    places = []
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding).rstrip("\x00\x1a\x04")
        except UnicodeDecodeError as error:
            places.append(error.start)
        else:
            if "\x00" not in text:
                return text
            places.append(raw.index(b"\x00"))
    raise InputError(f"{path}: not a BVH file: not text (byte {places[0]})")


def _field(lines: Sequence[str], start: int, pattern: str, wanted: str, path: Path) -> tuple[str, int]:
    """The value of the next line that is not blank, and that line's number (from 1)."""
    index = next((i for i in range(start, len(lines)) if lines[i].strip()), len(lines))
    found = lines[index].strip() if index < len(lines) else "the end of the file"
    match = re.fullmatch(pattern, found, re.IGNORECASE)
    if match is None:
        raise InputError(f"{path}:{min(index + 1, len(lines))}: expected {wanted}, found {found[:40]!r}")
    return match[1], index + 1


def _rate(seconds: str, where: str) -> float:
    try:
        rate = 1.0 / float(seconds)
    except (ValueError, ZeroDivisionError):
        rate = np.nan
    if not (np.isfinite(rate) and rate > 0):
        raise InputError(f"{where}: expected a positive Frame Time in seconds, found {seconds!r}")
    return float(round(rate)) if abs(rate - round(rate)) < 2e-4 * rate else rate


def _values(rows: Sequence[tuple[int, str]], width: int, path: Path) -> NDArray[np.float64]:
    """(T, width) float64: NumPy's own parser, and a slow walk to the line at fault when it refuses."""
    try:
        values = np.loadtxt([line for _, line in rows], dtype=np.float64, comments=None, ndmin=2)
    except ValueError:
        values = np.empty((0, 0))
    if values.shape == (len(rows), width) and np.isfinite(values).all():
        return values
    for number, line in rows:
        _check_row(line.split(), width, f"{path}:{number}")
    raise InputError(f"{path}:{rows[0][0]}: the motion rows are not plain numbers")


def _check_row(words: Sequence[str], width: int, where: str) -> None:
    if len(words) != width:
        raise InputError(f"{where}: expected {width} numbers (one a channel), found {len(words)}")
    for place, word in enumerate(words, 1):
        try:
            finite = bool(np.isfinite(float(word)))
        except ValueError:
            finite = False
        if not finite:
            raise InputError(f"{where}: expected a finite number in column {place}, found {word!r}")
