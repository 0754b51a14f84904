"""The encoder as it leaves the training room: no projectors, no heads, its input statistics inside."""

import torch
from torch import Tensor, nn

from airfast.config import Config
from airfast.models.encoder import Encoder
from airfast.models.inputs import InputStage
from airfast.skeletons.layout import Layout


class DeployedEncoder(nn.Module):
    """Clips to features: what a probe, an application or an edge device runs.

    Args:
        config: the configuration of the run.
        layout: its skeleton.
        scales: features to give side by side, x alone by default.
    """

    def __init__(self, config: Config, layout: Layout, scales: tuple[str, ...] = ("x",)) -> None:
        super().__init__()
        self.config = config
        self.layout = layout
        self.inputs = InputStage(layout, config.modalities, scales)
        self.encoder = Encoder.of(config, self.inputs.parts)

    @property
    def width(self) -> int:
        """D: entries of a feature."""
        return self.encoder.width * len(self.inputs.scales)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J), as :class:`airfast.data.dataset.DeviceClips` gives them, to features (B, D)."""
        features = [self.encoder.multi(self.inputs(clips, scale), scale) for scale in self.inputs.scales]
        return torch.cat(features, dim=1)
