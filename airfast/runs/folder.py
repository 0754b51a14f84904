"""The folder a run leaves behind: configuration, split, a line of metrics and a file of labels an epoch."""

import json
import os
from pathlib import Path
from typing import Any, Protocol
from warnings import warn

from airfast.atomic import replacing, write_text
from airfast.config import Config, read_yaml
from airfast.data.motion import MotionSet
from airfast.data.source import Source, describe_source
from airfast.data.splits import Indices
from airfast.errors import InputError, Note
from airfast.runs.checkpoint import STATE
from airfast.runs.older import as_recorded

METRICS = "metrics.jsonl"


class Resumable(Protocol):
    """The state of a run, of whatever kind."""

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it."""


def open_run(out: Path, config: Config, resume: str, state: Resumable) -> int:
    """Make a folder that is there ready and take over a state to go on from; returns the epochs behind it."""
    here = out / STATE
    source = here if resume == "auto" else Path(resume)
    if resume == "never" and (out / "config.yaml").exists():
        raise InputError(f"{out}: holds a run already; use another --out, or --resume auto")
    done = state.load(source) if resume not in ("auto", "never") or (resume == "auto" and here.exists()) else 0
    keep_metrics(out / METRICS, done, told=resume != "auto")
    write_text(out / "config.yaml", config.to_yaml())
    return done


def keep_metrics(path: Path, epochs: int, told: bool) -> None:
    """Cut the log back to the epochs that a state has behind it: those after it are about to be run again.

    The file is touched only if something is cut. A last line that was not written to its end is dropped, with a Note.

    Args:
        path: the log; made if there is none.
        epochs: epochs that the state has behind it.
        told: whether the state was named by the user, who then may go on with a log that misses epochs.

    Raises:
        InputError: a line is not JSON, or the log misses epochs that the state has behind it.
    """
    text = read_log(path) if path.exists() else ""
    kept = {line["epoch"]: line for line in parsed(path, text) if line["epoch"] <= epochs}  # the last of each epoch
    missing = sorted(set(range(1, epochs + 1)) - kept.keys())
    if missing:
        found = f"{path}: {len(missing)} of the {epochs} epochs that the state has behind it are not in the log"
        if not told:
            raise InputError(f"{found}; to go on without them: --resume {path.with_name(STATE)}")
        warn(Note(f"{found}, the first: {missing[0]}"), stacklevel=2)
    whole = "".join(f"{json.dumps(kept[epoch])}\n" for epoch in sorted(kept))
    if whole != text or not path.exists():
        write_text(path, whole)


def read_log(path: Path) -> str:
    """The text of a log; InputError where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None


def parsed(path: Path, text: str) -> list[dict[str, Any]]:
    """The lines of a log; a last one that a kill or a full disk has torn is left out, with a Note.

    Raises:
        InputError: a line, named by its number, is not what an epoch logs.
    """
    lines = text.splitlines()
    torn = bool(lines) and not text.endswith("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            known = json.loads(line)
        except ValueError:
            if torn and number == len(lines):
                warn(Note(f"{path}: line {number} was not written to its end and is left out"), stacklevel=2)
                break
            raise InputError(f"{path}: line {number} is not JSON") from None
        if not isinstance(known, dict) or type(known.get("epoch")) is not int:
            raise InputError(f"{path}: line {number} is not the log of an epoch")
        found.append(known)
    return found


def append_metrics(out: Path, metrics: dict[str, Any]) -> None:
    """One JSON line, on disk; InputError where the log is gone or cannot be written."""
    path = out / METRICS
    try:
        with path.open("rb+") as file:  # never a new file: a log that was taken away would begin in the middle
            file.seek(0, os.SEEK_END)
            file.write(f"{json.dumps(metrics)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def write_split(out: Path, data: Source, motion: MotionSet, train: Indices, test: Indices) -> None:
    """Where the clips came from and which were on each side, so that no evaluation tests on what was trained on."""
    sides = {side: [motion.names[i] for i in index] for side, index in (("train", train), ("test", test))}
    text = json.dumps({"data": describe_source(data), "lacking": motion.info.get("lacking", []), **sides}, indent=1)
    write_text(out / "split.json", text)


def write_environment(out: Path, about: dict[str, str]) -> None:
    """Versions and machine of the training; a run that is resumed elsewhere tells of where it ended."""
    write_text(out / "environment.json", json.dumps(about, indent=1))


def read_environment(run: Path) -> dict[str, str]:
    """What :func:`write_environment` wrote; empty for a run that has none."""
    path = run / "environment.json"
    try:
        about: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return about


def save_table(out: Path, table: Any, epoch: int) -> None:
    """What a method found of every clip before an epoch, as Parquet; of AIR, its labels."""
    folder = out / "labels"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    with replacing(folder / f"epoch_{epoch:04d}.parquet") as part:
        table.to_parquet(part, index=False)


def read_split(run: Path) -> dict[str, Any]:
    """What ``pretrain`` noted of its data."""
    try:
        known: dict[str, Any] = json.loads((run / "split.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{run}: not a run folder, it has no split.json") from None
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{run / 'split.json'}: cannot be read ({error})") from None
    return known


def source_of(run: Path, known: dict[str, Any], data: Source, purpose: str) -> Source:
    """Where a run's clips are: as told with ``data``, or as its split says; InputError where neither does."""
    source: Source = known["data"] if data is None else data
    if source is None:
        raise InputError(f"{run}: trained on a set in memory; say with data (--data) what to {purpose}")
    return source


def read_config(run: Path) -> Config:
    """The resolved configuration that a run was told."""
    if not (run / "config.yaml").is_file():
        raise InputError(f"{run}: not a run folder, it has no config.yaml")
    return as_recorded(read_yaml(run / "config.yaml"))


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """A dictionary an epoch, as ``pretrain`` logged them."""
    path = run / METRICS
    if not path.is_file():
        raise InputError(f"{run}: not a run folder, it has no {METRICS}")
    return parsed(path, read_log(path))


def read_evaluation(path: Path) -> dict[str, Any]:
    """One ``evaluate-*.json``."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent}: no {path.name} yet; make it with: airfast evaluate {path.parent}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not isinstance(record, dict) or not isinstance(record.get("rows"), list):
        raise InputError(f"{path}: not the table of an evaluation")
    return record


def describe_folder(run: Path) -> tuple[str, str | None] | None:
    """Configuration (YAML) and set of the run that a folder holds; None for a folder that holds none."""
    settings, split = run / "config.yaml", run / "split.json"
    if not (settings.exists() and split.exists()):
        return None
    return settings.read_text(encoding="utf-8"), read_split(run)["data"]
