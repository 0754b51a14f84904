"""The prepared set: many clips of one skeleton, in memory and on disk."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from airfast.atomic import check_space, replace_folder
from airfast.data.room import room
from airfast.errors import InputError, in_one_line
from airfast.reading import map_array, read_table
from airfast.record import Schema, read_record, write_record
from airfast.skeletons.layout import Layout, layout_from_record

FORMAT = "airfast-prepared"
VERSION = 1
FRAMES = 1 << 16  # that are looked at in one go, so that a set need not fit into memory
_POSITIONS, _CLIPS, _REST = "positions.npy", "clips.parquet", "prepared.json"


class _Info(Schema):
    """What a set notes of itself; what other versions note is taken as it is."""

    model_config = ConfigDict(extra="allow")

    name: str | None = None
    synthetic: bool = False
    note: str = ""
    unit: str = ""
    version: str = ""
    sources: list[dict[str, str]] = Field(default_factory=list)
    split: dict[str, str] = Field(default_factory=dict)
    lacking: list[str] = Field(default_factory=list)
    findings: list[dict[str, Any]] = Field(default_factory=list)
    families: dict[str, str] = Field(default_factory=dict)


class _Rest(Schema):
    """What ``prepared.json`` holds."""

    format: str
    version: int
    frames: int
    clips: int
    classes: list[str]
    info: _Info
    sha256: dict[str, str]
    layout: dict[str, Any]


@dataclass(frozen=True, eq=False)
class MotionSet:
    """N clips of one skeleton of J joints, F frames in all.

    Attributes:
        positions: (F, J, 3) float32, global joint positions in metres, y up; the clips one after another.
        lengths: (N,) int64, frames of each clip; they sum to F.
        fps: (N,) float32, frames a second of each clip.
        names: N clip names, usually the source file relative to its folder.
        labels: (N,) int64, index into `classes`; -1 is unlabelled.
        classes: class names.
        subjects: N names of the person who moves; "" is unknown.
        groups: N names of what is done (content, take, session); "" is unknown.
        layout: the skeleton.
        info: JSON-ready notes: `name`, `synthetic` (bool), `sources` ([{"file", "sha256"}]), `note` (licence,
            attribution), `unit` of the source, `version` of this package; `split` ({clip name: side}) if the source
            declared one; `families` ({group: family}) if it named some; of recordings of several persons `recordings`
            ({clip name: recording}) and `persons` ({clip name: {"person", "first_frame"}}), by which they can be put
            together again.

    On disk a prepared set is a folder of three files:
        positions.npy: `positions` as above (memory-mappable).
        clips.parquet: one row a clip, in order: name, frames, fps, label (int64), class ("" if unlabelled), subject,
            group.
        prepared.json: format, version, frames, clips, classes, the layout's record and name, info, and the SHA-256 of
            the other two files.
    """

    positions: NDArray[np.float32]
    lengths: NDArray[np.int64]
    fps: NDArray[np.float32]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    groups: tuple[str, ...]
    layout: Layout
    info: dict[str, Any]

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.lengths)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(N,) int64, first frame of each clip in `positions`."""
        return np.asarray(np.cumsum(self.lengths) - self.lengths, dtype=np.int64)

    @property
    def families(self) -> tuple[str, ...]:
        """N names of families: groups that resemble each other, as mirror twins do, are of one; "" is unknown."""
        known = self.info.get("families", {})
        return tuple(known.get(group, "") for group in self.groups)

    def clip(self, index: int) -> NDArray[np.float32]:
        """Positions of one clip: a (T, J, 3) view."""
        start = int(self.offsets[index])
        return self.positions[start : start + int(self.lengths[index])]

    def select(self, index: Sequence[int] | NDArray[np.int64]) -> "MotionSet":
        """The set of the given clips, copied, in the given order; classes are kept as they are."""
        chosen = np.asarray(index, dtype=np.int64)
        positions = room((int(self.lengths[chosen].sum()), *self.positions.shape[1:]))
        if len(chosen):
            np.concatenate([self.clip(int(i)) for i in chosen], out=positions)
        return MotionSet(
            positions=positions,
            lengths=self.lengths[chosen],
            fps=self.fps[chosen],
            names=tuple(self.names[i] for i in chosen),
            labels=self.labels[chosen],
            classes=self.classes,
            subjects=tuple(self.subjects[i] for i in chosen),
            groups=tuple(self.groups[i] for i in chosen),
            layout=self.layout,
            info=dict(self.info),
        )

    def save(self, directory: Path | str) -> None:
        """Write the set to a folder, whole or not at all: it is written beside the target and renamed.

        An earlier prepared set there is replaced; a folder with anything else in it is left alone.

        Raises:
            InputError: the folder exists and holds something else, or cannot be written.
        """
        directory = Path(directory)
        check_target(directory)
        check_space(directory, self.positions.nbytes + 200 * len(self), "the set")
        try:
            with _staging(directory) as staging:
                np.save(staging / _POSITIONS, self.positions)
                pq.write_table(self._table(), staging / _CLIPS)
                write_record(staging / _REST, self._rest(staging))
        except OSError as error:
            raise InputError(f"{directory}: cannot be written: {error.strerror or error}") from error

    def _table(self) -> pa.Table:
        named = ["" if label < 0 else self.classes[label] for label in self.labels]
        return pa.table(
            {
                "name": pa.array(self.names, pa.string()),
                "frames": pa.array(self.lengths, pa.int64()),
                "fps": pa.array(self.fps, pa.float32()),
                "label": pa.array(self.labels, pa.int64()),
                "class": pa.array(named, pa.string()),
                "subject": pa.array(self.subjects, pa.string()),
                "group": pa.array(self.groups, pa.string()),
            }
        )

    def _rest(self, staging: Path) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "frames": len(self.positions),
            "clips": len(self),
            "classes": list(self.classes),
            "info": self.info,
            "sha256": {name: file_sha256(staging / name) for name in (_POSITIONS, _CLIPS)},
            "layout": {"name": self.layout.name, **self.layout.record()},
        }

    @classmethod
    def load(cls, directory: Path | str) -> "MotionSet":
        """Open a prepared set and check all of it: checksums, shapes, labels, finite positions.

        Positions lie in the file and come into memory as they are read.

        Raises:
            InputError: the folder is not a prepared set, a file of it is missing or damaged.
        """
        directory = Path(directory)
        rest = _read_rest(directory)
        for name, expected in rest["sha256"].items():
            _check_sum(directory / name, expected)
        motion = cls._opened(directory, rest)
        motion.check(directory)
        return motion

    @classmethod
    def open(cls, directory: Path | str) -> "MotionSet":
        """Open a prepared set to look at a clip of it: at once, however large, since no frame is read or checked.

        Raises:
            InputError: as :meth:`load`, but for damage of the frames that leaves their number.
        """
        directory = Path(directory)
        rest = _read_rest(directory)
        _check_sum(directory / _CLIPS, rest["sha256"][_CLIPS])
        motion = cls._opened(directory, rest)
        motion.check_columns(directory)
        return motion

    @classmethod
    def _opened(cls, directory: Path, rest: dict[str, Any]) -> "MotionSet":
        layout = layout_from_record(rest["layout"], rest["layout"]["name"], str(directory / _REST))
        try:
            positions = map_array(directory / _POSITIONS)
            columns = read_table(directory / _CLIPS).to_pydict()
            return cls(
                positions=positions,
                lengths=np.array(columns["frames"], dtype=np.int64),
                fps=np.array(columns["fps"], dtype=np.float32),
                names=tuple(map(str, columns["name"])),
                labels=np.array(columns["label"], dtype=np.int64),
                classes=tuple(rest["classes"]),
                subjects=tuple(map(str, columns["subject"])),
                groups=tuple(map(str, columns["group"])),
                layout=layout,
                info=rest["info"],
            )
        except Exception as error:  # files that somebody made up end in whatever NumPy and Arrow happen to raise
            raise InputError(f"{directory}: damaged ({in_one_line(error)})") from None

    def digest(self) -> dict[str, str]:
        """SHA-256 of each part of the set that training and evaluation read, wherever it lies."""
        parts: dict[str, tuple[NDArray[Any] | Sequence[Any] | dict[str, Any], ...]] = {
            "positions": (self.positions, self.lengths),
            "frame rates": (self.fps,),
            "names": (self.names,),
            "labels": (self.labels, self.classes),
            "subjects": (self.subjects,),
            "groups": (self.groups,),
            "layout": (self.layout.record(),),
        }
        return {name: _digest(values) for name, values in parts.items()}

    def check(self, where: Path | str) -> None:
        """Check that the arrays agree with one another, and every position.

        Raises:
            InputError: a shape, a dtype, a length, a rate, a label or a position is not what the class promises.
        """
        self.check_columns(where)
        for first in range(0, len(self.positions), FRAMES):
            if not np.isfinite(self.positions[first : first + FRAMES]).all():
                raise InputError(f"{where}: positions are not all finite")

    def check_columns(self, where: Path | str) -> None:
        """As :meth:`check`, of all but the positions themselves."""
        expected = (int(self.lengths.sum()), len(self.layout.joints), 3)
        if self.positions.shape != expected or self.positions.dtype != np.float32:
            found = f"{self.positions.shape} {self.positions.dtype}"
            raise InputError(f"{where}: positions: expected {expected} float32, found {found}")
        columns = (self.fps, self.names, self.labels, self.subjects, self.groups)
        if any(len(column) != len(self) for column in columns):
            found = ", ".join(str(len(column)) for column in columns)
            raise InputError(f"{where}: expected {len(self)} fps, names, labels, subjects and groups, found {found}")
        if len(self) and int(self.lengths.min()) < 1:
            raise InputError(f"{where}: clip {self.names[int(self.lengths.argmin())]!r} has no frames")
        if not np.all(np.isfinite(self.fps) & (self.fps > 0)):
            raise InputError(f"{where}: frame rates must be positive")
        if len(self) and not -1 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise InputError(f"{where}: labels must lie in -1 .. {len(self.classes) - 1}")


def check_target(directory: Path) -> None:
    """Check, before any work, that a prepared set may be written to `directory`.

    Raises:
        InputError: it is a file, a folder that holds anything but a prepared set, or cannot be created.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: expected a folder to write to, found a file")
    # A set is replaced as a whole: whatever else lies in its folder would be lost.
    others = {path.name for path in directory.iterdir()} - {_POSITIONS, _CLIPS, _REST} if directory.is_dir() else set()
    if others:
        raise InputError(f"{directory}: expected nothing or a prepared set to replace, found also {min(others)}")
    above = directory.absolute().parent
    while not above.exists():
        above = above.parent
    try:
        # To try is surer than to ask: permissions say nothing of a read-only file system, and root may everything.
        with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=above):
            pass
    except OSError as error:
        raise InputError(
            f"{directory}: cannot be written: no folder can be created in {above}: {error.strerror}"
        ) from error


def read_info(directory: Path) -> dict[str, Any]:
    """What a prepared set says of itself, without a look at its frames; InputError where there is none."""
    info: dict[str, Any] = _read_rest(directory)["info"]
    return info


def _digest(values: Sequence[NDArray[Any] | Sequence[Any] | dict[str, Any]]) -> str:
    sha = hashlib.sha256()
    for each in values:
        whole = np.ascontiguousarray(each).data if isinstance(each, np.ndarray) else json.dumps(each).encode()
        sha.update(whole)
    return sha.hexdigest()


def is_prepared(directory: Path) -> bool:
    """Whether the folder looks like a prepared set."""
    return (directory / _REST).is_file()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    """A folder beside `directory` that takes its place when the block ends, and vanishes if the block fails."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        staging.chmod(0o755)  # mkdtemp's own mode shuts out everybody else
        yield staging
        replace_folder(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _read_rest(directory: Path) -> dict[str, Any]:
    path = directory / _REST
    if not path.is_file():
        raise InputError(f"{directory}: expected a prepared set (a folder with {_REST}), found none")
    rest = read_record(path, _Rest)
    found = rest["format"], rest["version"]
    if found != (FORMAT, VERSION):
        raise InputError(f"{path}: expected format {FORMAT} version {VERSION}, found {found[0]} version {found[1]}")
    if not {_POSITIONS, _CLIPS} <= set(rest["sha256"]) or not isinstance(rest["layout"].get("name"), str):
        raise InputError(f"{path}: damaged, 'sha256' or 'layout' is not complete")
    return rest


def _check_sum(path: Path, expected: str) -> None:
    if not path.is_file():
        raise InputError(f"{path}: damaged set, the file is missing")
    found = file_sha256(path)
    if found != expected:
        raise InputError(f"{path}: damaged, expected SHA-256 {expected[:12]}…, found {found[:12]}…")
