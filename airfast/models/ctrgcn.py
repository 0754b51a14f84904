"""CTR-GCN in three units (Chen et al., ICCV 2021), and SCD-Net's encoder: two, each before a Transformer layer."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from airfast.errors import InputError
from airfast.models.backbone import Backbone
from airfast.skeletons.graph import spatial_subsets
from airfast.skeletons.layout import Layout

UNITS = (3, 64, 256, 64)  # channels before, between and after the units
CHANNELS = UNITS[-1]


class Refinement(nn.Module):
    """Σ_k (A_k + α·W₄ tanh(mean_t W₁x ⊖ mean_t W₂x))·W₃x, BatchNorm, shortcut, ReLU.

    A_k starts as the skeleton and is learnt, α starts at 0: each channel's graph is refined by how joints differ.

    Source: Chen et al. 2021, Eq. 2 to 6 and public code; FAMILY 3.
    """

    def __init__(self, subsets: Tensor, inputs: int, outputs: int) -> None:
        super().__init__()
        narrow = 8 if inputs == UNITS[0] else inputs // 8
        count = range(len(subsets))
        self.first, self.second = (nn.ModuleList([nn.Conv2d(inputs, narrow, 1) for _ in count]) for _ in range(2))
        self.value = nn.ModuleList([nn.Conv2d(inputs, outputs, 1) for _ in count])
        self.widen = nn.ModuleList([nn.Conv2d(narrow, outputs, 1) for _ in count])
        self.graph = nn.Parameter(subsets.clone())  # (3, J, J), columns are the joints that listen
        self.alpha = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.norm.weight, 1e-6)
        self.shortcut = shortcut(inputs, outputs)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, in, T, J) to (B, out, T, J)."""
        heard = torch.zeros((), device=clips.device)
        layers = zip(self.first, self.second, self.value, self.widen, strict=True)
        mean = clips.mean(dim=2, keepdim=True)  # W₁ and W₂ commute with it, and so read one frame
        for graph, (first, second, value, widen) in zip(self.graph, layers, strict=True):
            here, there = first(mean), second(mean).transpose(2, 3)  # (B, r, 1, J), (B, r, J, 1)
            refined = graph + self.alpha * widen(torch.tanh(there - here))  # (B, out, J, J)
            heard = heard + value(clips) @ refined
        return torch.relu(self.norm(heard) + self.shortcut(clips))


def shortcut(inputs: int, outputs: int) -> nn.Module:
    """The identity, or where the channels change a 1×1 convolution with its BatchNorm."""
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))


class TemporalBranches(nn.Module):
    """Four looks at the neighbouring frames, of a fourth of the channels each: (B, C, T, J) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        part = channels // 4

        def begin(*after: nn.Module) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(channels, part, 1), nn.BatchNorm2d(part), *after)

        self.branches = nn.ModuleList()
        for dilation in (1, 2):
            over_time = nn.Conv2d(part, part, (5, 1), padding=(2 * dilation, 0), dilation=(dilation, 1))
            self.branches.append(begin(nn.ReLU(), over_time, nn.BatchNorm2d(part)))
        self.branches.append(begin(nn.ReLU(), nn.MaxPool2d((3, 1), 1, (1, 0)), nn.BatchNorm2d(part)))
        self.branches.append(begin())

    def forward(self, clips: Tensor) -> Tensor:
        """Side by side."""
        return torch.cat([branch(clips) for branch in self.branches], dim=1)


class Unit(nn.Module):
    """A refined graph, then the branches over time, around a residual where there is one."""

    def __init__(self, subsets: Tensor, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.spatial, self.temporal = Refinement(subsets, inputs, outputs), TemporalBranches(outputs)
        self.shortcut = shortcut(inputs, outputs) if residual else None

    def forward(self, clips: Tensor) -> Tensor:
        """(B, in, T, J) to (B, out, T, J)."""
        after: Tensor = self.temporal(self.spatial(clips))
        return torch.relu(after if self.shortcut is None else after + self.shortcut(clips))


class CTRGCN(nn.Module):
    """Readings of clips (B, 3, T, J) to maps (B, 64, T, J).

    Args:
        layout: the skeleton.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        subsets = spatial_subsets(layout.parents)
        self.normalise = nn.BatchNorm1d(UNITS[0] * len(layout.joints))
        units = (Unit(subsets, *pair, residual=index > 0) for index, pair in enumerate(pairwise(UNITS)))
        self.units = nn.Sequential(*units)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, 64, T, J)."""
        flat = self.normalise(clips.transpose(2, 3).flatten(1, 2))
        maps: Tensor = self.units(flat.unflatten(1, (clips.shape[1], clips.shape[3])).transpose(2, 3))
        return maps


class Clue(nn.Module):
    """Tokens (B, L, in) to one clue (B, H): embedded, a Transformer layer without positions, their maximum."""

    def __init__(self, inputs: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.layer = nn.TransformerEncoderLayer(hidden, heads, hidden, dropout=0.1, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, in) to (B, H)."""
        clue: Tensor = self.layer(self.embed(tokens)).amax(dim=1)
        return clue


class DualEncoder(Backbone):
    """SCD-Net's encoder: a clue of the frames and a clue of the joints, from networks that share nothing.

    Args:
        layout: the skeleton.
        frames: T, part of the width of a joint's token, and so final.
        hidden: H.
        heads: of attention.

    Raises:
        InputError: heads that do not divide H.

    Source: Wu et al., AAAI 2024; FAMILY 3.
    """

    def __init__(self, layout: Layout, frames: int, hidden: int, heads: int) -> None:
        super().__init__()
        if hidden % heads:
            raise InputError(f"scd.heads: {heads} do not divide model.hidden={hidden}")
        self.width = 2 * hidden
        self.of_frames, self.of_joints = CTRGCN(layout), CTRGCN(layout)
        self.temporal = Clue(CHANNELS * len(layout.joints), hidden, heads)
        self.spatial = Clue(CHANNELS * frames, hidden, heads)

    def clues(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Readings (B, 3, T, J) to the temporal and the spatial clue, (B, H) each."""
        frames = self.of_frames(clips).permute(0, 2, 3, 1).flatten(2)  # (B, T, 64·J)
        joints = self.of_joints(clips).permute(0, 3, 2, 1).flatten(2)  # (B, J, 64·T)
        return self.temporal(frames), self.spatial(joints)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, 2H)."""
        return torch.cat(self.clues(clips), dim=1)
