"""MGRL (Shah et al., FG 2024): clips with hidden joints and clips with hidden motion are to look alike, entry by entry.

One ST-GCN reads three views of a clip: as it is, without some joints, without the frames that move most. Over a batch,
each entry of the feature of the first is to go with the same entry of the others and with no other entry (Barlow Twins,
as PSTL does it). Some clips are merged first: the upper body of one on the legs of another. The paper merges classes
that are often confused, which takes labels; here clips that are near another. What else the paper leaves open is
decided in FAMILY 11. Joints alone are read.
"""

import math
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Generator, Tensor, nn

from airfast.config import Config
from airfast.data import recipes
from airfast.data.augment import uniform
from airfast.data.dataset import DeviceClips
from airfast.data.merged import MergedClips, partners
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.methods.method import Method, plain
from airfast.methods.shared_batch import through
from airfast.models.deployed import SideBySide
from airfast.models.graph_network import WIDTH
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import Layout

NAME = "joint"
MASKED = 0.32  # share of the joints that are hidden
STILL = 5  # a fifth of the frames is hidden
WARM = 10 / 200  # share of the epochs in which the rate rises
BALANCE = 1.2288  # λ·Z


class MGRLNetwork(STGCN):
    """ST-GCN with a head of attention over its frames, if asked for: (B, 3, T, J) to (B, 256)."""

    def __init__(self, layout: Layout, hidden: int, attention: bool) -> None:
        super().__init__(layout, None, hidden=hidden)
        self.attention = nn.MultiheadAttention(WIDTH, 1, batch_first=True) if attention else None

    def forward(self, clips: Tensor, joints: Tensor | None = None) -> Tensor:
        """(B, 3, T, J), of some joints, to (B, 256)."""
        maps = self.maps(clips, joints)
        if self.attention is None:
            return maps.mean(dim=(2, 3))
        tokens = maps.mean(dim=3).transpose(1, 2)  # (B, T/4, 256)
        attended: Tensor = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return attended.mean(dim=1)


class MGRLEncoder(SideBySide):
    """ST-GCN on all joints: 256 entries."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout, {NAME: MGRLNetwork(layout, config.model.hidden, config.mgrl.attention)})


class MGRL(Method):
    """MGRL; with ``mgrl.merge=none``, PSTL.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    deployed: MGRLEncoder

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__()
        self.config, self.settings = config, config.mgrl
        self.deployed = MGRLEncoder(config, layout)
        width = config.model.projection
        self.projector = nn.Sequential(
            *(nn.Linear(WIDTH, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Linear(width, width, bias=False),
        )
        parents = layout.parents
        degrees = [parents.count(joint) + (parent >= 0) for joint, parent in enumerate(parents)]
        self.register_buffer("degrees", torch.tensor(degrees), persistent=False)
        legs = [joint in layout.legs for joint in range(len(layout.joints))]
        self.register_buffer("lower", torch.tensor(legs), persistent=False)
        self.register_buffer("partners", torch.empty(0, dtype=torch.int64), persistent=False)
        self.degrees: Tensor
        self.lower: Tensor
        self.partners: Tensor
        self.general = recipes.turned if config.inputs.augmentation == "method" else plain
        self.views = (self._anchor, self._without_joints, self._without_motion)

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """Find whom each clip may be merged with."""
        frames = self.config.inputs.frames
        if frames - frames // STILL - self.settings.random_frames < 4:
            raise InputError(f"mgrl.random_frames={self.settings.random_frames} leaves fewer than 4 of {frames} frames")
        groups = None
        if self.settings.merge == "groups":
            if len({*motion.groups} - {""}) < 2:
                raise InputError("mgrl.merge=groups: the clips name fewer than two groups; mgrl.merge=clips needs none")
            names = sorted({*motion.groups})
            groups = torch.tensor([names.index(each) for each in motion.groups], device=clips.device)
        if self.settings.merge != "none":
            if not self.lower.any():
                raise InputError(f"layout {motion.layout.name}: no legs to merge; mgrl.merge=none does without")
            self.partners = partners(clips, self.settings.share, groups)

    def _anchor(self, clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
        """The ordinary view; half of the clips that have a partner are merged with it, in all three views alike."""
        self.source = clips
        if len(self.partners):
            itself = torch.arange(len(clips), device=batch.device)
            merged = uniform((len(clips),), 0, 1, clips.frames, generator) < 0.5
            of_clips = {each.name: getattr(clips, each.name) for each in fields(DeviceClips)}
            chosen = torch.where(merged, self.partners, itself)
            self.source = MergedClips(**of_clips, partners=chosen, lower=self.lower)
        return self.general(self.source, batch, generator)

    def _without_joints(self, clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
        """Another view, of which the network reads ``visible`` joints, the same of every clip of the batch."""
        self.visible = visible_joints(self.degrees, generator)
        return self.general(self.source, batch, generator)

    def _without_motion(self, clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
        """Another view without its fastest frames, (B, C, 4T/5, J)."""
        view = self.general(self.source, batch, generator)
        return without_motion(view, self.settings.random_frames, generator)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """The Barlow loss of the view with either masked one (Eq. 3 to 5).

        Args:
            views: (B, C, T, J): as it is, without joints, and without motion (of fewer frames).
            batch: (B,) int64, the clips.
        """
        joints = (None, self.visible, None)
        anchor, *others = (through(self.ranks, self._projected, *each) for each in zip(views, joints, strict=True))
        weight = BALANCE / self.config.model.projection
        return {name: barlow(anchor, each, weight) for name, each in zip(("spatial", "temporal"), others, strict=True)}

    def _projected(self, view: Tensor, joints: Tensor | None) -> Tensor:
        """z (B, Z) of a view (B, C, T, J), or of some joints of it."""
        with self.autocast(view):
            features = self.deployed.networks[NAME](self.deployed.read(view, NAME), joints)
        return self.projector(features.float())  # type: ignore[no-any-return]

    def optimiser(self) -> torch.optim.Optimizer:
        """Adam with coupled weight decay."""
        settings = self.config.train
        return torch.optim.Adam(self.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    def rate(self, epoch: int) -> float:
        """A twentieth of the epochs rises to ``train.lr``, then half a cosine falls to 0."""
        epochs = self.config.train.epochs
        warm = round(WARM * epochs)
        if epoch < warm:
            return self.config.train.lr * (epoch + 1) / warm
        return self.config.train.lr * (1 + math.cos(math.pi * (epoch - warm) / (epochs - warm))) / 2


def barlow(anchor: Tensor, other: Tensor, weight: float) -> Tensor:
    """Σ_i (1 − C_ii)² + λ·Σ_{i≠j} C_ij² of the correlations C over the batch.

    Args:
        anchor, other: (B, Z) projections of two views.
        weight: λ.

    Source: Zbontar et al., ICML 2021, Eq. 1 and 2; MGRL's Eq. 3 does not centre, the code it stands on does.
    """
    first, second = ((each - each.mean(dim=0)) for each in (anchor, other))
    first, second = (each / each.norm(dim=0).clamp(min=1e-6) for each in (first, second))
    correlation = first.T @ second  # (Z, Z)
    diagonal = correlation.diagonal()
    across = correlation.square().sum() - diagonal.square().sum()
    loss: Tensor = (1 - diagonal).square().sum() + weight * across
    return loss


def visible_joints(degrees: Tensor, generator: Generator) -> Tensor:
    """The joints that are left when 0.32·J of them, the better connected the likelier, are hidden: sorted int64.

    Args:
        degrees: (J,) edges of each joint in the tree.
        generator: on the device of the degrees.
    """
    drawn = torch.rand(len(degrees), generator=generator, device=degrees.device).clamp(min=1e-30)
    ranked = degrees.log() - (-drawn.log()).log()  # Gumbel: the largest k are k draws without replacement
    return (-ranked).topk(len(degrees) - round(MASKED * len(degrees))).indices.sort().values


def without_motion(view: Tensor, more: int, generator: Generator) -> Tensor:
    """A view (B, C, T, J) without the T/5 frames after which it moves most, and ``more`` at random; time closes up."""
    batch, channels, frames, joints = view.shape
    steps = (view[:, :3, 1:] - view[:, :3, :-1]).square().mean(dim=(1, 3))  # (B, T − 1); the last frame's is 0
    moves = torch.cat([steps, steps.new_zeros(batch, 1)], dim=1)
    kept = (-moves).topk(frames - frames // STILL, dim=1).indices
    if more:
        order = uniform(kept.shape, 0, 1, view, generator).topk(kept.shape[1] - more, dim=1).indices
        kept = kept.gather(1, order)
    kept = kept.sort(dim=1).values
    return view.gather(2, kept[:, None, :, None].expand(-1, channels, -1, joints))
