"""From clips to tokens: ASP's part skeletons, the modalities, standardisation (METHOD 1 and 8)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from airfast.skeletons.layout import Layout
from airfast.skeletons.modalities import Modality, parent_or_self, read_modality
from airfast.skeletons.partition import pooling_matrix

SCALES = ("x", "la", "ha")


class Tokens(NamedTuple):
    """The two streams of one skeleton: a token a frame and a token a joint (or part)."""

    temporal: Tensor  # (B, T, 3·P)
    spatial: Tensor  # (B, P, 3·T)


class InputStage(nn.Module):
    """Clips (B, 3 or 6, T, J) to the tokens of every scale and modality.

    Standardisation subtracts the training set's mean and divides by its standard deviation, per scale, modality,
    joint and coordinate; until :meth:`fit` has seen data (and always for the paper's inputs) it is the identity.
    Both are buffers, so that a deployed encoder carries its own.

    Args:
        layout: the skeleton, with its LA and HA part maps.
        modalities: the readings to give.
        scales: x alone for a deployed encoder; x, la and ha while pre-training.
    """

    def __init__(self, layout: Layout, modalities: Sequence[Modality], scales: Sequence[str] = SCALES) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.scales = tuple(scales)
        parents = {"x": layout.parents, "la": layout.low_parents, "ha": layout.high_parents}
        self.parts = {scale: len(parents[scale]) for scale in self.scales}
        for scale, part_of in (("la", layout.low), ("ha", layout.high)):
            if scale in self.scales:
                matrix = pooling_matrix(part_of, self.parts[scale])  # (P, J), rows sum to one
                self.register_buffer(f"pool_{scale}", matrix.T.contiguous(), persistent=False)
        for scale in self.scales:
            self.register_buffer(f"parents_{scale}", parent_or_self(parents[scale]), persistent=False)
            shape = (len(self.modalities), 3, 1, self.parts[scale])
            self.register_buffer(f"mean_{scale}", torch.zeros(shape))
            self.register_buffer(f"inverse_sd_{scale}", torch.ones(shape))

    def read(self, clips: Tensor, scale: str, modalities: Sequence[Modality]) -> list[Tensor]:
        """Some modalities of one scale: (B, 3, T, P) each, in the units of the clips."""
        skeleton = clips if scale == "x" else clips @ self.get_buffer(f"pool_{scale}")
        return [read_modality(skeleton, each, self.get_buffer(f"parents_{scale}")) for each in modalities]

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take mean and standard deviation from clips (B, C, T, J); coordinates that never move are left centred."""
        buffers = {scale: self.get_buffer(f"mean_{scale}") for scale in self.scales}
        sums = {scale: each.new_zeros(2, *each.shape, dtype=torch.float64) for scale, each in buffers.items()}
        count = 0
        for clips in batches:
            count += clips.shape[0] * clips.shape[2]
            for scale in self.scales:
                values = torch.stack(self.read(clips, scale, self.modalities), dim=1).double()  # (B, M, 3, T, P)
                moments = torch.stack([values.sum(dim=(0, 3)), values.square().sum(dim=(0, 3))])
                sums[scale] += moments[:, :, :, None]
        for scale, (first, second) in sums.items():
            mean = first / count
            deviation = (second / count - mean.square()).clamp(min=0).sqrt()
            # 1e-4 of a metre is below any sensor's noise: such a coordinate carries nothing worth amplifying.
            self.get_buffer(f"mean_{scale}").copy_(mean)
            self.get_buffer(f"inverse_sd_{scale}").copy_(torch.where(deviation > 1e-4, 1 / deviation, 1.0))

    def forward(
        self, clips: Tensor, scale: str, modalities: Sequence[Modality] | None = None
    ) -> dict[Modality, Tokens]:
        """Tokens of some modalities (all of them by default) at one scale."""
        wanted = self.modalities if modalities is None else tuple(modalities)
        mean, inverse = self.get_buffer(f"mean_{scale}"), self.get_buffer(f"inverse_sd_{scale}")
        tokens = {}
        for modality, values in zip(wanted, self.read(clips, scale, wanted), strict=True):
            row = self.modalities.index(modality)
            tokens[modality] = tokenise((values - mean[row]) * inverse[row])
        return tokens


def tokenise(values: Tensor) -> Tokens:
    """(B, 3, T, P) to temporal (B, T, 3·P) and spatial (B, P, 3·T) tokens (METHOD 1)."""
    return Tokens(values.permute(0, 2, 3, 1).flatten(2), values.permute(0, 3, 2, 1).flatten(2))
