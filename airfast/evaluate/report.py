"""`airfast evaluate`: the probes of a run beside the baselines it must beat, as rows of one table."""

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from airfast._version import __version__
from airfast.checkpoint import load_encoder
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.source import Source, open_motion
from airfast.data.splits import split
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.baselines import hand_made, majority
from airfast.evaluate.knn import knn_predict
from airfast.evaluate.linear import linear_probe, standardise
from airfast.evaluate.metrics import Integers, Scores, score
from airfast.models.deployed import DeployedEncoder
from airfast.pretrain import FEATURE_BATCH, initial
from airfast.run_folder import read_split

Protocol = Literal["linear", "knn"]
NEIGHBOURS = (1, 20)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        features: whose: "majority" class, "hand-made" statistics, "untrained" encoder, "pre-trained" encoder.
        probe: what read them: "–", "linear" (last epoch), "linear, best" (test) epoch, "1-NN", "20-NN".
        scores: one a seed; a single one where nothing is random.
    """

    features: str
    probe: str
    scores: tuple[Scores, ...]

    def mean(self, figure: str) -> float:
        """Mean over seeds of accuracy, macro_f1 or balanced_accuracy."""
        return float(np.mean([getattr(each, figure) for each in self.scores]))

    def sd(self, figure: str) -> float:
        """Standard deviation over seeds; 0 for a single one."""
        return float(np.std([getattr(each, figure) for each in self.scores], ddof=min(1, len(self.scores) - 1)))


@dataclass(frozen=True)
class Task:
    """Features of the two sides of a split and what they are to predict."""

    motion: MotionSet
    train: Integers
    test: Integers

    @property
    def classes(self) -> int:
        """Number of classes of the set."""
        return len(self.motion.classes)

    def labels(self, side: Integers) -> Tensor:
        """(n,) int64 labels of one side."""
        return torch.from_numpy(self.motion.labels[side])

    def score(self, predicted: Tensor | Integers) -> Scores:
        """Scores of predictions for the test side."""
        return score(self.motion.labels[self.test], np.asarray(predicted), self.classes)


def evaluate(
    run: Path | str, protocol: Protocol, data: Source = None, seeds: int = 5, device: str = "auto"
) -> list[Row]:
    """Probe a run's frozen encoder; the table is returned and saved in the run folder as JSON.

    On the run's own data the split is the run's: no test clip was seen in pre-training, and no label was used there.
    On other data (same layout) the split is drawn again, of the same kind.

    Args:
        run: a run folder.
        protocol: linear or knn.
        data: a prepared folder or a set in memory; the run's own by default.
        seeds: probes trained, with different initial weights and batch orders. They share the encoder and the split:
            their spread is the probe's alone.
        device: auto, cpu or cuda.

    Raises:
        InputError: not a run, a set of another layout or without labels, nothing to test on.

    Source: METHOD 7.
    """
    run = Path(run)
    if protocol not in ("linear", "knn"):
        raise InputError(f"--protocol {protocol}: expected linear or knn")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: expected at least 1")
    encoder = load_encoder(run)
    task = open_task(run, encoder, data)
    place = pick_device(device)
    sources = {
        "hand-made": hand_made(task.motion),
        "untrained": encode(untrained_like(encoder), task.motion, place),
        "pre-trained": encode(encoder, task.motion, place),
    }
    rows = [Row("majority", "–", (task.score(majority(task.motion.labels[task.train], len(task.test))),))]
    probe: Callable[[str, Tensor], list[Row]] = lambda name, features: (  # noqa: E731
        linear_rows(name, features, task, seeds) if protocol == "linear" else knn_rows(name, features, task)
    )
    for name, features in sources.items():
        rows += probe(name, features)
    save(run, protocol, task, data, rows)
    return rows


def open_task(run: Path, encoder: DeployedEncoder, data: Source) -> Task:
    """The labelled clips of both sides: the run's own split wherever the set holds the run's clips."""
    known = read_split(run)
    source = known["data"] if data is None else data
    if source is None:
        raise InputError(f"{run}: trained on a set in memory; say with data (--data) what to evaluate on")
    motion = open_motion(source)
    source = motion.info.get("name", "the set in memory") if isinstance(source, MotionSet) else source
    if motion.layout.joints != encoder.layout.joints:
        raise InputError(f"{source}: layout {motion.layout.name}, but {run} was trained on {encoder.layout.name}")
    place = {name: index for index, name in enumerate(motion.names)}
    if place.keys() >= {*known["train"], *known["test"]}:
        train, test = (np.array([place[name] for name in known[side]], dtype=np.int64) for side in ("train", "test"))
    elif data is None:
        raise InputError(f"{source}: not the clips that {run} was trained on any more")
    else:
        settings = encoder.config.split
        kind = "random" if settings.kind == "none" else settings.kind
        train, test = split(motion, kind, encoder.config.seed, settings.test_fraction)
    train, test = (side[motion.labels[side] >= 0] for side in (train, test))
    if len(set(motion.labels[train].tolist())) < 2 or not len(test):
        raise InputError(
            f"{run}: nothing to evaluate, {len(train)} labelled clips to train on and {len(test)} to test on; "
            "at least two classes and one test clip are needed"
        )
    return Task(motion, train, test)


def untrained_like(encoder: DeployedEncoder) -> DeployedEncoder:
    """The same network with the weights its run began with, on the same inputs: what training is measured against."""
    fresh = DeployedEncoder(encoder.config, encoder.layout, encoder.inputs.scales)
    begun = initial(encoder.config, encoder.layout).encoder.state_dict()
    fresh.encoder.load_state_dict({name: begun[name] for name in fresh.encoder.state_dict()})
    fresh.inputs.load_state_dict(encoder.inputs.state_dict())
    return fresh.eval()


@torch.no_grad()
def encode(encoder: DeployedEncoder, motion: MotionSet, device: torch.device) -> Tensor:
    """Features (N, D) float32 of every clip of a set, in order, on the CPU."""
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, device)
    encoder = encoder.to(device).eval()
    return torch.cat([encoder(batch).float() for batch in clips.batches(FEATURE_BATCH)]).cpu()


def linear_rows(name: str, features: Tensor, task: Task, seeds: int) -> list[Row]:
    """The linear protocol: the last epoch, and the best test epoch beside it, labelled."""
    probe = linear_probe(
        features[task.train],
        task.labels(task.train),
        features[task.test],
        task.labels(task.test),
        task.classes,
        seeds,
    )
    last, best = (tuple(map(task.score, each.numpy())) for each in (probe.last, probe.best))
    return [Row(name, "linear", last), Row(name, "linear, best", best)]


def knn_rows(name: str, features: Tensor, task: Task) -> list[Row]:
    """1-NN and 20-NN on standardised features; nothing in them is random."""
    train, test = standardise(features[task.train], features[task.test])
    labels = task.labels(task.train)
    predictions = {k: knn_predict(train, labels, test, k, task.classes) for k in NEIGHBOURS}
    return [Row(name, f"{k}-NN", (task.score(each.numpy()),)) for k, each in predictions.items()]


def save(run: Path, protocol: str, task: Task, data: Source, rows: list[Row]) -> None:
    """The table with every seed's figures as ``evaluate-PROTOCOL.json`` (or ``evaluate-PROTOCOL-SET.json``)."""
    suffix = f"-{Path(data).resolve().name}" if isinstance(data, Path | str) else ""
    record = {
        "airfast": __version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "set": task.motion.info.get("name"),
        "synthetic": task.motion.info.get("synthetic", False),
        "train_clips": len(task.train),
        "test_clips": len(task.test),
        "classes": list(task.motion.classes),
        "rows": [
            {"features": row.features, "probe": row.probe, "scores": [vars(each) for each in row.scores]}
            | {
                figure: {"mean": row.mean(figure), "sd": row.sd(figure)}
                for figure in ("accuracy", "macro_f1", "balanced_accuracy")
            }
            for row in rows
        ],
    }
    path = run / f"evaluate-{protocol}{suffix}.json"
    try:
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
