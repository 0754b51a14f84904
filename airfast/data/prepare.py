"""From a folder of motion files to one prepared set."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from airfast._version import __version__
from airfast.atomic import alone_for
from airfast.data.collect import Clip, Reader, Rules, motion_files, read_all
from airfast.data.gate import Finding, class_names, copies, findings, kept, leaking, summary
from airfast.data.motion import MotionSet, check_target, file_sha256
from airfast.data.readers.arrays import notes_path
from airfast.data.readers.clip import UP, Mending, check_rate
from airfast.data.readers.labels import Columns, LabelRow, match_rows, read_labels, unread_columns
from airfast.data.readers.names import named_set
from airfast.data.readers.openpose import one_a_take
from airfast.data.windows import into_clips
from airfast.errors import InputError
from airfast.skeletons.layout import METRES, Layout


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
    files = [path for path in motion_files(source) if labels is None or path.resolve() != labels.resolve()]
    paths = one_a_take(files)
    rows = None if labels is None else read_labels(labels, columns)
    reader = Reader(source, Rules(layout, fps, unit, rule, person, flat), mending)
    if labels is not None and rows is not None and any(row.about_the_file for row in rows):
        reader.rows, _ = match_rows(rows, [name for path in paths for name in reader.clip_names(path)], labels)
    clips, skipped = read_all(reader, paths, skip, progress)
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


def _labelled(
    clips: list[Clip], rows: list[LabelRow], path: Path, skipped: list[tuple[str, str]], skip: bool
) -> list[Clip]:
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
    names = ("label", "subject", "group", "split", "family")
    return replace(row, **{name: getattr(row, name) or getattr(said, name) for name in names})


def _assemble(clips: Sequence[Clip], reader: Reader, source: Path, files: Sequence[Path]) -> MotionSet:
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
    if families := families_of(rows):
        info["families"] = families
    together = Counter(clip.recording for clip in clips)
    if several := [clip for clip in clips if clip.recording and together[clip.recording] > 1]:
        info["recordings"] = {clip.name: clip.recording for clip in several}
        info["persons"] = {clip.name: {"person": clip.person, "first_frame": clip.start} for clip in several}
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


def families_of(rows: Sequence[LabelRow]) -> dict[str, str]:
    """Group to family, where rows name one; InputError where a group has two, or a family stands without a group."""
    found: dict[str, str] = {}
    for row in rows:
        if row.family and not row.group:
            raise InputError(f"{row.file}: family {row.family!r} of no group; a family is of groups")
        if found.setdefault(row.group, row.family) != row.family:
            raise InputError(f"{row.file}: group {row.group!r} is of family {row.family!r} and of {found[row.group]!r}")
    return found if any(found.values()) else {}


def _shown(path: Path, reader: Reader) -> str:
    return reader.name(path) if path.is_relative_to(reader.base) else path.name
