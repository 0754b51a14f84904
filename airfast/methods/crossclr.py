"""CrosSCLR (Li et al., CVPR 2021): contrast in joints, bones and motion, each of which mines positives for the others.

A network a modality learns, one follows it, and a queue keeps its keys; a row is of the same clip in every queue. In
the first stage each modality is SkeletonCLR: a query is to find its key. In the second, what one modality finds most
alike in its queue is a positive for the others. What the paper leaves open is decided in FAMILY 5: every modality has a
head of its own, and all of the followers follow in both stages.
"""

from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from airfast.config import Config
from airfast.data import recipes
from airfast.data.dataset import DeviceClips
from airfast.methods.contrast import NetworkContrast
from airfast.methods.method import Epoch, plain
from airfast.models.deployed import AModality
from airfast.models.stgcn import STGCN
from airfast.skeletons.layout import Layout


class CrosSCLREncoder(AModality):
    """ST-GCN on each modality, side by side: 3·256 entries of all three. Convolutions start as N(0, 0.02²)."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout, lambda: STGCN(layout, None, hidden=config.model.hidden))
        for each in self.modules():
            if isinstance(each, nn.Conv2d):
                nn.init.normal_(each.weight, std=0.02)
                assert each.bias is not None
                nn.init.zeros_(each.bias)


class CrosSCLR(NetworkContrast):
    """CrosSCLR; with one modality, SkeletonCLR.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    longest = 32_768
    stage = 1

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, CrosSCLREncoder(config, layout))
        self.settings = config.crossclr
        view = recipes.sheared if config.inputs.augmentation == "method" else plain
        self.views = (view, view)

    def begin_epoch(self, epoch: int, clips: DeviceClips, optimiser: torch.optim.Optimizer) -> Epoch:
        """Stage 2 from a share of the epochs on, where there are modalities to ask."""
        crossing = epoch >= round(self.settings.cross_from * self.config.train.epochs)
        self.stage = 2 if crossing and len(self.names) > 1 else 1
        return Epoch(facts={"stage": self.stage})

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """A term a modality: its own contrast, or from stage 2 on the mean over who mines for it (Eq. 3 and 9).

        Args:
            views: (B, C, T, J), of the queries and of the keys.
            batch: (B,) int64, the clips.
        """
        query, key = self.embedded(views, batch)
        if self.stage == 1:
            return {each: self.against_queue(query[each], key[each], each, batch) for each in self.names}
        own = {each: (query[each] * key[each]).sum(dim=1) for each in self.names}  # (B,)
        queued = {each: query[each] @ self.queue(each).rows.T for each in self.names}  # (B, K)
        share = 1 / (len(self.names) - 1)
        named = {each: torch.zeros((), device=batch.device) for each in self.names}
        for u, v in permutations(self.names, 2):
            named[u] = named[u] + share * self._mined(own[u], queued[u], queued[v], self.hidden(u, batch))
        return named

    def _mined(self, own: Tensor, ours: Tensor, theirs: Tensor, hidden: Tensor | None) -> Tensor:
        settings = self.settings
        return mined_loss(own, ours, theirs, settings.topk, settings.context, self.contrast.temperature, hidden)


def mined_loss(
    own: Tensor,
    ours: Tensor,
    theirs: Tensor,
    topk: int,
    context: bool,
    temperature: float,
    hidden: Tensor | None = None,
) -> Tensor:
    """ℓ_uv: log-softmax of u's similarities, meant over the positives that v finds, negated; mean over the batch.

    Args:
        own: (B,) similarity of u's query to its key.
        ours: (B, K) similarities s_u of u's query to u's queue.
        theirs: (B, K) similarities s_v of v's query to v's queue, the same clips.
        topk: rows of ``theirs`` that are positives.
        context: whether s_u∘s_v, with gradient into both networks, stands among the logits too.
        temperature: τ.
        hidden: (B, K) bool, rows that do not count.

    Source: Li et al. 2021, Eq. 6 to 8; FAMILY 5.
    """
    size = ours.shape[1]
    chosen = theirs.detach() if hidden is None else theirs.detach().masked_fill(hidden, -torch.inf)
    rows = chosen.topk(min(topk, size), dim=1).indices  # (B, topk)
    parts = [ours, ours * theirs] if context else [ours]
    if hidden is not None:
        parts = [each.masked_fill(hidden, -torch.inf) for each in parts]
    logs = F.log_softmax(torch.cat([own[:, None], *parts], dim=1) / temperature, dim=1)
    positives = [logs[:, :1], *(logs.gather(1, 1 + part * size + rows) for part in range(len(parts)))]
    return -torch.cat(positives, dim=1).mean()
