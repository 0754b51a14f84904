"""The training clips of a run and what its encoder, and the same encoder untrained, make of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from airfast.config import AirSettings
from airfast.data.motion import MotionSet
from airfast.data.source import Source
from airfast.deploy.embed import encode
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.evaluate.frozen import untrained_like
from airfast.evaluate.task import open_for
from airfast.labels import LabelSet
from airfast.methods.air.amdl import cluster, clustered, known_nuisance, seen
from airfast.models.deployed import Deployed, DeployedEncoder
from airfast.runs.checkpoint import load_encoder
from airfast.runs.folder import read_split

PRE_TRAINED, UNTRAINED = "pre-trained", "untrained"


@dataclass(frozen=True)
class RunFeatures:
    """Features of the training clips, and the label stage on them as the run's configuration says.

    Attributes:
        settings: the section ``air`` of the run's configuration.
        motion: its N training clips: only they were ever clustered.
        scales: the multi feature y_s (N, D) of every scale.
        nuisance: (N,) what the label stage is blind to, or None.
    """

    settings: AirSettings
    motion: MotionSet
    scales: dict[str, Tensor]
    nuisance: Tensor | None

    def clustered(self) -> Tensor:
        """(N, D) what the label stage clusters."""
        return clustered(self.settings, self.scales, self.nuisance)

    def view(self, scale: str) -> Tensor:
        """(N, D) one scale's feature, as Eq. 1 sees it but for its length."""
        return seen(self.scales[scale], self.nuisance)

    def labels(self, eps: float | None = None) -> LabelSet:
        """The label stage on these features, with the run's eps or another."""
        if eps is None:
            return cluster(self.settings, self.scales, self.nuisance)
        section = self.settings.cluster.model_copy(update={"eps": eps})
        return cluster(self.settings.model_copy(update={"cluster": section}), self.scales, self.nuisance)


def open_run_clips(run: Path, data: Source = None) -> tuple[DeployedEncoder, MotionSet]:
    """The encoder of a run with all its scales, and the clips it was trained on.

    Args:
        run: a run folder.
        data: where the clips are, if not where they were.

    Raises:
        InputError: not a run of AIR, a run without an encoder yet, or a set that is not the run's.
    """
    known = read_split(run)
    config = load_encoder(run).config
    if config.method != "air":
        raise InputError(f"{run}: pre-trained by {config.method}, which makes no labels; this picture is of AIR's")
    encoder = load_encoder(run, config.air.scales)
    assert isinstance(encoder, DeployedEncoder)
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


def features_of(encoder: Deployed, motion: MotionSet, place: torch.device) -> RunFeatures:
    """What one encoder makes of clips."""
    settings = encoder.config.air
    section = settings.cluster.model_copy(update={"backend": "auto"})  # the run's may not be on this machine
    settings = settings.model_copy(update={"cluster": section})
    rows = encode(encoder, motion, place).chunk(len(settings.scales), dim=1)
    nuisance = known_nuisance(motion, settings.nuisance, torch.device("cpu"))
    return RunFeatures(settings, motion, dict(zip(settings.scales, rows, strict=True)), nuisance)
