"""The labels of clips: a CSV with one row a clip, its fields parted by commas, semicolons or tabs."""

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import splitext

from airfast.data.readers.clip import UP, check_rate
from airfast.errors import InputError
from airfast.reading import read_bytes
from airfast.skeletons.layout import METRES


@dataclass(frozen=True)
class LabelRow:
    """One row: its line in the CSV and what it says; "" is unknown or unlabelled, an fps of None not said."""

    line: int
    file: str
    label: str = ""
    subject: str = ""
    group: str = ""
    split: str = ""
    family: str = ""
    fps: float | None = None
    unit: str = ""
    up: str = ""

    @property
    def about_the_file(self) -> bool:
        """Whether it says how its file is to be read."""
        return self.fps is not None or bool(self.unit or self.up)


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read beside `file`."""

    label: str = "label"
    subject: str = "subject"
    group: str = "content"


def read_labels(path: Path, columns: Columns) -> list[LabelRow]:
    """Read a label file: `file`, label, and if present subject, group, `split`, `family`, `fps`, `unit` and `up`.

    Subject and group columns may be absent under their default names (`group` then stands in for `content`); a column
    that was asked for by another name must be there. The file is UTF-8, with a mark or without, UTF-16
    with one, or else cp1252.

    Raises:
        InputError: the file cannot be read, a column is missing, a row has too few or too many fields, or an fps, unit
            or axis that cannot be.
    """
    header, numbered = _table(path)
    subject, group = _checked(columns, header, path)
    rows = []
    for line, fields in numbered:
        if len(fields) != len(header):
            raise InputError(f"{path}:{line}: expected {len(header)} fields, found {len(fields)}")
        cell = dict(zip(header, (field.strip() for field in fields), strict=True))
        file_name = cell["file"].replace("\\", "/").removeprefix("./")
        if not file_name:
            raise InputError(f"{path}:{line}: expected a file name, found nothing")
        known = (
            cell[columns.label],
            cell.get(subject, ""),
            cell.get(group, ""),
            cell.get("split", ""),
            cell.get("family", ""),
        )
        rows.append(LabelRow(line, file_name, *known, *_about_the_file(cell, f"{path}:{line}")))
    return rows


def unread_columns(path: Path, columns: Columns) -> list[str]:
    """The columns of a label file that :func:`read_labels` makes nothing of."""
    header, _ = _table(path)
    known = {"file", "split", "family", "fps", "unit", "up", columns.label, *_checked(columns, header, path)}
    return [name for name in header if name not in known]


def match_rows(
    rows: Sequence[LabelRow], names: Sequence[str], path: Path
) -> tuple[dict[str, LabelRow], list[LabelRow]]:
    """Which row speaks of which clip.

    A row names a clip by its path relative to the source folder, or by the file name alone where that is unique, with
    or without the ending. Folders that all rows begin with may stand before (an absolute path, say), or be missing.

    Returns:
        The row of each clip that has one, and the rows that match no clip.

    Raises:
        InputError: a row matches several clips, or a clip has several rows.
    """
    exact, loose = set(names), defaultdict(set)
    for name in names:
        parts = name.split("/")
        for tail in ("/".join(parts[at:]) for at in range(len(parts))):
            loose[tail].add(name)
            loose[splitext(tail)[0]].add(name)
    shared = _shared_folders([row.file for row in rows])
    found: dict[str, LabelRow] = {}
    unmatched: list[LabelRow] = []
    seen: dict[str, int] = {}
    for row in rows:
        if row.file in seen:
            raise InputError(f"{path}:{row.line}: {row.file!r} has a row already, on line {seen[row.file]}")
        seen[row.file] = row.line
        tries = [row.file, *("/".join(row.file.split("/")[at:]) for at in range(1, shared + 1))]
        hit = next((each for each in tries if each in exact or each in loose), "")
        clips = {hit} if hit in exact else loose.get(hit, set())
        if not clips:
            unmatched.append(row)
            continue
        if len(clips) > 1:
            raise InputError(
                f"{path}:{row.line}: {row.file!r} matches {len(clips)} clips: {', '.join(sorted(clips)[:3])}"
            )
        (clip,) = clips
        if clip in found:
            raise InputError(f"{path}:{row.line}: clip {clip!r} has a row already, on line {found[clip].line}")
        found[clip] = row
    return found, unmatched


def _shared_folders(files: Sequence[str]) -> int:
    """How many folders every one of these paths begins with; dropping others could take one clip for another."""
    if not files:
        return 0
    parts = [file.split("/")[:-1] for file in files]
    return next(
        (at for at, folders in enumerate(zip(*parts, strict=False)) if len(set(folders)) > 1), min(map(len, parts))
    )


def _about_the_file(cell: dict[str, str], where: str) -> tuple[float | None, str, str]:
    """What a row says of how its file is to be read: frames a second, unit, upward axis."""
    said, unit, up = (cell.get(name, "") for name in ("fps", "unit", "up"))
    if unit and unit not in METRES:
        raise InputError(f"{where}: unit {unit!r} is not one of {', '.join(METRES)}")
    if up and up not in UP:
        raise InputError(f"{where}: up {up!r} is not one of {', '.join(UP)}")
    try:
        fps = float(said) if said else None
    except ValueError:
        raise InputError(f"{where}: expected fps as a positive number, found {said!r}") from None
    if fps is not None:
        check_rate(fps, f"{where}: expected fps as")
    return fps, unit, up


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and each row with its line."""
    text = _text(path)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
        header = [" ".join(name.split()) for name in next(reader, [])]
        return header, [(reader.line_num, fields) for fields in reader if fields]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error


def _text(path: Path) -> str:
    raw = read_bytes(path)
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise InputError(f"{path}: cannot be read as CSV: not text")


def _delimiter(text: str) -> str:
    """What parts the fields: whichever of comma, semicolon and tab finds a column `file` in the first line."""
    head = text.lstrip().split("\n", 1)[0]
    return next((mark for mark in ",;\t" if "file" in [name.strip(' \r"') for name in head.split(mark)]), ",")


def _checked(columns: Columns, header: Sequence[str], path: Path) -> tuple[str, str]:
    """The columns of subject and group to read, after a check of all."""
    usual = Columns()
    wanted = ["file", columns.label]
    wanted += [columns.subject] if columns.subject != usual.subject else []
    wanted += [columns.group] if columns.group != usual.group else []
    for name in wanted:
        if name not in header:
            found = ", ".join(header) or "an empty file"
            raise InputError(f"{path}:1: expected a column {name!r}, found {found}")
    return columns.subject, columns.group if columns.group in header else "group"
