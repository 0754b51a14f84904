"""SSAL (Song et al., 2024): contrast with a strong view that is to find what the ordinary one finds.

Of the paper we hold a summary (FAMILY 10): a network of a graph branch (ST-GCN) and an image branch (Fourier filters),
one that follows it, a queue, and a strong view – arms distorted, parts and frames hidden, the graph's features dropped.
How alike the strong query is to key and queue shall be distributed as for the ordinary query. **Ours**, since the
summary leaves it open: the sizes of the branches, what exactly is distorted and hidden, that the divergence is the
cross-entropy as in AimCLR, and every setting of the optimiser. Joints alone are read.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from airfast.config import Config
from airfast.data import recipes
from airfast.data.dataset import DeviceClips
from airfast.methods.contrast import NetworkContrast
from airfast.methods.method import plain
from airfast.methods.shared_batch import batch_mean, through
from airfast.models.aff import ImageBranch
from airfast.models.backbone import Backbone
from airfast.models.deployed import SideBySide
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import Layout

NAME = "joint"
KEPT = 0.7  # attention from which on a feature is dropped
Mean = Callable[[Tensor], Tensor]


class CFFN(Backbone):
    """ST-GCN, and beside it the image branch: positions (B, 3, T, J) to features (B, 512), or (B, 256) without."""

    def __init__(self, layout: Layout, hidden: int, image: bool) -> None:
        super().__init__()
        self.graph = STGCN(layout, None, hidden=hidden)
        self.image = ImageBranch() if image else None
        self.width = self.graph.width + (self.image.width if self.image else 0)

    def forward(self, clips: Tensor) -> Tensor:
        """(B, 3, T, J) to (B, D)."""
        return self.together(self.graph.maps(clips), clips)

    def with_drop(self, clips: Tensor, mean: Mean = torch.mean) -> tuple[Tensor, Tensor]:
        """The feature, and what it is once the graph's map has lost what stands out: (B, D) each."""
        maps = self.graph.maps(clips)
        return self.together(maps, clips), self.together(simam_drop(maps.float(), mean), clips)

    def together(self, maps: Tensor, clips: Tensor) -> Tensor:
        """Maps of the graph (B, 256, T/4, J) and the clips they are of to the feature (B, D)."""
        parts = [maps.mean(dim=(2, 3))]
        if self.image is not None:
            parts.append(self.image(clips))
        return torch.cat(parts, dim=1)


def simam_drop(maps: Tensor, mean: Mean = torch.mean) -> Tensor:
    """Set to zero the joints, then the entries, that stand out of their channel; what is left is scaled up for it.

    Args:
        maps: (B, C, T, J). The attention is sigmoid of (x − μ)² / (4·(variance + 1e-4)) + ½, μ and variance of a clip's
            channel; from 0.7 on, in the mean over a joint or at an entry, it stands out.
        mean: over a batch, of which these may be some clips.

    Returns:
        (B, C, T, J).

    Source: Guo et al., AAAI 2022 (AimCLR), public code; FAMILY 10.
    """
    variance, centre = torch.var_mean(maps, dim=(2, 3), keepdim=True)
    attention = torch.sigmoid((maps - centre).square() / (4 * (variance + 1e-4)) + 0.5).detach()
    for kept in (attention.mean(dim=(1, 2), keepdim=True) < KEPT, attention < KEPT):
        maps = maps * kept / mean(kept.float()).clamp(min=1e-6)
    return maps


class SSALEncoder(SideBySide):
    """Both branches on the joints: 512 entries."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout, {NAME: CFFN(layout, config.model.hidden, config.ssal.image)})


class SSAL(NetworkContrast):
    """SSAL, or the part of it that is configured.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, SSALEncoder(config, layout))
        self.settings = config.ssal
        self.general = recipes.sheared if config.inputs.augmentation == "method" else plain
        self.views = (self.general, self.general, self._strong_view)
        arms = [joint in layout.arms for joint in range(len(layout.joints))]
        self.register_buffer("arms", torch.tensor(arms), persistent=False)
        self.register_buffer("parts", torch.tensor(layout.high), persistent=False)
        self.arms: Tensor
        self.parts: Tensor
        self.count = len(layout.high_names)

    def _strong_view(self, clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
        view = self.general(clips, batch, generator)
        return recipes.strong(view, self.arms, self.parts, self.count, self.settings.strong, generator)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """The contrast of ordinary views, and how far the strong ones are from them.

        Args:
            views: (B, C, T, J): of the keys, of the queries, and the strong ones.
            batch: (B,) int64, the clips.
        """
        keys = self.keys(views[0])
        query, key = self.queries(views[1])[NAME], keys[NAME]
        self.kept = batch, keys
        named = {"info": self.against_queue(query, key, NAME, batch)}
        if self.settings.weight:
            wanted = self._logits(query, key, batch)
            apart = [divergence(wanted, self._logits(each, key, batch)) for each in self._strong(views[2])]
            named["divergence"] = self.settings.weight * torch.stack(apart).mean()
        return named

    def _strong(self, view: Tensor) -> list[Tensor]:
        """Queries (B, dim) of a strong view, without and with the drop."""
        if not self.settings.drop:
            return [self.queries(view)[NAME]]
        network = self.deployed.networks[NAME]
        assert isinstance(network, CFFN)
        with self.autocast(view):
            mean = partial(batch_mean, self.ranks)
            features = through(self.ranks, network.with_drop, self.deployed.read(view, NAME), mean)
        return [F.normalize(self.heads[NAME](each.float()), dim=1) for each in features]

    def _logits(self, query: Tensor, key: Tensor, batch: Tensor) -> Tensor:
        """Similarities to the key and to the queue over τ: (B, 1 + K)."""
        queued, hidden = query @ self.queue(NAME).rows.T, self.hidden(NAME, batch)
        if hidden is not None:
            queued = queued.masked_fill(hidden, torch.finfo(queued.dtype).min)  # 0 · −∞ is not a number
        return torch.cat([(query * key).sum(dim=1, keepdim=True), queued], dim=1) / self.contrast.temperature


def divergence(wanted: Tensor, found: Tensor) -> Tensor:
    """The cross-entropy of softmax(found) where softmax(wanted), a constant, is right: (B, K) each, mean over B."""
    return F.cross_entropy(found, torch.softmax(wanted.detach(), dim=1))
