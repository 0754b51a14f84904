"""What ST-GCN and AGCN share: ten blocks of a convolution over the skeleton and one over time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from airfast.models.backbone import Backbone
from airfast.skeletons.layout import Layout

WIDTH = 256  # channels after the last block, at every ``hidden``: 4·64 in the papers, kept by the 16-channel variant
KERNEL = 9  # frames of a temporal convolution
SpatialConvolution = Callable[[int, int], nn.Module]


def neighbourhoods(clips: Tensor, graph: Tensor) -> Tensor:
    """What every joint hears from each of its subsets, side by side as channels.

    Args:
        clips: (B, C, T, J).
        graph: (3, J, J) weights, or (B, 3, J, J) where every clip has its own; columns are the joints that listen.

    Returns:
        (B, 3·C, T, J).
    """
    batch, channels, frames, joints = clips.shape
    side_by_side = graph.transpose(-3, -2).flatten(-2)  # (…, J, 3·J)
    heard = clips.reshape(batch, channels * frames, joints) @ side_by_side
    return heard.view(batch, channels, frames, -1, joints).permute(0, 3, 1, 2, 4).flatten(1, 2)


class GraphBlock(nn.Module):
    """Spatial convolution, then temporal convolution, around a residual: (B, in, T, J) to (B, out, T/stride, J)."""

    def __init__(self, spatial: nn.Module, inputs: int, outputs: int, stride: int, residual: bool, dropout: float):
        super().__init__()
        self.spatial = spatial
        self.temporal = nn.Sequential(
            nn.Conv2d(outputs, outputs, (KERNEL, 1), (stride, 1), (KERNEL // 2, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(dropout),
        )
        self.shortcut: nn.Module | None = None
        if residual and (inputs != outputs or stride != 1):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))
        elif residual:
            self.shortcut = nn.Identity()

    def forward(self, clips: Tensor, joints: Tensor | None = None) -> Tensor:
        """(B, in, T, J), of all joints or of some (J,) int64, to (B, out, ceil(T/stride), J)."""
        after: Tensor = self.temporal(self.spatial(clips) if joints is None else self.spatial(clips, joints))
        return torch.relu(after if self.shortcut is None else after + self.shortcut(clips))


class GraphNetwork(Backbone):
    """BatchNorm of the data, ten blocks that halve the time twice, the mean over time and joints, a linear classifier.

    Args:
        layout: the skeleton.
        classes: number of classes; None for the features themselves.
        channels: C of the clips.
        hidden: channels of the first four blocks; the next three have twice, the last three four times as many, but
            the very last has 256.
        spatial: makes the convolution over the skeleton, (in, out) channels to a module.
        dropout: share of the features that a block drops while training.

    Source: Yan et al. 2018, Section 3.5.
    """

    def __init__(
        self,
        layout: Layout,
        classes: int | None,
        channels: int,
        hidden: int,
        spatial: SpatialConvolution,
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = WIDTH
        self.normalise = nn.BatchNorm1d(channels * len(layout.joints))
        widths = [*[hidden] * 4, *[2 * hidden] * 3, *[4 * hidden] * 2, WIDTH]
        self.blocks = nn.Sequential()
        for index, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False)):
            stride = 2 if index in (4, 7) else 1
            block = GraphBlock(spatial(inputs, outputs), inputs, outputs, stride, index > 0, dropout)
            self.blocks.append(block)
        self.classify = nn.Identity() if classes is None else nn.Linear(WIDTH, classes)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J) to logits (B, classes), or to features (B, 256) without classes."""
        logits: Tensor = self.classify(self.maps(clips).mean(dim=(2, 3)))
        return logits

    def maps(self, clips: Tensor, joints: Tensor | None = None) -> Tensor:
        """What is pooled: (B, 256, T/4, J), or (B, 256, T/4, k) of k joints (int64) that alone are looked at.

        All joints are standardised, so that the statistics do not depend on which are looked at.
        """
        flat = clips.transpose(2, 3).flatten(1, 2)  # (B, C·J, T)
        normed = self.normalise(flat).unflatten(1, (clips.shape[1], clips.shape[3])).transpose(2, 3)
        seen: Tensor = normed if joints is None else normed.index_select(-1, joints)
        for block in self.blocks:
            seen = block(seen, joints)
        return seen
