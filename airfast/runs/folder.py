"""The folder a run leaves behind: configuration, split, a line of metrics and a file of labels an epoch."""

import os
from pathlib import Path
from typing import Any, Protocol
from warnings import warn

from airfast.atomic import replacing, write_text
from airfast.config import Config, read_yaml
from airfast.data.motion import MotionSet
from airfast.data.source import EMBEDDED, Source, describe_source, open_motion
from airfast.data.splits import Indices
from airfast.errors import InputError, Note
from airfast.reading import parse_json, read_text
from airfast.record import opened, read_record, sealed, write_record
from airfast.runs.checkpoint import BEFORE, ENCODER, STATE, Damaged, about_of, difference
from airfast.runs.older import as_recorded
from airfast.runs.schemas import EnvironmentSchema, EpochSchema, EvaluationSchema, SplitSchema

METRICS, SPLIT, ENVIRONMENT, MODEL = "metrics.jsonl", "split.json", "environment.json", "model.safetensors"
TABLES = "labels"


class Resumable(Protocol):
    """The state of a run, of whatever kind."""

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it."""


def open_run(out: Path, config: Config, resume: str, state: Resumable, split: dict[str, Any]) -> int:
    """Make a folder that is there ready and take over a state to go on from; returns the epochs behind it.

    Args:
        out: the run folder.
        config: of the run that is about to go on.
        resume: auto, never, or the path of a state.
        state: takes over what is found.
        split: what :func:`describe_split` says of the clips.

    Raises:
        InputError: the folder holds a run and is not to, or one of other clips or another configuration, or no state
            that is whole.
    """
    if resume == "never" and (out / "config.yaml").exists():
        raise InputError(f"{out}: holds a run already; use another --out, or --resume auto")
    told = resume not in ("auto", "never")  # of a folder that holds no run there is nothing to go on from
    done = state.load(Path(resume)) if told else load_last(out, state)
    write_split(out, split, goes_on=done > 0)
    keep_metrics(out / METRICS, done, told=resume != "auto")
    keep_tables(out / TABLES, done)
    write_text(out / "config.yaml", config.to_yaml())
    return done


def load_last(out: Path, state: Resumable) -> int:
    """Take over the last state of a run that is whole; returns the epochs behind it, 0 where there is none to find.

    A damaged one is passed over, with a Note, for the one before it; InputError where no other is left.
    """
    there = [path for path in (out / STATE, out / BEFORE) if path.exists()]
    for path in there:
        try:
            return state.load(path)
        except Damaged as error:
            if path == there[-1]:
                raise
            warn(Note(f"{error}; going on from the state before it"), stacklevel=3)
    return 0


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
    text = read_text(path) if path.exists() else ""
    kept = {line["epoch"]: line for line in parsed(path, text) if line["epoch"] <= epochs}  # the last of each epoch
    missing = sorted(set(range(1, epochs + 1)) - kept.keys())
    if missing:
        found = f"{path}: {len(missing)} of the {epochs} epochs that the state has behind it are not in the log"
        if not told:
            raise InputError(f"{found}; to go on without them: --resume {path.with_name(STATE)}")
        warn(Note(f"{found}, the first: {missing[0]}"), stacklevel=2)
    whole = "".join(f"{sealed(kept[epoch])}\n" for epoch in sorted(kept))
    if whole != text or not path.exists():
        write_text(path, whole)


def parsed(path: Path, text: str) -> list[dict[str, Any]]:
    """The lines of a log; a last one that a kill or a full disk has torn is left out, with a Note.

    Raises:
        InputError: a line, named by its number, is not what an epoch logs, or not as it was written.
    """
    lines = text.splitlines()
    torn = bool(lines) and not text.endswith("\n")
    found, seals = [], set()
    for number, line in enumerate(lines, start=1):
        try:
            known, with_seal = opened(parse_json(line), EpochSchema)
        except ValueError as error:
            if torn and number == len(lines):
                warn(Note(f"{path}: line {number} was not written to its end and is left out"), stacklevel=2)
                break
            raise InputError(f"{path}: line {number}: {error}") from None
        seals.add(with_seal)
        found.append(known)
    if len(seals) > 1:
        raise InputError(f"{path}: damaged, some of its lines have lost their seal")
    return found


def append_metrics(out: Path, metrics: dict[str, Any]) -> None:
    """One JSON line, on disk; InputError where the log is gone or cannot be written."""
    path = out / METRICS
    try:
        with path.open("rb+") as file:  # never a new file: a log that was taken away would begin in the middle
            file.seek(0, os.SEEK_END)
            file.write(f"{sealed(metrics)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


def describe_split(data: Source, whole: MotionSet, motion: MotionSet, train: Indices, test: Indices) -> dict[str, Any]:
    """Where the clips came from and which were on each side, so that no evaluation tests on what was trained on.

    Args:
        data: what the caller named.
        whole: the set as it was opened.
        motion: the same as the configuration reads it.
        train, test: indices of the clips of both sides.
    """
    sides = {side: [motion.names[i] for i in index] for side, index in (("train", train), ("test", test))}
    source, lacking = describe_source(data), motion.info.get("lacking", [])
    # The embedded walkers are computed, and their last bits are the processor's: a run of them may move to another.
    digest = {} if source == EMBEDDED else whole.digest()
    return {"data": source, "digest": digest, "lacking": lacking, **sides}


def write_split(out: Path, split: dict[str, Any], goes_on: bool) -> None:
    """``split.json``; of a run that goes on, the one that is there is compared, and made again where it is damaged.

    Raises:
        InputError: the run has trained on other clips.
    """
    path = out / SPLIT
    if goes_on and path.exists():
        try:
            known = read_split(out)
        except InputError as error:
            warn(Note(f"{error}; made again"), stacklevel=3)
            known = {}
        if changed := changes(known.get("digest", {}), split["digest"]):
            raise InputError(f"{out}: a run on other clips: {changed} of the set have changed; use another --out")
        if any(known.get(side, split[side]) != split[side] for side in ("train", "test")):
            raise InputError(f"{out}: a run on other clips than this set's split; use another --out")
    write_record(path, split)


def changes(before: dict[str, str], now: dict[str, str]) -> str:
    """The parts of a set whose digests are others than they were, joined; empty where there are none."""
    return ", ".join(part for part, digest in before.items() if now.get(part) != digest)


def write_environment(out: Path, about: dict[str, str]) -> None:
    """Versions and machine of the training; a run that is resumed elsewhere tells of where it ended.

    What another version began is gone on with, with a Note: its bits may be others.
    """
    path = out / ENVIRONMENT
    try:
        known = read_environment(out)
    except InputError as error:
        warn(Note(f"{error}; made again"), stacklevel=3)
        known = {}
    both = [(key, known.get(key, about[key]), about[key]) for key in ("airfast", "torch")]
    changed = [f"{key} {before}, now {now}" for key, before, now in both if before != now]
    if changed:
        warn(Note(f"{out}: begun with {'; '.join(changed)}: it goes on, to other bits"), stacklevel=3)
    write_record(path, dict(about))


def read_environment(run: Path) -> dict[str, str]:
    """What :func:`write_environment` wrote; empty for a run that has none."""
    path = run / ENVIRONMENT
    about: dict[str, str] = read_record(path, EnvironmentSchema) if path.exists() else {}
    return about


def keep_tables(folder: Path, epochs: int) -> None:
    """Remove the tables of epochs that a state has not behind it: those are about to be made again, or never."""
    for path in folder.glob("epoch_*.parquet"):
        number = path.stem.removeprefix("epoch_")
        if number.isdecimal() and int(number) > epochs:
            path.unlink()


def save_table(out: Path, table: Any, epoch: int) -> None:
    """What a method found of every clip before an epoch, as Parquet; of AIR, its labels."""
    folder = out / TABLES
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    with replacing(folder / f"epoch_{epoch:04d}.parquet") as part:
        table.to_parquet(part, index=False)


def read_split(run: Path) -> dict[str, Any]:
    """What ``pretrain`` noted of its data."""
    if not (run / SPLIT).exists():
        raise InputError(f"{run}: not a run folder, it has no {SPLIT}")
    return read_record(run / SPLIT, SplitSchema)


def open_set(run: Path, known: dict[str, Any], data: Source, purpose: str) -> MotionSet:
    """The run's set: as told with ``data``, or as its split says, and then as it was.

    Raises:
        InputError: neither says where it is, or what lies there is not what the run was trained on any more.
    """
    source: Source = known["data"] if data is None else data
    if source is None:
        raise InputError(f"{run}: trained on a set in memory; say with data (--data) what to {purpose}")
    motion = open_motion(source)
    if data is None and (changed := changes(known.get("digest", {}), motion.digest())):
        what = f"not what {run} was trained on any more, {changed} have changed"
        raise InputError(f"{source}: {what}; --data {source} takes it all the same")
    return motion


def read_config(run: Path) -> Config:
    """The resolved configuration that a run was told; InputError where its encoder was trained by another."""
    path = run / "config.yaml"
    if not path.is_file():
        raise InputError(f"{run}: not a run folder, it has no config.yaml")
    config = as_recorded(read_yaml(path))
    for name in (ENCODER, MODEL):
        about = about_of(run / name)
        if about and (differs := difference(as_recorded(about["config"]), config)):
            key, theirs, ours = differs
            raise InputError(f"{path}: changed since: {key} = {ours!r}, but {name} was trained with {theirs!r}")
    return config


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """A dictionary an epoch, as ``pretrain`` logged them; a Note where the encoder has more epochs behind it."""
    path = run / METRICS
    if not path.exists():
        raise InputError(f"{run}: not a run folder, it has no {METRICS}")
    lines = parsed(path, read_text(path))
    behind = max((about_of(run / name).get("epoch", 0) for name in (ENCODER, MODEL)), default=0)
    if missing := set(range(1, behind + 1)) - {line["epoch"] for line in lines}:
        warn(Note(f"{path}: {len(missing)} of the {behind} epochs of the encoder are not in the log"), stacklevel=2)
    return lines


def read_evaluation(path: Path) -> dict[str, Any]:
    """One ``evaluate-*.json``."""
    if not path.exists():
        raise InputError(f"{path.parent}: no {path.name} yet; make it with: airfast evaluate {path.parent}")
    return read_record(path, EvaluationSchema)


def describe_folder(run: Path) -> tuple[str, str | None] | None:
    """Configuration (YAML) and set of the run that a folder holds; None for a folder that holds none."""
    settings, split = run / "config.yaml", run / SPLIT
    if not (settings.exists() and split.exists()):
        return None
    return read_text(settings), read_split(run)["data"]
