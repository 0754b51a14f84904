"""Clips that are put together: the upper body of one on the legs of another (MGRL)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from airfast.data.dataset import DeviceClips

FRAMES = 16  # of a clip, that are compared
BLOCK = 256  # clips that are compared with all others at a time


@dataclass(frozen=True)
class MergedClips(DeviceClips):
    """A set, each clip with the legs of its partner, which is itself where it has none.

    Attributes:
        partners: (N,) int64.
        lower: (J,) bool, joints that are taken from the partner.
    """

    partners: Tensor
    lower: Tensor

    def read(self, clips: Tensor, start: Tensor, span: Tensor) -> Tensor:
        """As of a set; of the partner the same share of its length is read."""
        others = self.partners[clips]
        own, of_others = ((self.lengths[each] - 1).float() for each in (clips, others))
        share = of_others / own.clamp(min=1)
        return torch.where(
            self.lower, super().read(others, start * share, span * share), super().read(clips, start, span)
        )


@torch.no_grad()
def partners(clips: DeviceClips, share: float, groups: Tensor | None = None) -> Tensor:
    """Whom to merge each clip with: its nearest neighbour, for those whose nearest is nearest; itself for the others.

    Args:
        clips: N of them, root-centred.
        share: of the clips that get a partner.
        groups: (N,) int64; a partner is of another group. None: any other clip.

    Returns:
        (N,) int64.

    The distance of two clips is the mean of the distances of their joints over 16 frames (FAMILY 11). N² of them are
    computed, kept a block of rows at a time.
    """
    positions = torch.cat([batch[:, :3] for batch in clips.batches(BLOCK)])  # (N, 3, T, J)
    picked = torch.linspace(0, positions.shape[2] - 1, FRAMES, device=positions.device).round().long()
    points = positions[:, :, picked].flatten(2).permute(2, 0, 1).contiguous()  # (16·J, N, 3)
    count = len(clips)
    nearest, distance = [], []
    for rows in torch.split(torch.arange(count, device=positions.device), BLOCK):
        block = torch.zeros(len(rows), count, device=positions.device)
        for point in points:
            block += torch.cdist(point[rows], point, compute_mode="donot_use_mm_for_euclid_dist")
        alike = rows[:, None] == torch.arange(count, device=positions.device)
        if groups is not None:
            alike |= groups[rows][:, None] == groups
        found = block.masked_fill(alike, torch.inf).min(dim=1)
        nearest.append(found.indices)
        distance.append(found.values)
    others, near = torch.cat(nearest), torch.cat(distance)
    itself = torch.arange(count, device=positions.device)
    chosen = near.argsort(stable=True)[: round(share * count)]
    return itself.index_copy(0, chosen, others[chosen])
