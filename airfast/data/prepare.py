"""From a folder of motion files to one prepared set."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from airfast._version import __version__
from airfast.atomic import alone_for
from airfast.data.gate import Finding, class_names, copies, findings, kept, leaking, summary
from airfast.data.motion import MotionSet, check_target, file_sha256, is_prepared
from airfast.data.readers.arrays import notes_path
from airfast.data.readers.choose import ENDINGS, is_motion, read_file
from airfast.data.readers.clip import UP, Mending, SourceClip, check_rate, joint_sources, of_persons, to_layout
from airfast.data.readers.labels import Columns, LabelRow, match_rows, read_labels, unread_columns
from airfast.data.readers.names import Named, named_set, said_by_name
from airfast.data.readers.openpose import one_a_take
from airfast.data.windows import into_clips
from airfast.errors import InputError
from airfast.skeletons.layout import METRES, Layout, known_layouts, load_layout

SHARED = 16_000_000
"""Bytes from which files are read by several processes: below, starting them takes longer."""
TWO = "its points have two dimensions"


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` made: the set, and all that a person should know of how.

    Attributes:
        motion: the set.
        skipped: each (file or clip, reason) that was passed over.
        findings: what is odd about the clips.
        unread: columns of the label file that nothing was made of.
        told: how the layout was told, where the user did not say it.
    """

    motion: MotionSet
    skipped: list[tuple[str, str]]
    findings: list[Finding]
    unread: list[str]
    told: str = ""


@dataclass(frozen=True)
class _Clip:
    """A clip on its way into the set: positions are (T, J, 3) float32 in metres."""

    name: str
    positions: np.ndarray[Any, np.dtype[np.float32]]
    fps: float
    row: LabelRow


def prepare(
    source: Path,
    layout: str | None,
    out: Path,
    labels: Path | None = None,
    fps: float | None = None,
    unit: str | None = None,
    label_column: str = "label",
    subject_column: str = "subject",
    group_column: str = "content",
    on_bad_file: Literal["stop", "skip"] = "stop",
    progress: Callable[[int, int], None] | None = None,
    *,
    scale: float = 1.0,
    up: str | None = None,
    fill_gaps: int = 0,
    trim_empty: bool = False,
    strict: bool = False,
    note: str = "",
    dataset: str | None = None,
    person: str = "all",
    flat: bool = False,
    window: float | None = None,
    hop: float | None = None,
) -> PrepareReport:
    """Read motion files, check them, and write one prepared set (see MotionSet).

    Files are taken in the order of their path below `source`; a clip is called by that path. Frames are kept as they
    are, but for what is asked for: nothing is resampled, centred or filtered. Every clip passes the same checks
    (airfast/data/gate.py), whatever it came from; what they find is returned and kept in the set. Classes are the
    labels that occur, sorted; an empty label is unlabelled, and without a label file every clip is.

    Args:
        source: a folder, searched through and through (prepared sets and hidden files in it are passed over), or one
            file.
        layout: name or path of the layout; None if the files say it: by their format, by the JSON beside an array, or,
            where the names of their joints are those of one shipped layout alone, by these.
        out: folder of the prepared set; replaced if it is one already.
        labels: CSV with `file`, the label column and optionally subject, group, `split`, and by file `fps`, `unit` and
            `up` (see read_labels), which win over everything else.
        fps: frames a second; wins over what the files say.
        unit: "m", "cm", "mm", "inch" or "ft"; wins over what the files and the layout say.
        label_column: column of the label.
        subject_column: column of the person.
        group_column: column of what is done.
        on_bad_file: "stop" at the first fault, or "skip" the clip and list it. Skipping also covers a clip without a
            row and a row without a clip; a faulty label file always stops.
        progress: called with (files read, files in all) after each file.
        scale: times the positions, beside the unit.
        up: the axis of the files that points up: y, z, x, or one of them with a minus; wins over what the files say.
        fill_gaps: frames that a joint may be missing (NaN) for, filled linearly.
        trim_empty: cut off frames without a body at either end of a clip.
        strict: let anything odd be an error.
        note: licence and attribution of the files, kept in the set.
        dataset: a data set whose files are named by a rule (airfast/data/readers/names.py): its layout, and labels,
            subjects and groups from the names.
        person: of recordings of several persons: "all" (each is a clip), "largest", or an index from 0.
        flat: take two-dimensional files too, in the plane z = 0; each clip of them is a finding.
        window, hop: seconds: recordings are cut into clips of that length, one every hop (half a window if not given),
            called by recording and start; no split parts those of one recording.

    Raises:
        InputError: nothing to read, a faulty file (with line or frame), labels that do not match, an unknown layout or
            unit, an output that cannot be written, or, if strict, anything odd. Nothing is written then.
    """
    check_target(out)
    if window is None and hop is not None:
        raise InputError("--hop: belongs to a --window")
    with alone_for(out):
        columns = Columns(label_column, subject_column, group_column)
        mending = Mending(scale, up, fill_gaps, trim_empty)
        skip = on_bad_file == "skip"
        report = read_clips(source, layout, labels, fps, unit, columns, skip, progress, mending, dataset, person, flat)
        if strict and report.findings:
            first = summary(kept(report.findings))[0]
            count = len(report.findings)
            raise InputError(f"{source}: {count} findings, which --strict refuses; the first: {first}")
        report.motion.info["note"] = note
        if window is not None:
            report = replace(report, motion=into_clips(report.motion, window, hop))
        report.motion.save(out)
    return report


def read_clips(
    source: Path,
    layout: str | Layout | None,
    labels: Path | None = None,
    fps: float | None = None,
    unit: str | None = None,
    columns: Columns | None = None,
    skip: bool = False,
    progress: Callable[[int, int], None] | None = None,
    mending: Mending | None = None,
    dataset: str | None = None,
    person: str = "all",
    flat: bool = False,
) -> PrepareReport:
    """As :func:`prepare`, but nothing is written: the set is in memory.

    Raises:
        InputError: as there.
    """
    columns, mending = columns or Columns(), mending or Mending()
    if unit is not None and unit not in METRES:
        raise InputError(f"unit {unit!r} is not one of {', '.join(METRES)}")
    if mending.up is not None and mending.up not in UP:
        raise InputError(f"up {mending.up!r} is not one of {', '.join(UP)}")
    if not 0 < mending.scale < 1e6 or mending.fill_gaps < 0:
        given = f"{mending.scale:g} and {mending.fill_gaps}"
        raise InputError(f"scale: expected above 0, fill-gaps: 0 or more; found {given}")
    if fps is not None:
        check_rate(fps, "fps: expected")
    if person not in ("all", "largest") and not (person.isdecimal() and len(person) < 9):
        raise InputError(f"--person {person}: expected all, largest or an index from 0")
    rule = None if dataset is None else named_set(dataset)
    layout = layout if layout is not None or rule is None else rule.layout
    files = [path for path in _motion_files(source) if labels is None or path.resolve() != labels.resolve()]
    paths = one_a_take(files)
    rows = None if labels is None else read_labels(labels, columns)
    reader = _Reader(source, _Rules(layout, fps, unit, rule, person, flat), mending)
    if labels is not None and rows is not None and any(row.about_the_file for row in rows):
        reader.rows, _ = match_rows(rows, [name for path in paths for name in reader.clip_names(path)], labels)
    clips, skipped = _read_all(reader, paths, skip, progress)
    if labels is not None and rows is not None:
        clips = _labelled(clips, rows, labels, skipped, skip)
    if not clips:
        raise InputError(f"{source}: no clip is left, {len(skipped)} were skipped; the first: {': '.join(skipped[0])}")
    motion = _assemble(clips, reader, source, [*files, *([labels] if labels else [])])
    found = [each for each in reader.notes if each.clip in motion.names]
    found += [*findings(motion, min(reader.units)), *class_names(motion), *copies(motion), *leaking(motion)]
    motion.info["findings"] = kept(found)
    unread = [] if labels is None else unread_columns(labels, columns)
    return PrepareReport(motion, skipped, found, unread, reader.told)


@dataclass(frozen=True)
class _Rules:
    """What the user said of the source, None where the files are to say it."""

    layout: str | Layout | None
    fps: float | None
    unit: str | None
    named: Named | None
    person: str
    flat: bool


class _Reader:
    """Reads files of one source; remembers the layout and the units it met."""

    def __init__(self, source: Path, rules: _Rules, mending: Mending) -> None:
        self.base = source if source.is_dir() else source.parent
        self.rules, self.mending = rules, mending
        self.layout = load_layout(rules.layout) if isinstance(rules.layout, str) else rules.layout
        self.rows: dict[str, LabelRow] = {}  # by clip, where the label file says how to read it
        self.units: set[str] = set()
        self.notes: list[Finding] = []
        self.told = ""

    def name(self, path: Path) -> str:
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
        return str(path) if clip.name == self.name(path) else f"{path} clip {clip.name}"

    def clip(self, clip: SourceClip, path: Path) -> _Clip:
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
        outside = path.is_symlink() and not path.resolve().is_relative_to(self.base.resolve())
        said = (*clip.notes, f"a link out of the folder, to {path.resolve()}") if outside else clip.notes
        self.notes += [Finding("in the file", clip.name, None, note, "") for note in said]
        self.notes += (
            [Finding("flat", clip.name, None, f"{TWO}: nothing is known of its depth", "")] if clip.flat else []
        )
        mending = replace(self.mending, up=row.up or self.mending.up)
        positions = to_layout(clip, layout, unit, where, mending)
        row = LabelRow(0, clip.name, **vars(clip.said))
        return _Clip(clip.name, positions, float(rate), row)  # type: ignore[arg-type]  # checked

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


def _motion_files(source: Path) -> list[Path]:
    if source.is_file():
        if source.suffix.lower() not in ENDINGS:
            raise InputError(f"{source}: expected a file that ends in {', '.join(ENDINGS)}")
        return [source]
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder or a motion file, found nothing")
    found = [
        p
        for p in source.rglob("*")
        if p.suffix.lower() in ENDINGS and p.is_file() and not _passed_over(p, source) and is_motion(p)
    ]
    if not found:
        raise InputError(f"{source}: expected motion files ({', '.join(ENDINGS)}), found none")
    return sorted(found)


def _passed_over(path: Path, source: Path) -> bool:
    return is_prepared(path.parent) or any(part.startswith(".") for part in path.relative_to(source).parts)


@dataclass
class _Outcome:
    """What became of one file: its clips, what is wrong with it (name, where, error), and what there is to say."""

    clips: list[_Clip]
    faults: list[tuple[str, str, InputError]]
    notes: list[Finding]
    units: set[str]


def _read_one(reader: _Reader, path: Path) -> _Outcome:
    reader.notes, reader.units = [], set()
    clips: list[_Clip] = []
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


def _outcomes(reader: _Reader, paths: Sequence[Path]) -> Iterator[_Outcome]:
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


def _begin(reader: _Reader) -> None:
    """In a process of the pool: what it reads files with."""
    _begin.reader = reader  # type: ignore[attr-defined]


def _go_on(path: Path) -> _Outcome:
    return _read_one(_begin.reader, path)  # type: ignore[attr-defined]


def _read_all(
    reader: _Reader, paths: Sequence[Path], skip: bool, progress: Callable[[int, int], None] | None
) -> tuple[list[_Clip], list[tuple[str, str]]]:
    clips: dict[str, _Clip] = {}
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


def _labelled(
    clips: list[_Clip], rows: list[LabelRow], path: Path, skipped: list[tuple[str, str]], skip: bool
) -> list[_Clip]:
    """The clips with their rows; faults of matching are raised, or added to `skipped`."""
    row_of, unmatched = match_rows(rows, [clip.name for clip in clips], path)
    already = {name for name, _ in skipped}
    faults = [(clip.name, f"no row in {path}") for clip in clips if clip.name not in row_of]
    faults += [(f"{path}:{row.line}", f"no clip {row.file!r}") for row in unmatched if row.file not in already]
    if faults and not skip:
        more = f" (and {len(faults) - 1} more like it)" if len(faults) > 1 else ""
        raise InputError(f"{': '.join(faults[0])}{more}")
    skipped += faults
    return [replace(clip, row=_over(row_of[clip.name], clip.row)) for clip in clips if clip.name in row_of]


def _over(row: LabelRow, said: LabelRow) -> LabelRow:
    """A row of the label file; what it leaves open is as the motion file says."""
    names = ("label", "subject", "group", "split")
    return replace(row, **{name: getattr(row, name) or getattr(said, name) for name in names})


def _assemble(clips: Sequence[_Clip], reader: _Reader, source: Path, files: Sequence[Path]) -> MotionSet:
    assert reader.layout is not None  # set by the first clip
    rows = [clip.row for clip in clips]
    classes = tuple(sorted({row.label for row in rows} - {""}))
    index = {label: i for i, label in enumerate(classes)} | {"": -1}
    notes = {note for path in files if (note := notes_path(path)) and path.suffix.lower() in (".npy", ".npz")}
    info: dict[str, Any] = {
        "name": source.resolve().name if source.is_dir() else source.stem,
        "synthetic": False,
        "note": "",
        "unit": ", ".join(sorted(reader.units)),
        "version": __version__,
        "sources": [{"file": _shown(path, reader), "sha256": file_sha256(path)} for path in [*files, *sorted(notes)]],
    }
    if any(row.split for row in rows):
        info["split"] = {clip.name: row.split for clip, row in zip(clips, rows, strict=True)}
    lengths = np.array([len(clip.positions) for clip in clips], dtype=np.int64)
    return MotionSet(
        positions=np.concatenate([clip.positions for clip in clips]),
        lengths=lengths,
        fps=np.array([clip.fps for clip in clips], dtype=np.float32),
        names=tuple(clip.name for clip in clips),
        labels=np.array([index[row.label] for row in rows], dtype=np.int64),
        classes=classes,
        subjects=tuple(row.subject for row in rows),
        groups=tuple(row.group for row in rows),
        layout=reader.layout,
        info=info,
    )


def _shown(path: Path, reader: _Reader) -> str:
    return reader.name(path) if path.is_relative_to(reader.base) else path.name
