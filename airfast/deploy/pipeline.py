"""From positions as a sensor gives them to classes, as one network: what an exported file holds."""

import torch
from torch import Tensor, nn

from airfast.deploy.fold import fold
from airfast.deploy.head import Head
from airfast.errors import InputError
from airfast.models.deployed import Deployed, DeployedEncoder


class Pipeline(nn.Module):
    """Positions (B, F, J, 3) in metres, y up, and rates (B,) in frames a second, to features and classes.

    The same as :class:`airfast.data.dataset.DeviceClips` and the encoder after it give (to rounding, by test), for any
    B and any number of frames F from 2 on: facing, centring on the root, velocities, resampling to T frames, the folded
    encoder, the head.

    Args:
        encoder: what :func:`airfast.load_encoder` gives.
        head: of the run; None for features alone.
    """

    def __init__(self, encoder: Deployed, head: Head | None = None) -> None:
        super().__init__()
        inputs = encoder.config.inputs
        self.facing, self.velocity = inputs.facing, inputs.velocity == "true"
        self.root, self.shoulders = encoder.layout.root, encoder.layout.shoulders
        self.register_buffer("steps", torch.linspace(0, 1, inputs.frames))
        self.encoder: nn.Module = fold(encoder) if isinstance(encoder, DeployedEncoder) else encoder
        self.head = head

    def forward(self, positions: Tensor, fps: Tensor) -> tuple[Tensor, ...]:
        """Features (B, D); with a head also probabilities (B, C) and the distance (B,) of :class:`Head`."""
        features = self.encoder(self.clips(positions, fps))
        if self.head is None:
            return (features,)
        return features, self.head.probability(features), self.head.distance(features)

    def clips(self, positions: Tensor, fps: Tensor) -> Tensor:
        """What the encoder reads: (B, C, T, J)."""
        if self.facing != "none":
            positions = positions @ self.turn(positions)[:, None]
        channels = [positions - positions[:, :, self.root : self.root + 1]]
        if self.velocity:
            inner = (positions[:, 2:] - positions[:, :-2]) / 2
            ends = positions[:, 1:2] - positions[:, :1], positions[:, -1:] - positions[:, -2:-1]
            channels.append(torch.cat([ends[0], inner, ends[1]], dim=1) * fps[:, None, None, None])
        frames = torch.cat(channels, dim=3)  # (B, F, J, C)
        last = frames.shape[1] - 1
        time = self.get_buffer("steps") * last
        before = time.floor().long().clamp(max=last)
        after = (before + 1).clamp(max=last)
        weight = (time - before)[:, None, None]
        first = frames.index_select(1, before)
        return (first + weight * (frames.index_select(1, after) - first)).permute(0, 3, 1, 2)

    def turn(self, positions: Tensor) -> Tensor:
        """The rotations about y (B, 3, 3), for row vectors, that lay the line of the shoulders on x."""
        seen = positions[:, :1] if self.facing == "first" else positions
        left, right = self.shoulders
        across = (seen[:, :, left] - seen[:, :, right]).mean(dim=1)
        length = (across[:, 0].square() + across[:, 2].square()).sqrt()
        flat = length < 1e-12  # a line that is upright, or no line at all, turns nothing
        cosine = torch.where(flat, 1.0, across[:, 0] / length.clamp(min=1e-12))
        sine = torch.where(flat, 0.0, across[:, 2] / length.clamp(min=1e-12))
        zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
        return torch.stack([cosine, zero, -sine, zero, one, zero, sine, zero, cosine], dim=1).reshape(-1, 3, 3)


def pipeline(encoder: Deployed, head: Head | None) -> Pipeline:
    """The pipeline in eval mode; raises InputError where the head is of features of another width."""
    if head is not None and head.weight.shape[1] != encoder.width:
        raise InputError(f"the head reads {head.weight.shape[1]} features, the encoder gives {encoder.width}")
    return Pipeline(encoder, head).eval().requires_grad_(False)
