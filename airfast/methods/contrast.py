"""Momentum contrast: a network that follows, a queue of its keys, InfoNCE (He et al., CVPR 2020; FAMILY 4)."""

import copy

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from airfast.config import Config, Contrast

LONGEST = 2048  # keys of a queue that is left to itself


def head(width: int, dim: int) -> nn.Sequential:
    """What stands on a network while it pre-trains: features (B, width) to (B, dim)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))


class Embedding(nn.Module):
    """A network and its head: clips to unit rows, float32 from the features on.

    Args:
        network: clips (B, C, T, J) to features (B, width).
        head: as :func:`head` makes it.
    """

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, clips: Tensor) -> Tensor:
        """(B, C, T, J) to (B, dim)."""
        features = self.network(clips).float()
        with torch.autocast(clips.device.type, enabled=False):
            return F.normalize(self.head(features), dim=1)


def follower(leader: Embedding) -> Embedding:
    """A copy that gives the keys: it follows and learns nothing; its BatchNorm statistics are its own."""
    return copy.deepcopy(leader).requires_grad_(False)


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """θ_key ← m·θ_key + (1 − m)·θ_query, on parameters alone."""
    for ours, theirs in zip(follower.parameters(), leader.parameters(), strict=True):
        ours.lerp_(theirs, 1 - momentum)


class Queue(nn.Module):
    """The last K keys, and whose they are. Rows are written in turn, so K need not be a multiple of the batch.

    Args:
        size: K.
        dim: entries of a key.
        generator: of the unit rows it starts with.
    """

    def __init__(self, size: int, dim: int, generator: Generator) -> None:
        super().__init__()
        rows = torch.randn(size, dim, generator=generator)
        self.register_buffer("rows", F.normalize(rows, dim=1))
        self.register_buffer("owners", torch.full((size,), -1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))  # the row that is written next
        self.rows: Tensor
        self.owners: Tensor
        self.place: Tensor

    @torch.no_grad()
    def push(self, keys: Tensor, owners: Tensor) -> None:
        """Overwrite the oldest rows: keys (B, dim) of clips (B,), B ≤ K."""
        count = len(self.rows)
        rows = (self.place + torch.arange(len(keys), device=keys.device)) % count
        self.rows.index_copy_(0, rows, keys)
        self.owners.index_copy_(0, rows, owners)
        self.place.copy_((self.place + len(keys)) % count)


def info_nce(query: Tensor, key: Tensor, negatives: Tensor, temperature: float, hidden: Tensor | None = None) -> Tensor:
    """−log e^{q·k/τ} / (e^{q·k/τ} + Σ_j e^{q·n_j/τ}), mean over the batch; only the queries learn from it.

    Args:
        query: (B, dim) unit rows.
        key: (B, dim) unit rows, the positive of each.
        negatives: (K, dim) unit rows.
        temperature: τ.
        hidden: (B, K) bool, negatives that do not count for a query.

    Source: van den Oord et al. 2018, Eq. 4.
    """
    positive = (query * key.detach()).sum(dim=1, keepdim=True)  # (B, 1)
    others = query @ negatives.detach().T  # (B, K)
    if hidden is not None:
        others = others.masked_fill(hidden, -torch.inf)
    logits = torch.cat([positive, others], dim=1) / temperature
    return -F.log_softmax(logits, dim=1)[:, 0].mean()


def queue_size(settings: Contrast, batch_size: int, clips: int) -> int:
    """K for a set of so many clips: half of it in whole batches, at least one batch, at most LONGEST.

    A longer queue would hold a clip's own old keys as its negatives.
    """
    if settings.queue != "auto":
        return max(settings.queue, batch_size)
    return max(batch_size, min(LONGEST, batch_size * (clips // (2 * batch_size))))


def momentum(config: Config, clips: int) -> float:
    """m for a set of so many clips: 0.999 where an epoch has the 333 steps of the large sets, less where fewer."""
    if config.contrast.momentum != "auto":
        return config.contrast.momentum
    steps = -(-clips // config.train.batch_size)
    return min(0.999, max(0.9, 1 - 1 / (3 * steps)))
