"""The recurrent network of CMD and ISC: three layers of two GRUs, read at the last frame."""

import torch
from torch import Tensor, nn

from airfast.models.backbone import Backbone
from airfast.skeletons.layout import Layout

LAYERS = 3


class BiGRU(Backbone):
    """Readings of clips (B, 3, T, J) to the states of the last frame (B, 2h).

    The public code of both feeds its bidirectional GRU a frame at a time and carries both states on, so that both
    halves run forward. Read at the last frame, a half that runs backward would have seen that frame alone.

    Args:
        layout: the skeleton.
        hidden: h, 1024 as published.
        reverse: whether the second half runs backward.
        normalise: a BatchNorm over the 3·J coordinates before the first layer; ISC's public code has none.

    Source: FAMILY 3; Mao et al., ECCV 2022; Thoker et al., MM 2021.
    """

    def __init__(self, layout: Layout, hidden: int, reverse: bool = False, normalise: bool = True) -> None:
        super().__init__()
        entries, self.width, self.reverse = 3 * len(layout.joints), 2 * hidden, reverse
        self.normalise = nn.BatchNorm1d(entries) if normalise else nn.Identity()
        self.layers = nn.ModuleList()
        for inputs in (entries, *[self.width] * (LAYERS - 1)):
            self.layers.append(nn.ModuleList([nn.GRU(inputs, hidden, batch_first=True) for _ in range(2)]))
        for name, weight in self.layers.named_parameters():
            if ".weight_" in name:
                nn.init.xavier_uniform_(weight)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, 2h)."""
        rows = self.normalise(clips.transpose(2, 3).flatten(1, 2)).transpose(1, 2)  # (B, T, 3·J)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            first, second = layer
            backward = second(rows.flip(1))[0].flip(1) if self.reverse else second(rows)[0]
            rows = torch.cat([first(rows)[0], backward], dim=2)
        last: Tensor = rows[:, -1]
        return last
