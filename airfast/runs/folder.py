"""The folder a run leaves behind: configuration, split, a line of metrics and a file of labels an epoch."""

import json
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch

from airfast.config import Config, read_yaml, validate
from airfast.data.motion import MotionSet
from airfast.data.source import Source, describe_source
from airfast.data.splits import Indices
from airfast.errors import InputError
from airfast.labels import LabelSet
from airfast.runs.checkpoint import STATE


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
    text = json.dumps({"data": describe_source(data), "lacking": motion.info.get("lacking", []), **sides}, indent=1)
    (out / "split.json").write_text(text, encoding="utf-8")


def write_environment(out: Path, about: dict[str, str]) -> None:
    """Versions and machine of the training; a run that is resumed elsewhere tells of where it ended."""
    (out / "environment.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def read_environment(run: Path) -> dict[str, str]:
    """What :func:`write_environment` wrote; empty for a run that has none."""
    path = run / "environment.json"
    try:
        about: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    return about


def save_labels(out: Path, motion: MotionSet, labels: LabelSet, epoch: int) -> None:
    """The labels of an epoch: sample, label, agreement, core, cluster_size."""
    frame = labels.to_frame().rename(columns={"index": "sample"})
    frame["sample"] = list(motion.names)
    (out / "labels").mkdir(exist_ok=True)
    frame.to_parquet(out / "labels" / f"epoch_{epoch:04d}.parquet", index=False)


def last_labels(out: Path, epochs: int, device: torch.device) -> torch.Tensor | None:
    """The labels (N,) that the epoch before has left, for a run that goes on; None where it has left none."""
    path = out / "labels" / f"epoch_{epochs:04d}.parquet"
    if not path.is_file():
        return None
    return torch.from_numpy(pd.read_parquet(path, columns=["label"])["label"].to_numpy(copy=True)).to(device)


def read_split(run: Path) -> dict[str, Any]:
    """What ``pretrain`` noted of its data."""
    try:
        known: dict[str, Any] = json.loads((run / "split.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{run}: not a run folder, it has no split.json") from None
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{run / 'split.json'}: cannot be read ({error})") from None
    return known


def read_config(run: Path) -> Config:
    """The resolved configuration that a run was told."""
    if not (run / "config.yaml").is_file():
        raise InputError(f"{run}: not a run folder, it has no config.yaml")
    return validate(read_yaml(run / "config.yaml"))


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """A dictionary an epoch, as ``pretrain`` logged them."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise InputError(f"{run}: not a run folder, it has no metrics.jsonl")
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            raise InputError(f"{path}: line {number} is not JSON") from None
    return lines


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
