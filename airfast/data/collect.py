"""The files of a source, found and read on all cores: clips of one layout, and what there is to say of them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from airfast.data.gate import Finding
from airfast.data.motion import is_prepared
from airfast.data.readers.choose import ENDINGS, is_motion, read_file
from airfast.data.readers.clip import Mending, SourceClip, check_rate, joint_sources, of_persons, to_layout, with_a_body
from airfast.data.readers.labels import LabelRow
from airfast.data.readers.names import Named, said_by_name
from airfast.errors import InputError
from airfast.skeletons.layout import METRES, Layout, known_layouts, load_layout

SHARED = 16_000_000
"""Bytes from which files are read by several processes: below, starting them takes longer."""
TWO = "its points have two dimensions"


@dataclass(frozen=True)
class Clip:
    """A clip on its way into the set: positions are (T, J, 3) float32 in metres."""

    name: str
    positions: np.ndarray[Any, np.dtype[np.float32]]
    fps: float
    row: LabelRow
    recording: str
    person: int
    start: int


@dataclass(frozen=True)
class Rules:
    """What the user said of the source, None where the files are to say it."""

    layout: str | Layout | None
    fps: float | None
    unit: str | None
    named: Named | None
    person: str
    flat: bool


class Reader:
    """Reads files of one source; remembers the layout and the units it met."""

    def __init__(self, source: Path, rules: Rules, mending: Mending) -> None:
        self.base = source if source.is_dir() else source.parent
        self.rules, self.mending = rules, mending
        self.layout = load_layout(rules.layout) if isinstance(rules.layout, str) else rules.layout
        self.rows: dict[str, LabelRow] = {}  # by clip, where the label file says how to read it
        self.units: set[str] = set()
        self.notes: list[Finding] = []
        self.told = ""

    def name(self, path: Path) -> str:
        """What to call a file: its path below the source."""
        return path.relative_to(self.base).as_posix()

    def clip_names(self, path: Path) -> list[str]:
        """Names of the clips of a file; none of one that cannot be read, which is found out when it is."""
        if path.suffix.lower() == ".bvh":
            return [self.name(path)]
        try:
            return [clip.name for clip in self.read(path)]
        except InputError:
            return []

    def read(self, path: Path) -> list[SourceClip]:
        """The clips of a file that were asked for, with what its name says."""
        found = of_persons(read_file(path, self.name(path)), self.rules.person)
        rule = self.rules.named
        if rule is None:
            return found
        return [said for clip in found if (said := said_by_name(clip, rule, self.where(clip, path))) is not None]

    def where(self, clip: SourceClip, path: Path) -> str:
        """What an error names: the file and, where it holds several, the clip."""
        return str(path) if clip.name == self.name(path) else f"{path} clip {clip.name}"

    def clip(self, clip: SourceClip, path: Path) -> Clip:
        """A clip on the layout, in metres; InputError where it is not one, or lacks what nobody has said."""
        where = self.where(clip, path)
        if clip.flat and not self.rules.flat:
            raise InputError(f"{where}: {TWO}; lift them to three first, or --flat lays them in a plane")
        layout = self._layout(clip, where)
        row, named = self.rows.get(clip.name, LabelRow(0, clip.name)), self.rules.named
        unit = row.unit or self.rules.unit or clip.unit or layout.unit
        if unit not in METRES:
            raise InputError(f"{where}: unit {unit!r} is not one of {', '.join(METRES)}")
        rate = next(
            (each for each in (row.fps, self.rules.fps, clip.fps, named and named.fps) if each is not None), None
        )
        check_rate(rate, f"{where}: expected the frame rate (fps) as")
        self.units.add(unit)
        outside = not path.resolve().is_relative_to(self.base.resolve())
        said = (*clip.notes, f"a link out of the folder, to {path.resolve()}") if outside else clip.notes
        self.notes += [Finding("in the file", clip.name, None, note, "") for note in said]
        self.notes += (
            [Finding("flat", clip.name, None, f"{TWO}: nothing is known of its depth", "")] if clip.flat else []
        )
        mending = replace(self.mending, up=row.up or self.mending.up)
        positions, start = to_layout(clip, layout, unit, where, mending), clip.start
        if mending.trim_empty:
            kept = with_a_body(positions, where)
            positions, start = positions[kept], start + kept.start
        row = LabelRow(0, clip.name, **vars(clip.said))
        return Clip(clip.name, positions, float(rate), row, clip.recording, clip.person, start)  # type: ignore[arg-type]  # checked

    def _layout(self, clip: SourceClip, where: str) -> Layout:
        if self.layout is None:
            named = clip.layout or _layout_of(clip.joints, where)
            self.layout = load_layout(named)
            how = "the format" if clip.layout else "the names of the joints"
            self.told = f"layout {named}, told by {how} of {clip.name}"
        elif clip.layout is not None and load_layout(clip.layout) != self.layout:
            raise InputError(f"{where}: expected layout {self.layout.name}, found {clip.layout}")
        return self.layout


def _layout_of(joints: tuple[str, ...] | None, where: str) -> str:
    """The one shipped layout that has the joints of a file; InputError where there is none, or more than one."""
    fitting = [] if joints is None else [name for name in known_layouts() if _fits(joints, load_layout(name))]
    if len(fitting) == 1:
        return fitting[0]
    several = f", which {' and '.join(fitting)} fit" if fitting else ""
    draft = "; airfast data layout FILE --out mine.json drafts one" if joints is not None else ""
    by = "named by the user (--layout) or by the JSON beside the file"
    raise InputError(f"{where}: expected a layout, {by}, found none{several}{draft}")


def _fits(joints: tuple[str, ...], layout: Layout) -> bool:
    try:
        return all(-1 not in sources for sources in joint_sources(joints, layout, ""))
    except InputError:
        return False


def motion_files(source: Path) -> list[Path]:
    """The motion files of a folder, sorted, or the one that is named; InputError where there are none."""
    if source.is_file():
        if source.suffix.lower() not in ENDINGS:
            raise InputError(f"{source}: expected a file that ends in {', '.join(ENDINGS)}")
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder or a motion file, found nothing")
    found = [
        p
        for p in files_below(source, [source.resolve()])
        if p.suffix.lower() in ENDINGS and p.is_file() and not _passed_over(p, source) and is_motion(p)
    ]
    if not found:
        raise InputError(f"{source}: expected motion files ({', '.join(ENDINGS)}), found none")
    return sorted(found)


def files_below(folder: Path, seen: list[Path]) -> Iterator[Path]:
    """Files at any depth, through links to folders elsewhere too, each of which is gone through once.

    Args:
        folder: the folder.
        seen: where the folders that were gone through really lie, the source first; grows.
    """
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in files)
        for link in (Path(place, name) for name in folders):
            real = link.resolve()
            known = any(real.is_relative_to(each) or each.is_relative_to(real) for each in seen)
            if link.is_symlink() and not known:
                seen.append(real)
                yield from files_below(link, seen)


def _passed_over(path: Path, source: Path) -> bool:
    return is_prepared(path.parent) or any(part.startswith(".") for part in path.relative_to(source).parts)


@dataclass
class _Outcome:
    """What became of one file: its clips, what is wrong with it (name, where, error), and what there is to say."""

    clips: list[Clip]
    faults: list[tuple[str, str, InputError]]
    notes: list[Finding]
    units: set[str]


def _read_one(reader: Reader, path: Path) -> _Outcome:
    reader.notes, reader.units = [], set()
    clips: list[Clip] = []
    faults: list[tuple[str, str, InputError]] = []
    found: list[SourceClip] = []
    try:
        found = reader.read(path)
    except InputError as error:
        faults.append((reader.name(path), str(path), error))
    for clip in found:
        try:
            clips.append(reader.clip(clip, path))
        except InputError as error:
            faults.append((clip.name, reader.where(clip, path), error))
    return _Outcome(clips, faults, reader.notes, reader.units)


def _outcomes(reader: Reader, paths: Sequence[Path]) -> Iterator[_Outcome]:
    """Files in their order, on all cores where there is enough to read; the layout is settled by the first of them."""
    rest = list(paths)
    while rest and reader.layout is None:
        yield _read_one(reader, rest.pop(0))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2 or sum(path.stat().st_size for path in rest) < SHARED:
        yield from (_read_one(reader, path) for path in rest)
        return
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _begin, (reader,))
    try:
        yield from pool.map(_go_on, rest, chunksize=4)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(reader: Reader) -> None:
    """In a process of the pool: what it reads files with."""
    _begin.reader = reader  # type: ignore[attr-defined]


def _go_on(path: Path) -> _Outcome:
    return _read_one(_begin.reader, path)  # type: ignore[attr-defined]


def read_all(
    reader: Reader, paths: Sequence[Path], skip: bool, progress: Callable[[int, int], None] | None
) -> tuple[list[Clip], list[tuple[str, str]]]:
    """The clips of all files, and each (file or clip, reason) that was skipped; else the first fault is raised."""
    clips: dict[str, Clip] = {}
    skipped: list[tuple[str, str]] = []
    notes: list[Finding] = []
    units: set[str] = set()
    for done, (path, found) in enumerate(zip(paths, _outcomes(reader, paths), strict=True), 1):
        faults = list(found.faults)
        for clip in found.clips:
            if clip.name in clips:
                again = InputError(f"{path}: a clip called {clip.name!r} was read already")
                faults.append((clip.name, str(path), again))
            else:
                clips[clip.name] = clip
        if faults and not skip:
            raise faults[0][2]
        # The file is named beside the reason: only the line remains of "file:line: what is wrong".
        skipped += [
            (name, re.sub(r"^:(\d+)", r"line \1", str(error).removeprefix(where)).removeprefix(": "))
            for name, where, error in faults
        ]
        notes += found.notes
        units |= found.units
        if progress:
            progress(done, len(paths))
    reader.notes, reader.units = notes, units
    return list(clips.values()), skipped
