"""Training with labels: the supervised rows of Table I, on the splits and the inputs of pre-training."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from airfast.checkpoint import fill, read, read_state, take_over, write, write_state
from airfast.config import Config, nearest, validate
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.skeleton import as_configured
from airfast.data.source import Source, open_motion
from airfast.data.splits import split
from airfast.device import Stopwatch, describe_machine, pick_device
from airfast.errors import InputError
from airfast.evaluate.baselines import majority
from airfast.evaluate.metrics import Integers, Scores, score
from airfast.evaluate.report import Evaluation, save
from airfast.evaluate.table import Row
from airfast.evaluate.task import Task
from airfast.models.classifier import Classifier
from airfast.optimiser import learning_rate, set_learning_rate
from airfast.pretrain import FEATURE_BATCH, NonFiniteLoss, epoch_batches
from airfast.run_folder import append_metrics, open_run, write_environment, write_split
from airfast.skeletons.layout import Layout, layout_from_record

MODEL = "model.safetensors"
MODELS = ("st-gcn", "agcn", "air")
Metrics = dict[str, Any]


@dataclass(frozen=True)
class SupervisedState:
    """Everything the rest of a run depends on."""

    model: Classifier
    optimiser: torch.optim.Optimizer
    generator: Generator

    def save(self, run: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs."""
        write_state(run, self.model, self.model.config, self.optimiser, self.generator, epoch)

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it."""
        groups, epoch = read_state(path, self.model.config)
        take_over(groups, path, self.model, self.optimiser, self.generator)
        return epoch


def train_supervised(
    data: Source,
    config: Config,
    out: Path | str,
    device: str = "auto",
    resume: str = "auto",
    report: Callable[[Metrics], None] | None = None,
) -> Evaluation:
    """Train the network that ``config.method`` names on labelled clips and leave a run folder behind.

    ST-GCN and AGCN learn by SGD with Nesterov momentum 0.9, AIR's encoder and a linear layer by Adam. Views, batches
    and the split of a seed are those of :func:`airfast.pretrain.pretrain`.

    The folder holds ``config.yaml``, ``split.json``, ``metrics.jsonl`` (a line an epoch, with the scores of the test
    clips), ``model.safetensors``, ``state.safetensors`` and ``evaluate-supervised.json``.

    Args:
        data: a prepared folder, a set in memory, or None for the embedded synthetic walkers.
        config: the resolved configuration; ``method`` is st-gcn, agcn or air.
        out: the run folder.
        device: auto, cpu or cuda.
        resume: auto, never, or the path of a ``state.safetensors``.
        report: called with each epoch's metrics as soon as they are known.

    Returns:
        The scores on the test clips: of the majority class, of the last epoch, and of the best one.

    Raises:
        InputError: too few labels, a folder that cannot be written or that holds another run.
        NonFiniteLoss: the loss left the finite numbers.
    """
    out, place = Path(out), pick_device(device)
    check_model(config.method)
    task = labelled(as_configured(open_motion(data), config), config)
    clips, test = (
        DeviceClips.from_motion(task.motion.select(side), config.inputs, place) for side in (task.train, task.test)
    )
    labels = task.labels(task.train).to(place)
    state = begin(config, task, clips)
    done = open_run(out, config, resume, state)
    write_split(out, data, task.motion, task.train, task.test)
    write_environment(out, describe_machine(place))
    for epoch in range(done, config.train.epochs):
        set_learning_rate(state.optimiser, learning_rate(config.train, epoch))
        clock = Stopwatch(place)
        metrics = train_epoch(state, clips, labels, epoch)
        clock.lap("training")
        metrics |= {"test": to_log(task.score(predict(state.model, test))), "seconds": clock.laps}
        append_metrics(out, metrics)
        last = epoch + 1 == config.train.epochs
        if last or (epoch + 1) % config.train.checkpoint_every == 0:
            save_model(out, state.model, task.motion, epoch + 1)
            state.save(out, epoch + 1)
        if report:
            report(metrics)
    found = Evaluation(tuple(results(out, config, task)), task.motion.classes, task.notes, "")
    save(out, "supervised", None, [task], None, found)
    return found


def check_model(name: str) -> None:
    """Raise InputError, with the nearest name, unless there is such a supervised model."""
    if name not in MODELS:
        raise InputError(f"--model {name}: expected {', '.join(MODELS)}{nearest(name, MODELS)}")


def labelled(motion: MotionSet, config: Config) -> Task:
    """The labelled clips of both sides, on the split that pre-training of the same configuration makes."""
    if config.split.kind == "none":
        raise InputError("split.kind=none: training with labels needs test clips; use random, subject or group")
    train, test = split(motion, config.split.kind, config.seed, config.split.test_fraction)
    train = train[motion.labels[train] >= 0]
    if len(set(motion.labels[train].tolist())) < 2:
        raise InputError(f"{len(train)} labelled clips to train on, of one class; at least two classes are needed")
    return Task(motion, train, test)


def begin(config: Config, task: Task, clips: DeviceClips) -> SupervisedState:
    """The state before the first epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Classifier(config, task.motion.layout, task.classes)
    model = model.to(clips.frames.device)
    settings = config.train
    if config.method == "air":
        if config.inputs.standardise:
            model.streams[0][0].inputs.fit(clips.batches(FEATURE_BATCH))  # type: ignore[index]
        optimiser: torch.optim.Optimizer = torch.optim.Adam(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
    else:
        optimiser = torch.optim.SGD(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, momentum=0.9, nesterov=True
        )
    return SupervisedState(model, optimiser, Generator(device=clips.frames.device).manual_seed(config.seed))


def train_epoch(state: SupervisedState, clips: DeviceClips, labels: Tensor, epoch: int) -> Metrics:
    """One pass over the clips; the mean loss of a stream and the share of clips that all streams together got right.

    Raises:
        NonFiniteLoss: with the epoch.
    """
    model, generator = state.model.train(), state.generator
    place = clips.frames.device
    sums, seen = torch.zeros(2, device=place), 0
    # Dropout knows only the global generator: seeded here, a resumed run drops what the uninterrupted one would.
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.manual_seed(state.model.config.seed * 100_003 + epoch)
        for batch in epoch_batches(model.config, clips, None, generator):
            logits = model(clips.view(batch, generator))  # (S, B, classes)
            wanted = labels[batch]
            loss = torch.stack([F.cross_entropy(each, wanted) for each in logits]).sum()
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimiser.step()
            right = (logits.detach().softmax(dim=2).mean(dim=0).argmax(dim=1) == wanted).sum()
            sums += torch.stack([loss.detach() * len(batch) / len(logits), right])
            seen += len(batch)
    mean_loss, accuracy = (sums / seen).tolist()
    if not np.isfinite(mean_loss):
        raise NonFiniteLoss(f"epoch {epoch + 1}: the loss is not finite")
    return {"epoch": epoch + 1, "lr": state.optimiser.param_groups[0]["lr"], "loss": mean_loss, "accuracy": accuracy}


@torch.no_grad()
def predict(model: Classifier, clips: DeviceClips) -> Integers:
    """The class of every clip, whole and not augmented: (N,) int64."""
    model.eval()
    scores = torch.cat([model.scores(each) for each in clips.batches(FEATURE_BATCH)])
    predicted: Integers = scores.argmax(dim=1).cpu().numpy()
    return predicted


def results(run: Path, config: Config, task: Task) -> list[Row]:
    """The majority class, the last epoch (the figure to report) and the best test epoch, which peeks, from the log."""
    lines = [json.loads(line)["test"] for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = max(range(len(lines)), key=lambda epoch: lines[epoch]["accuracy"])
    common = task.score(majority(task.motion.labels[task.train], len(task.test)))
    return [
        Row("majority", "–", (common,)),
        Row(config.method, "last epoch", (from_log(lines[-1]),)),
        Row(config.method, f"best epoch, {best + 1}", (from_log(lines[best]),)),
    ]


def to_log(scores: Scores) -> dict[str, Any]:
    """The scores of an epoch without the recalls, which may be nan, for which JSON has no word."""
    return {name: value for name, value in vars(scores).items() if name != "recall"}


def from_log(logged: dict[str, Any]) -> Scores:
    """The scores again, from their confusion matrix."""
    confusion = np.array(logged["confusion"])
    true, predicted = (np.repeat(each.ravel(), confusion.ravel()) for each in np.indices(confusion.shape))
    return score(true, predicted, len(confusion))


def save_model(run: Path, model: Classifier, motion: MotionSet, epoch: int) -> None:
    """The weights of the classifier with what rebuilds it."""
    about = {
        "config": model.config.model_dump(mode="json"),
        "layout": {"name": motion.layout.name, "record": motion.layout.record()},
        "classes": list(motion.classes),
        "epoch": epoch,
    }
    write(run / MODEL, model.state_dict(), about)


def load_classifier(run: Path | str) -> tuple[Classifier, Layout, tuple[str, ...]]:
    """The classifier of a supervised run, in eval mode on the CPU, its layout and the names of its classes.

    Raises:
        InputError: no such file, a damaged one, or one of an older network.
    """
    path = Path(run) / MODEL
    tensors, about = read(path)
    layout = layout_from_record(about["layout"]["record"], about["layout"]["name"], str(path))
    model = Classifier(validate(about["config"]), layout, len(about["classes"]))
    fill(model, tensors, path)
    return model.eval(), layout, tuple(about["classes"])
