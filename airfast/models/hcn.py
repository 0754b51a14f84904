"""HCN, the clip as an image: the third representation of ISC (Li et al., IJCAI 2018, as ISC's public code has it)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from airfast.errors import InputError
from airfast.models.backbone import Backbone
from airfast.skeletons.layout import Layout
from airfast.skeletons.modalities import frame_difference

SHRINKS = 16  # four poolings of two


class HCN(Backbone):
    """Positions of clips (B, 3, T, J) to features (B, 256·(T/16)²): T is part of the width, and final.

    Args:
        layout: the skeleton.
        frames: T, a multiple of 16.
        dropout: share of the features that are dropped while training.

    Raises:
        InputError: another T.

    Source: FAMILY 3, with its count of parameters.
    """

    def __init__(self, layout: Layout, frames: int, dropout: float = 0.5) -> None:
        super().__init__()
        if frames % SHRINKS:
            raise InputError(f"inputs.frames: the image network takes a multiple of {SHRINKS}, got {frames}")
        self.width = 256 * (frames // SHRINKS) ** 2
        self.position, self.motion = (image_stream(len(layout.joints), frames, dropout) for _ in range(2))
        self.together = nn.Sequential(
            nn.Conv2d(128, 128, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 256, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.MaxPool2d(2),
        )

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, D)."""
        steps = frame_difference(clips)[:, :, :-1]
        motion = F.interpolate(steps, size=clips.shape[2:], mode="bilinear", align_corners=False)
        both = torch.cat([self.position(clips), self.motion(motion)], dim=1)  # (B, 128, T/4, T/4)
        return torch.flatten(self.together(both), 1)


class JointsToChannels(nn.Module):
    """(B, C, T, J) to (B, J, T, C)."""

    def forward(self, clips: Tensor) -> Tensor:
        """What was a joint is a channel."""
        return clips.transpose(1, 3)


def image_stream(joints: int, frames: int, dropout: float) -> nn.Sequential:
    """Points, then co-occurrence: (B, 3, T, J) to (B, 64, T/4, T/4)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 1),
        nn.ReLU(),
        nn.Conv2d(64, frames, (3, 1), padding=(1, 0)),
        JointsToChannels(),
        nn.Conv2d(joints, 32, 3, padding=1),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.Dropout(dropout),
        nn.MaxPool2d(2),
    )
