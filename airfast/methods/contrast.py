"""Momentum contrast: a network that follows, a queue of its keys, InfoNCE (He et al., CVPR 2020; FAMILY 4)."""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from airfast.config import Config, Contrast
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.methods.method import Method
from airfast.methods.shared_batch import through
from airfast.models.backbone import Backbone
from airfast.models.deployed import SideBySide

Leader = TypeVar("Leader", bound=nn.Module)


def head(width: int, dim: int, hidden: int | None = None) -> nn.Sequential:
    """What stands on a network while it pre-trains: features (B, width), ``hidden`` (or as many) entries, (B, dim)."""
    hidden = hidden or width
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, dim))


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


def follower(leader: Leader) -> Leader:
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


def queue_size(settings: Contrast, batch_size: int, clips: int, longest: int) -> int:
    """K for a set of so many clips: half of it in whole batches, at least one batch, at most ``longest``.

    A longer queue would hold a clip's own old keys as its negatives.
    """
    if settings.queue != "auto":
        return max(settings.queue, batch_size)
    return max(batch_size, min(longest, batch_size * (clips // (2 * batch_size))))


def momentum(config: Config, clips: int) -> float:
    """m for a set of so many clips: 0.999 where an epoch has the 333 steps of the large sets, less where fewer."""
    if config.contrast.momentum != "auto":
        return config.contrast.momentum
    steps = -(-clips // config.train.batch_size)
    return min(0.999, max(0.9, 1 - 1 / (3 * steps)))


class Contrastive(Method):
    """The rhythm of the methods with followers and queues: keys, queries, a step of SGD, then all that follows it.

    All queues move alike: row j is of the same clip in each.

    Args:
        config: the run's configuration.
        deployed: the networks that are kept.
        names: of the queues.

    Attributes:
        longest: K as published, keys of a queue that is left to itself.
        keys_a_clip: rows that a clip adds to a queue in a step.
        kept: the clips (B,) of a step and their keys by queue (B, dim), until :meth:`after_step`.
        followers: what gives the keys, each behind :meth:`leader` of its name.
    """

    deployed: SideBySide
    longest: int = 2048
    keys_a_clip: int = 1
    kept: tuple[Tensor, dict[str, Tensor]]

    def __init__(self, config: Config, deployed: SideBySide, names: Sequence[str]) -> None:
        super().__init__()
        self.config, self.contrast = config, config.contrast
        self.deployed, self.names = deployed, tuple(names)
        self.followers, self.queues = nn.ModuleDict(), nn.ModuleDict()

    @abstractmethod
    def leader(self, name: str) -> nn.Module:
        """What the follower of a name follows."""

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """Size the queues and the momentum by the set."""
        batch = self.config.train.batch_size
        size = max(queue_size(self.contrast, batch, len(clips), self.longest), self.keys_a_clip * batch)
        drawn = Generator().manual_seed(self.config.seed)
        for each in self.names:
            self.queues[each] = Queue(size, self.contrast.dim, drawn)
        self.queues.to(clips.device)
        self.momentum = momentum(self.config, len(clips))

    def against_queue(self, query: Tensor, key: Tensor, name: str, batch: Tensor) -> Tensor:
        """InfoNCE of queries and keys (B, dim) of clips (B,) among the queue of a name."""
        return info_nce(query, key, self.queue(name).rows, self.contrast.temperature, self.hidden(name, batch))

    def hidden(self, name: str, batch: Tensor) -> Tensor | None:
        """Which keys of a queue are a clip's own (B, K), where they are to be hidden from it."""
        return self.queue(name).owners == batch[:, None] if self.contrast.mask_own else None

    @torch.no_grad()
    def after_step(self) -> None:
        """The networks that give keys follow, then the keys of the step are queued."""
        for name, behind in self.followers.items():
            follow(behind, self.leader(name), self.momentum)
        owners, keys = self.kept
        for name in self.names:
            self.queue(name).push(keys[name], owners)

    def optimiser(self) -> torch.optim.Optimizer:
        """SGD, momentum 0.9, weight decay on every parameter, no Nesterov."""
        learnt = [each for each in self.parameters() if each.requires_grad]
        settings = self.config.train
        return torch.optim.SGD(learnt, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)

    def queue(self, name: str) -> Queue:
        """The queue of a name."""
        queue = self.queues[name]
        assert isinstance(queue, Queue)
        return queue


class NetworkContrast(Contrastive):
    """A head, a follower and a queue for each network.

    Args:
        config: the run's configuration.
        deployed: the networks that are kept.
        aside: networks that are trained for the sake of the others.
        names: of all networks, in the order in which heads are made; those of ``deployed`` by default.
    """

    def __init__(
        self,
        config: Config,
        deployed: SideBySide,
        aside: Mapping[str, Backbone] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(config, deployed, names or tuple(deployed.networks))
        self.aside, self.heads = nn.ModuleDict(aside or {}), nn.ModuleDict()
        for each in self.names:
            network = self._network(each)
            assert isinstance(network, Backbone)
            self.heads[each] = head(network.width, self.contrast.dim)
        for each in self.names:
            self.followers[each] = follower(self.leader(each))

    def leader(self, name: str) -> Embedding:
        """The network of a name and its head."""
        return Embedding(self._network(name), self.heads[name])

    def embedded(self, views: Sequence[Tensor], batch: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Queries of the first view and keys of the second, which are kept to be queued: (B, dim) by network."""
        query, key = self.queries(views[0]), self.keys(views[1])
        self.kept = batch, key
        return query, key

    def queries(self, view: Tensor) -> dict[str, Tensor]:
        """Unit rows (B, dim) of every network for a view (B, C, T, J)."""
        with self.autocast(view):
            return {each: through(self.ranks, self.leader(each), self.deployed.read(view, each)) for each in self.names}

    @torch.no_grad()
    def keys(self, view: Tensor) -> dict[str, Tensor]:
        """The same of the networks that follow."""
        with self.autocast(view):
            return {
                each: through(self.ranks, self.followers[each], self.deployed.read(view, each)) for each in self.names
            }

    def _network(self, name: str) -> nn.Module:
        return (self.deployed.networks if name in self.deployed.networks else self.aside)[name]
