"""Encoders as they leave the training room: no projectors, no heads, their input statistics inside."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.models.encoder import Encoder
from airfast.models.inputs import InputStage
from airfast.skeletons.layout import Layout


class Deployed(nn.Module, ABC):
    """Clips to features: what a probe, an application or an edge device runs.

    Attributes:
        config: the configuration of the run.
        layout: its skeleton.
        scales: the skeletons whose features stand side by side: x alone but for an AIR encoder that was asked for more.
        width: D, entries of a feature.
    """

    config: Config
    layout: Layout
    scales: tuple[str, ...] = ("x",)
    width: int

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J), as :class:`airfast.data.dataset.DeviceClips` gives them, to features (B, D)."""

    @abstractmethod
    def take_statistics(self, trained: "Deployed") -> None:
        """Read inputs on the scale of another one: an untrained encoder is measured on the inputs of the trained."""


class DeployedEncoder(Deployed):
    """The AIR encoder with its input stage.

    Args:
        config: the configuration of the run.
        layout: its skeleton.
        scales: features to give side by side, x alone by default.
    """

    def __init__(self, config: Config, layout: Layout, scales: tuple[str, ...] = ("x",)) -> None:
        super().__init__()
        self.config, self.layout, self.scales = config, layout, scales
        self.inputs = InputStage(layout, config.modalities, scales)
        self.encoder = Encoder.of(config, self.inputs.parts)
        self.width = self.encoder.width * len(scales)

    def features(self, clips: Tensor) -> dict[str, Tensor]:
        """The multi feature y_s of every scale, for clips (B, C, T, J): (B, D) each."""
        return {scale: self.encoder.multi(self.inputs(clips, scale), scale) for scale in self.scales}

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J) to the features of all scales side by side (B, D)."""
        return torch.cat(list(self.features(clips).values()), dim=1)

    def take_statistics(self, trained: Deployed) -> None:
        """Mean and standard deviation of every coordinate."""
        assert isinstance(trained, DeployedEncoder)
        self.inputs.load_state_dict(trained.inputs.state_dict())
