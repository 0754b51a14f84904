"""Algorithm 1: every epoch the features become discrete labels, and the encoder learns to predict them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from airfast.atomic import alone_in
from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.skeleton import as_configured
from airfast.data.source import Source, open_motion
from airfast.data.splits import Indices, split
from airfast.device import Stopwatch, describe_machine, pick_device
from airfast.errors import InputError
from airfast.methods.air.air import Air
from airfast.methods.air.amdl import EpochLabels, LabelLog, discrete_labels, known_nuisance
from airfast.methods.air.optimiser import build_optimiser
from airfast.runs.checkpoint import TrainingState, save_encoder
from airfast.runs.folder import append_metrics, last_labels, open_run, save_labels, write_environment, write_split
from airfast.skeletons.layout import Layout
from airfast.training.optimiser import learning_rate, set_learning_rate
from airfast.training.step import TrainingStep

Metrics = dict[str, Any]
FEATURE_BATCH = 512  # clips a forward pass of the label stage; results do not depend on it


class NonFiniteLoss(RuntimeError):
    """Training met a loss that is not a number; the message names epoch and batch."""


def pretrain(
    data: Source,
    config: Config,
    out: Path | str,
    device: str = "auto",
    resume: str = "auto",
    report: Callable[[Metrics], None] | None = None,
) -> Path:
    """Pre-train an encoder on the clips of a set and leave a run folder behind.

    The folder holds ``config.yaml``, ``split.json``, ``metrics.jsonl`` (a line an epoch), ``labels/`` (a Parquet file
    an epoch), ``encoder.safetensors`` and ``state.safetensors``.

    Args:
        data: a prepared folder, a set in memory, or None for the embedded synthetic walkers. Class labels are never
            trained on; they only measure label quality.
        config: the resolved configuration.
        out: the run folder.
        device: auto, cpu or cuda.
        resume: auto (go on where this folder's run stopped, if it has one), never (a folder that holds a run is an
            error), or the path of a ``state.safetensors``.
        report: called with each epoch's metrics as soon as they are known.

    Returns:
        The run folder.

    Raises:
        InputError: too few clips, a folder that cannot be written or that holds another run.
        NonFiniteLoss: the loss left the finite numbers.

    Source: Algorithm 1; METHOD 3 to 6.
    """
    out = Path(out)
    if config.method not in ("air", "umurl"):
        raise InputError(f"method={config.method} learns from labels: airfast train-supervised --model {config.method}")
    place = pick_device(device)
    motion = as_configured(open_motion(data), config)
    train, test = choose_split(motion, config)
    motion_train = motion.select(train)
    clips = DeviceClips.from_motion(motion_train, config.inputs, place)
    nuisance = known_nuisance(motion_train, config.nuisance, place)
    state = begin(config, motion, clips)
    with alone_in(out):
        done = open_run(out, config, resume, state)
        write_split(out, data, motion, train, test)
        write_environment(out, describe_machine(place))
        step = TrainingStep(state, clips, nuisance)
        log = LabelLog(motion_train, place, last_labels(out, done, place))
        for epoch in range(done, config.train.epochs):
            set_learning_rate(state.optimiser, learning_rate(config.train, epoch))
            clock = Stopwatch(place)
            labels = None
            if config.amdl and epoch >= config.train.warmup:
                features = all_features(state.method, clips)
                clock.lap("features")
                labels = discrete_labels(state.method, state.optimiser, features, nuisance)
                clock.lap("labels")
            metrics = train_epoch(step, labels, epoch)
            clock.lap("training")
            metrics["seconds"] = clock.laps
            if labels is not None:
                metrics |= log.describe(labels.found)
                save_labels(out, motion_train, labels.found, epoch + 1)
            append_metrics(out, metrics)  # before the state: a run that dies in between logs the epoch again, not never
            last = epoch + 1 == config.train.epochs
            if last or (epoch + 1) % config.train.checkpoint_every == 0:
                save_encoder(out, state.method, motion.layout, epoch + 1)
                state.save(out, epoch + 1)
            if report:
                report(metrics)
    return out


def choose_split(motion: MotionSet, config: Config) -> tuple[Indices, Indices]:
    """Training and test clips (indices); an unlabelled set is all training."""
    everything, nothing = np.arange(len(motion)), np.arange(0)
    if config.split.kind == "none" or (config.split.kind == "random" and (motion.labels < 0).all()):
        train, test = everything, nothing
    else:
        train, test = split(motion, config.split.kind, config.seed, config.split.test_fraction)
    k1, _ = config.cluster.neighbours(len(train))
    needed = max(4, k1 if config.amdl else 4)
    if len(train) < needed:
        raise InputError(f"{len(train)} clips to train on, fewer than the {needed} that cluster.k1 asks for")
    return train, test


def begin(config: Config, motion: MotionSet, clips: DeviceClips) -> TrainingState:
    """The state before the first epoch; it depends on the configuration and the training clips alone."""
    place = clips.frames.device
    method = untrained(config, motion.layout, clips)
    generator = Generator(device=place).manual_seed(config.seed)
    return TrainingState(method, build_optimiser(method), generator)


def untrained(config: Config, layout: Layout, clips: DeviceClips) -> Air:
    """The network with its input statistics and its initial weights, as every run of this seed starts."""
    method = initial(config, layout).to(clips.frames.device)
    if config.inputs.standardise:
        method.inputs.fit(clips.batches(FEATURE_BATCH))
    return method


def initial(config: Config, layout: Layout) -> Air:
    """The network with the weights of its seed; made on the CPU, so that they are the same for every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Air(config, layout)


@torch.no_grad()
def all_features(method: Air, clips: DeviceClips) -> dict[str, Tensor]:
    """The multi feature of every scale for every clip, in eval mode, not augmented: (N, D) float32 each.

    On a GPU that trains in bfloat16 they come from float16: as fast, and labels do not change, which they do with
    bfloat16 (benchmarks/feature_precision.py).
    """
    place = clips.frames.device.type
    half = place == "cuda" and method.config.train.precision != "fp32"
    method.eval()
    with torch.autocast(place, torch.float16, enabled=half):
        rows = [method.features(batch) for batch in clips.batches(FEATURE_BATCH)]
    method.train()
    return {scale: torch.cat([row[scale] for row in rows]).float() for scale in rows[0]}


def train_epoch(step: TrainingStep, labels: EpochLabels | None, epoch: int) -> Metrics:
    """One pass over the clips in equal batches; the mean of every loss term, read from the device once.

    Raises:
        NonFiniteLoss: with the epoch and the first batch (both counted from 1).
    """
    state = step.state
    supervised = labels if labels is not None and labels.clusters >= 2 else None
    batches = epoch_batches(state.method.config, step.clips, supervised, state.generator)
    losses = torch.stack([step(batch, supervised.of(batch) if supervised else None).clone() for batch in batches])
    finite = losses[:, -1].isfinite().cummin(dim=0).values.sum()  # steps before the first that was not
    good, *means = torch.cat([finite[None], losses.mean(dim=0)]).tolist()
    if good < len(batches):
        raise NonFiniteLoss(f"epoch {epoch + 1}, batch {round(good) + 1}: the loss is not finite")
    return {
        "epoch": epoch + 1,
        "lr": state.optimiser.param_groups[0]["lr"],
        **dict(zip(step.terms, means, strict=True)),
    }


def epoch_batches(
    config: Config, clips: DeviceClips, labels: EpochLabels | None, generator: Generator
) -> tuple[Tensor, ...]:
    """The clips in random order, in batches of one size of at most ``batch_size`` (B,).

    One size pins the shapes of a step; at most one clip fewer than there are batches sits an epoch out. Where noise is
    dropped the number of clips is another every epoch, and a new size would be a new capture: there every batch is
    full, the last with clips of the first.
    """
    place = clips.frames.device
    eligible = torch.arange(len(clips), device=place)
    if labels is not None and config.cluster.outliers == "drop":
        eligible = eligible[labels.labels >= 0]
        size = min(len(eligible), config.train.batch_size)
        order = torch.randperm(len(eligible), generator=generator, device=place)
        return torch.split(eligible[torch.cat([order, order[: -len(order) % size]])], size)
    steps = -(-len(eligible) // config.train.batch_size)
    size = len(eligible) // steps
    order = torch.randperm(len(eligible), generator=generator, device=place)[: steps * size]
    return torch.split(eligible[order], size)
