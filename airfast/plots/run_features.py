"""The training clips of a run and what its encoder, and the same encoder untrained, make of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from airfast.config import Config
from airfast.data.motion import MotionSet
from airfast.data.source import Source
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.frozen import encode, untrained_like
from airfast.evaluate.task import open_for
from airfast.labels import LabelSet
from airfast.methods.air.amdl import cluster, clustered, known_nuisance, seen
from airfast.models.deployed import DeployedEncoder
from airfast.runs.checkpoint import load_encoder
from airfast.runs.folder import read_split

PRE_TRAINED, UNTRAINED = "pre-trained", "untrained"


@dataclass(frozen=True)
class RunFeatures:
    """Features of the training clips, and the label stage on them as the run's configuration says.

    Attributes:
        config: of the run.
        motion: its N training clips: only they were ever clustered.
        scales: the multi feature y_s (N, D) of every scale.
        nuisance: (N,) what the label stage is blind to, or None.
    """

    config: Config
    motion: MotionSet
    scales: dict[str, Tensor]
    nuisance: Tensor | None

    def clustered(self) -> Tensor:
        """(N, D) what the label stage clusters."""
        return clustered(self.config, self.scales, self.nuisance)

    def view(self, scale: str) -> Tensor:
        """(N, D) one scale's feature, as Eq. 1 sees it but for its length."""
        return seen(self.scales[scale], self.nuisance)

    def labels(self, eps: float | None = None) -> LabelSet:
        """The label stage on these features, with the run's eps or another."""
        if eps is None:
            return cluster(self.config, self.scales, self.nuisance)
        section = self.config.cluster.model_copy(update={"eps": eps})
        return cluster(self.config.model_copy(update={"cluster": section}), self.scales, self.nuisance)


def open_run_clips(run: Path, data: Source = None) -> tuple[DeployedEncoder, MotionSet]:
    """The encoder of a run with all its scales, and the clips it was trained on.

    Args:
        run: a run folder.
        data: where the clips are, if not where they were.

    Raises:
        InputError: not a run, a run without an encoder yet, or a set that is not the run's.
    """
    known = read_split(run)
    config = load_encoder(run).config
    encoder = load_encoder(run, config.scales)
    motion = open_for(run, encoder, known, data)
    place = {name: index for index, name in enumerate(motion.names)}
    strangers = [name for name in known["train"] if name not in place]
    if strangers:
        raise InputError(f"{run}: trained on other clips than those of the set, the first: {strangers[0]}")
    clips = motion.select([place[name] for name in known["train"]])
    return encoder, replace(clips, layout=encoder.layout)  # its body parts are those of the run


def read_features(run: Path | str, data: Source = None, device: str = "auto") -> dict[str, RunFeatures]:
    """The features of a run's training clips, ``pre-trained`` and ``untrained``, on the CPU.

    Raises:
        InputError: as :func:`open_run_clips`.
    """
    encoder, motion = open_run_clips(Path(run), data)
    place = pick_device(device)
    both = {PRE_TRAINED: encoder, UNTRAINED: untrained_like(encoder)}
    return {name: features_of(each, motion, place) for name, each in both.items()}


def features_of(encoder: DeployedEncoder, motion: MotionSet, place: torch.device) -> RunFeatures:
    """What one encoder makes of clips."""
    section = encoder.config.cluster.model_copy(update={"backend": "auto"})  # the run's may not be on this machine
    config = encoder.config.model_copy(update={"cluster": section})
    rows = encode(encoder, motion, place).chunk(len(config.scales), dim=1)
    nuisance = known_nuisance(motion, config.nuisance, torch.device("cpu"))
    return RunFeatures(config, motion, dict(zip(config.scales, rows, strict=True)), nuisance)
