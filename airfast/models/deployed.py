"""Encoders as they leave the training room: no projectors, no heads, their input statistics inside."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.models.backbone import Backbone
from airfast.models.encoder import Encoder
from airfast.models.inputs import InputStage
from airfast.skeletons.layout import Layout
from airfast.skeletons.modalities import Modality, parent_or_self, read_modality


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


class SideBySide(Deployed):
    """Networks whose features stand side by side, each with its own reading of the clips.

    Args:
        config: the configuration of the run.
        layout: its skeleton.
        networks: by name, in the order of their features.
    """

    def __init__(self, config: Config, layout: Layout, networks: Mapping[str, Backbone]) -> None:
        super().__init__()
        self.config, self.layout = config, layout
        self.networks = nn.ModuleDict(networks)
        self.width = sum(each.width for each in networks.values())

    def read(self, clips: Tensor, name: str) -> Tensor:
        """What the network of a name reads of clips (B, C, T, J): (B, 3, T, J), their positions by default."""
        return clips[:, :3]

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J) to features (B, D)."""
        return torch.cat([network(self.read(clips, name)) for name, network in self.networks.items()], dim=1)

    def take_statistics(self, trained: Deployed) -> None:
        """Mean and variance of the readings, as the BatchNorm that a network begins with has seen them."""
        seen = dict(trained.named_buffers())
        for name, buffer in self.named_buffers():
            if ".normalise." in name:
                buffer.copy_(seen[name])


class AModality(SideBySide):
    """A network a modality of the configuration.

    Args:
        config: the configuration of the run.
        layout: its skeleton.
        build: makes a network.
    """

    def __init__(self, config: Config, layout: Layout, build: Callable[[], Backbone]) -> None:
        super().__init__(config, layout, {each: build() for each in config.modalities})
        self.register_buffer("parents", parent_or_self(layout.parents), persistent=False)
        self.parents: Tensor

    def read(self, clips: Tensor, name: str) -> Tensor:
        """Joint, bone or motion."""
        return read_modality(clips, cast(Modality, name), self.parents)
