"""The supervised rows of Table I: training with labels on the splits and the inputs of pre-training, and its scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airfast.atomic import alone_in, check_space
from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.skeleton import as_configured
from airfast.data.source import Source, open_motion
from airfast.data.splits import split
from airfast.device import Stopwatch, describe_machine, pick_device
from airfast.errors import InputError, NonFinite, nearest
from airfast.evaluate.baselines import majority
from airfast.evaluate.metrics import Scores, score
from airfast.evaluate.report import Evaluation, save
from airfast.evaluate.table import Row
from airfast.evaluate.task import Task
from airfast.runs.checkpoint import Held
from airfast.runs.folder import (
    METRICS,
    append_metrics,
    describe_split,
    open_run,
    read_metrics,
    write_environment,
)
from airfast.training.optimiser import set_learning_rate
from airfast.training.pretrain import OUT_OF_MEMORY, interrupted
from airfast.training.stopping import Stopped, listening
from airfast.training.supervised import Metrics, begin, predict, save_model, train_epoch

MODELS = ("st-gcn", "agcn", "air")


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
    and the split of a seed are those of :func:`airfast.training.pretrain.pretrain`.

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
        NonFiniteLoss: as of :func:`airfast.training.pretrain.pretrain`.
        Stopped: as of :func:`airfast.training.pretrain.pretrain`.
    """
    out, place = Path(out), pick_device(device)
    check_model(config.method)
    whole = open_motion(data)
    task = labelled(as_configured(whole, config), config)
    clips, test = (
        DeviceClips.from_motion(task.motion.select(side), config.inputs, place) for side in (task.train, task.test)
    )
    labels = task.labels(task.train).to(place)
    state = begin(config, task.motion.layout, task.classes, clips)
    with alone_in(out), listening() as check:
        check_space(out, 9 * sum(each.nbytes for each in state.model.state_dict().values()), "the run")
        done = open_run(out, config, resume, state, describe_split(data, whole, task.motion, task.train, task.test))
        write_environment(out, describe_machine(place))
        held: Held | None = None
        for epoch in range(done, config.train.epochs):
            set_learning_rate(state.optimiser, config.train.rate(epoch))
            clock = Stopwatch(place)
            try:
                metrics = train_epoch(state, clips, labels, epoch, check)
            except (Stopped, NonFinite, *OUT_OF_MEMORY) as error:
                if held:
                    held.save(out)
                raise interrupted(error, out, state, epoch, [task.motion.names[each] for each in task.train]) from None
            clock.lap("training")
            metrics |= {"test": to_log(task.score(predict(state.model, test))), "seconds": clock.laps}
            append_metrics(out, metrics)
            last = epoch + 1 == config.train.epochs
            if last or (epoch + 1) % config.train.checkpoint_every == 0:
                save_model(out, state.model, task.motion, epoch + 1)
                state.save(out, epoch + 1)
                held = None
            else:
                held = state.held(epoch + 1)
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
    settings = config.split
    if settings.kind == "none":
        raise InputError(
            "split.kind=none: training with labels needs test clips; use random, subject, group, family or declared"
        )
    train, test = split(motion, settings.kind, config.seed, settings.test_fraction, settings.held_out)
    train = train[motion.labels[train] >= 0]
    if len(set(motion.labels[train].tolist())) < 2:
        raise InputError(f"{len(train)} labelled clips to train on, of one class; at least two classes are needed")
    return Task(motion, train, test)


def results(run: Path, config: Config, task: Task) -> list[Row]:
    """The majority class, the last epoch (the figure to report) and the best test epoch, which peeks, from the log."""
    tests = {line["epoch"]: line["test"] for line in read_metrics(run)}
    if config.train.epochs not in tests:
        raise InputError(f"{run / METRICS}: the last epoch is not in the log; train again, with another --out")
    best = max(tests, key=lambda epoch: float(tests[epoch]["accuracy"]))
    common = task.score(majority(task.motion.labels[task.train], len(task.test)))
    return [
        Row("majority", "–", (common,)),
        Row(config.method, "last epoch", (from_log(tests[config.train.epochs]),)),
        Row(config.method, f"best epoch, {best}", (from_log(tests[best]),)),
    ]


def to_log(scores: Scores) -> dict[str, Any]:
    """The scores of an epoch without the recalls, which may be nan, for which JSON has no word."""
    return {name: value for name, value in vars(scores).items() if name != "recall"}


def from_log(logged: dict[str, Any]) -> Scores:
    """The scores again, from their confusion matrix."""
    confusion = np.array(logged["confusion"])
    true, predicted = (np.repeat(each.ravel(), confusion.ravel()) for each in np.indices(confusion.shape))
    return score(true, predicted, len(confusion))
