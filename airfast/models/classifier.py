"""Clips to class scores: the networks that learn from labels."""

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.models.agcn import AGCN
from airfast.models.deployed import DeployedEncoder
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import Layout
from airfast.skeletons.modalities import Modality, parent_or_self, read_modality


class Stream(nn.Module):
    """A network that reads one modality of the clips."""

    def __init__(self, network: nn.Module, modality: Modality, parents: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.modality = network, modality
        self.register_buffer("parents", parent_or_self(parents), persistent=False)
        self.parents: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, 3 or 6, T, J) to logits (B, classes)."""
        logits: Tensor = self.network(read_modality(clips, self.modality, self.parents))
        return logits


class Classifier(nn.Module):
    """ST-GCN or AGCN, a stream a modality, or the AIR encoder with a linear layer, which fuses its modalities itself.

    Joint and bone streams of AGCN together are 2s-AGCN (Shi et al. 2019, Section 4.4).

    Args:
        config: the run's configuration; ``method`` says which network.
        layout: the skeleton.
        classes: number of classes.
    """

    def __init__(self, config: Config, layout: Layout, classes: int) -> None:
        super().__init__()
        self.config = config
        self.streams = nn.ModuleList()
        if config.method == "air":
            encoder = DeployedEncoder(config, layout)
            self.streams.append(nn.Sequential(encoder, nn.Linear(encoder.width, classes)))
            return
        network = STGCN if config.method == "st-gcn" else AGCN
        for modality in config.modalities:
            self.streams.append(Stream(network(layout, classes), modality, layout.parents))

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J), as :class:`airfast.data.dataset.DeviceClips` gives them, to logits (S, B, classes)."""
        return torch.stack([stream(clips) for stream in self.streams])

    def scores(self, clips: Tensor) -> Tensor:
        """Class probabilities (B, classes): the mean of the streams'."""
        return torch.softmax(self(clips), dim=2).mean(dim=0)
