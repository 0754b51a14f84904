"""Algorithm 1: every epoch the features become discrete labels, and the encoder learns to predict them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import adjusted_mutual_info_score
from torch import Generator, Tensor
from torch.nn import functional as F

from airfast.checkpoint import STATE, TrainingState, save_encoder
from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.data.source import Source, describe_source, open_motion
from airfast.data.splits import Indices, split
from airfast.errors import InputError
from airfast.labels import LabelSet, generate_labels
from airfast.methods.air import Air, Targets
from airfast.optimiser import build_optimiser, learning_rate, refresh_heads, set_learning_rate
from airfast.skeletons.layout import Layout

Metrics = dict[str, Any]
FEATURE_BATCH = 512  # clips a forward pass of the label stage; results do not depend on it


class NonFiniteLoss(RuntimeError):
    """Training met a loss that is not a number; the message names epoch and batch."""


@dataclass(frozen=True)
class EpochLabels:
    """The discrete labels of one epoch, for the training clips."""

    labels: Tensor  # (N,) int64; −1 is noise
    agreement: Tensor  # (N,) float32
    clusters: int
    found: LabelSet  # as the label stage gave them, before ``outliers`` is applied

    def of(self, clips: Tensor) -> Targets:
        """The targets of a batch of clips (B,)."""
        return Targets(self.labels[clips], self.agreement[clips], self.clusters)


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
    place = pick_device(device)
    motion = open_motion(data)
    train, test = choose_split(motion, config)
    motion_train = motion.select(train)
    clips = DeviceClips.from_motion(motion_train, config.inputs, place)
    nuisance = known_nuisance(motion_train, config.cluster.centre, place)
    state = begin(config, motion, clips)
    done = open_run(out, config, resume, state)
    write_split(out, data, motion, train, test)
    for epoch in range(done, config.train.epochs):
        set_learning_rate(state.optimiser, learning_rate(config.train, epoch))
        clock = Stopwatch(place)
        labels = None
        if config.amdl and epoch >= config.train.warmup:
            features = all_features(state.method, clips)
            clock.lap("features")
            labels = discrete_labels(state, features, nuisance)
            clock.lap("labels")
        metrics = train_epoch(state, clips, labels, epoch)
        clock.lap("training")
        metrics |= describe_labels(labels, motion_train) | {"seconds": clock.laps}
        if labels is not None:
            save_labels(out, motion_train, labels, epoch + 1)
        last = epoch + 1 == config.train.epochs
        if last or (epoch + 1) % config.train.checkpoint_every == 0:
            save_encoder(out, state.method, motion.layout, epoch + 1)
            state.save(out, epoch + 1)
        append_metrics(out, metrics)
        if report:
            report(metrics)
    return out


def pick_device(name: str) -> torch.device:
    """auto, cpu or cuda to a device; cuda where there is none is an InputError, never a silent fallback."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device; see airfast doctor")
    if name not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: expected auto, cpu or cuda")
    return torch.device(name)


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        method = Air(config, layout)  # initialised on the CPU: the same weights for every device
    method = method.to(clips.frames.device)
    if config.inputs.standardise:
        method.inputs.fit(clips.batches(FEATURE_BATCH))
    return method


@torch.no_grad()
def all_features(method: Air, clips: DeviceClips) -> dict[str, Tensor]:
    """The multi feature of every scale for every clip, in eval mode, not augmented: (N, D) float32 each."""
    method.eval()
    rows = [method.features(batch) for batch in clips.batches(FEATURE_BATCH)]
    method.train()
    return {scale: torch.cat([row[scale] for row in rows]).float() for scale in rows[0]}


def known_nuisance(motion: MotionSet, kind: str, device: torch.device) -> Tensor | None:
    """The action or the person of every clip as (N,) int64, where clusters are not to follow it; None otherwise."""
    if kind == "none":
        return None
    known = motion.groups if kind == "group" else motion.subjects
    if "" in known:
        raise InputError(f"cluster.centre={kind}: the {kind} of clip {motion.names[known.index('')]} is not known")
    return torch.from_numpy(np.unique(known, return_inverse=True)[1]).to(device)


def centred(features: Tensor, nuisance: Tensor) -> Tensor:
    """Features (N, D) minus the mean of the clips that share their nuisance (N,).

    The mean counts one clip more, at the mean of all: a clip that is alone keeps half of what sets it apart.
    """
    features = features - features.mean(dim=0)
    count = torch.bincount(nuisance) + 1
    sums = features.new_zeros(len(count), features.shape[1]).index_add_(0, nuisance, features)
    return features - (sums / count[:, None])[nuisance]


def discrete_labels(state: TrainingState, features: dict[str, Tensor], nuisance: Tensor | None = None) -> EpochLabels:
    """Cluster, refine, and restart the heads on the clusters (METHOD 3 and Eq. 1).

    Args:
        state: its heads and their optimiser state restart, unless fewer than two clusters were found.
        features: y_s (N, D) of every scale, of all training clips.
        nuisance: (N,) int64, what the label stage is to be blind to; None for nothing.
    """
    config = state.method.config
    k1, k2 = config.cluster.neighbours(len(features["x"]))
    seen = features if nuisance is None else {scale: centred(each, nuisance) for scale, each in features.items()}
    unit = {scale: F.normalize(each, dim=1) for scale, each in seen.items()}
    found = generate_labels(
        state.method.clustered(seen),
        (unit["x"], unit["ha"]) if config.alr.enabled and config.asp else None,
        metric=config.cluster.metric,
        eps=config.cluster.eps,
        min_samples=config.cluster.min_samples,
        k1=k1,
        k2=k2,
        agreement_k=min(config.alr.k, len(features["x"]) - 1),
        backend=config.cluster.backend,
    )
    labels, clusters = found.labels, found.num_clusters
    if config.cluster.outliers == "singleton":
        noise = labels < 0
        labels = torch.where(noise, clusters + noise.cumsum(0) - 1, labels)
        clusters += int(noise.sum())
    if clusters < 2:
        return EpochLabels(labels, found.agreement, 0, found)
    state.method.restart_heads(features, labels, clusters)
    refresh_heads(state.method, state.optimiser)
    return EpochLabels(labels, found.agreement, clusters, found)


def train_epoch(state: TrainingState, clips: DeviceClips, labels: EpochLabels | None, epoch: int) -> Metrics:
    """One pass over the clips in equal batches; the mean of every loss term, read from the device once.

    Raises:
        NonFiniteLoss: with the epoch and the first batch (both counted from 1).
    """
    config, generator = state.method.config, state.generator
    supervised = labels if labels is not None and labels.clusters >= 2 else None
    sums: dict[str, Tensor] = {}
    first_bad = torch.full((), -1, device=clips.frames.device)
    for step, batch in enumerate(epoch_batches(config, clips, supervised, generator)):
        views = [clips.view(batch, generator) for _ in range(state.method.views_wanted)]
        named = state.method.losses(views, supervised.of(batch) if supervised else None)
        loss = torch.stack(list(named.values())).sum()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimiser.step()
        for name, value in (named | {"loss": loss}).items():
            sums[name] = sums.get(name, 0) + value.detach()
        first_bad = torch.where((first_bad < 0) & ~torch.isfinite(loss.detach()), step, first_bad)
    if int(first_bad) >= 0:
        raise NonFiniteLoss(f"epoch {epoch + 1}, batch {int(first_bad) + 1}: the loss is not finite")
    means = torch.stack(list(sums.values())).div(step + 1).tolist()
    return {"epoch": epoch + 1, "lr": state.optimiser.param_groups[0]["lr"], **dict(zip(sums, means, strict=True))}


def epoch_batches(
    config: Config, clips: DeviceClips, labels: EpochLabels | None, generator: Generator
) -> tuple[Tensor, ...]:
    """The clips in random order, in batches of one size of at most ``batch_size`` (B,).

    One size pins the shapes of a step; at most one clip fewer than there are batches sits an epoch out.
    """
    place = clips.frames.device
    eligible = torch.arange(len(clips), device=place)
    if labels is not None and config.cluster.outliers == "drop":
        eligible = eligible[labels.labels >= 0]
    steps = -(-len(eligible) // config.train.batch_size)
    size = len(eligible) // steps
    order = torch.randperm(len(eligible), generator=generator, device=place)[: steps * size]
    return torch.split(eligible[order], size)


def describe_labels(labels: EpochLabels | None, motion: MotionSet) -> Metrics:
    """Clusters, noise, agreement, and the adjusted mutual information of clusters with classes and groups."""
    if labels is None:
        return {}
    found = labels.found
    facts: Metrics = {
        "clusters": found.num_clusters,
        "noise_share": found.noise_share,
        "mean_agreement": found.mean_agreement,
    }
    assigned = found.labels.tolist()
    if (motion.labels >= 0).all():
        facts["ami_class"] = float(adjusted_mutual_info_score(motion.labels, assigned))
    if len(set(motion.groups)) > 1:
        facts["ami_group"] = float(adjusted_mutual_info_score(motion.groups, assigned))
    return facts


class Stopwatch:
    """Seconds of consecutive stages; waits for the device, or a stage would be charged to the next one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.laps: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Charge the time since the last lap to a stage."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.laps[stage] = round(now - self.last, 4)
        self.last = now


def open_run(out: Path, config: Config, resume: str, state: TrainingState) -> int:
    """Make the folder ready and take over a state if there is one to go on from; returns the epochs behind it."""
    here = out / STATE
    source = here if resume == "auto" else Path(resume)
    if resume == "never" and (out / "config.yaml").exists():
        raise InputError(f"{out}: holds a run already; use another --out, or --resume auto")
    try:
        (out / "labels").mkdir(parents=True, exist_ok=True)
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


def append_metrics(out: Path, metrics: Metrics) -> None:
    """One JSON line."""
    with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(metrics) + "\n")


def write_split(out: Path, data: Source, motion: MotionSet, train: Indices, test: Indices) -> None:
    """Where the clips came from and which were on each side, so that no evaluation tests on what was trained on."""
    sides = {side: [motion.names[i] for i in index] for side, index in (("train", train), ("test", test))}
    text = json.dumps({"data": describe_source(data), **sides}, indent=1)
    (out / "split.json").write_text(text, encoding="utf-8")


def save_labels(out: Path, motion: MotionSet, labels: EpochLabels, epoch: int) -> None:
    """The labels of an epoch: sample, label, agreement, core, cluster_size."""
    frame = labels.found.to_frame().rename(columns={"index": "sample"})
    frame["sample"] = list(motion.names)
    frame.to_parquet(out / "labels" / f"epoch_{epoch:04d}.parquet", index=False)
