"""The folder a run leaves behind: configuration, split, a line of metrics and a file of labels an epoch."""

import json
from pathlib import Path
from typing import Any, Protocol

from airfast.checkpoint import STATE
from airfast.config import Config
from airfast.data.motion import MotionSet
from airfast.data.source import Source, describe_source
from airfast.data.splits import Indices
from airfast.errors import InputError
from airfast.labels import LabelSet


class Resumable(Protocol):
    """The state of a run, of whatever kind."""

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it."""


def open_run(out: Path, config: Config, resume: str, state: Resumable) -> int:
    """Make the folder ready and take over a state if there is one to go on from; returns the epochs behind it."""
    here = out / STATE
    source = here if resume == "auto" else Path(resume)
    if resume == "never" and (out / "config.yaml").exists():
        raise InputError(f"{out}: holds a run already; use another --out, or --resume auto")
    try:
        out.mkdir(parents=True, exist_ok=True)
        done = state.load(source) if resume not in ("auto", "never") or (resume == "auto" and here.exists()) else 0
        (out / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        keep_metrics(out / "metrics.jsonl", done)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None
    return done


def keep_metrics(path: Path, epochs: int) -> None:
    """Cut the log back to the epochs that a state has behind it: those after it are about to be run again."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["epoch"] <= epochs]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def append_metrics(out: Path, metrics: dict[str, Any]) -> None:
    """One JSON line."""
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(metrics) + "\n")


def write_split(out: Path, data: Source, motion: MotionSet, train: Indices, test: Indices) -> None:
    """Where the clips came from and which were on each side, so that no evaluation tests on what was trained on."""
    sides = {side: [motion.names[i] for i in index] for side, index in (("train", train), ("test", test))}
    text = json.dumps({"data": describe_source(data), **sides}, indent=1)
    (out / "split.json").write_text(text, encoding="utf-8")


def save_labels(out: Path, motion: MotionSet, labels: LabelSet, epoch: int) -> None:
    """The labels of an epoch: sample, label, agreement, core, cluster_size."""
    frame = labels.to_frame().rename(columns={"index": "sample"})
    frame["sample"] = list(motion.names)
    (out / "labels").mkdir(exist_ok=True)
    frame.to_parquet(out / "labels" / f"epoch_{epoch:04d}.parquet", index=False)


def read_split(run: Path) -> dict[str, Any]:
    """What ``pretrain`` noted of its data."""
    try:
        known: dict[str, Any] = json.loads((run / "split.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{run}: not a run folder, it has no split.json") from None
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{run / 'split.json'}: cannot be read ({error})") from None
    return known
