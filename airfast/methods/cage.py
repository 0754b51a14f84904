"""CAGE (Lu et al., AAAI 2023): contrast in two coordinate systems with ambiguous samples; GE-CLR is the plain case.

Each coordinate system has a network that learns and one that follows it, and a queue of keys. The query of a clip is to
find its key among the queue (and, "cooperative", among ambiguous samples of the batch: the same motion at another
speed, distorted). Across, the spherical query is to find the Cartesian key. What the paper leaves open is decided in
FAMILY 9. Joints alone are read.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from airfast.config import Config
from airfast.data import recipes
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.methods.contrast import Embedding, Queue, follow, follower, head, info_nce, momentum, queue_size
from airfast.methods.method import Method, plain
from airfast.models.agcn import AGCN
from airfast.models.deployed import Deployed
from airfast.models.graph_network import WIDTH
from airfast.skeletons.coordinates import spherical
from airfast.skeletons.layout import Layout

SYSTEMS = ("cartesian", "spherical")


class CageEncoder(Deployed):
    """A-GCN on joints, in one coordinate system or in both side by side (AGCN's 16- or 64-channel network a system)."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__()
        self.config, self.layout = config, layout
        deploy = config.cage.deploy
        self.systems = SYSTEMS if deploy == "both" else (deploy,)
        self.networks = nn.ModuleDict({each: network(config, layout) for each in self.systems})
        self.width = WIDTH * len(self.systems)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, J) to features (B, D)."""
        polar = self.config.cage.polar
        return torch.cat([self.networks[each](coordinates(clips, each, polar)) for each in self.systems], dim=1)

    def take_statistics(self, trained: Deployed) -> None:
        """Mean and variance of the coordinates, as the networks' first BatchNorm has seen them."""
        assert isinstance(trained, CageEncoder)
        for name, ours in self.networks.items():
            theirs = trained.networks[name]
            assert isinstance(ours, AGCN)
            assert isinstance(theirs, AGCN)
            seen = dict(theirs.normalise.named_buffers())
            for kind, buffer in ours.normalise.named_buffers():
                buffer.copy_(seen[kind])


def network(config: Config, layout: Layout) -> AGCN:
    """The network of one coordinate system: (B, 3, T, J) to (B, 256)."""
    return AGCN(layout, None, hidden=config.model.hidden)


def coordinates(clips: Tensor, system: str, polar: str) -> Tensor:
    """The positions of clips (B, C, T, J) in a coordinate system: (B, 3, T, J)."""
    return clips[:, :3] if system == "cartesian" else spherical(clips, polar)


class Cage(Method):
    """CAGE, or the part of it that is configured.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    deployed: CageEncoder

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__()
        self.config = config
        self.settings, self.contrast = config.cage, config.contrast
        own = config.inputs.augmentation == "method"
        general = recipes.cage if own else plain
        self.ambiguous = self.settings.bank != "plain"
        harder = partial(recipes.ambiguous, speed=self.settings.speed)
        self.views = (general, general, harder) if self.ambiguous else (general, general)
        self.deployed = CageEncoder(config, layout)
        self.systems = SYSTEMS if self.settings.cross != "none" else self.deployed.systems
        aside = {each: network(config, layout) for each in self.systems if each not in self.deployed.systems}
        self.aside = nn.ModuleDict(aside)  # trained for the sake of the other
        self.heads = nn.ModuleDict({each: head(WIDTH, self.contrast.dim) for each in self.systems})
        self.followers = nn.ModuleDict({each: follower(self._leader(each)) for each in self.systems})
        self.queues = nn.ModuleDict()

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """Size the queues and the momentum by the set."""
        frames, speed = self.config.inputs.frames, self.settings.speed
        if self.ambiguous and speed >= 1 and frames < 4 * speed:
            raise InputError(f"cage.speed={speed:g} leaves {frames // int(speed)} of {frames} frames, fewer than 4")
        size = queue_size(self.contrast, self.config.train.batch_size, len(clips))
        drawn = Generator().manual_seed(self.config.seed)
        twice = 2 if self.settings.bank == "hybrid" else 1
        for each in self.systems:
            self.queues[each] = Queue(max(size, twice * self.config.train.batch_size), self.contrast.dim, drawn)
        self.queues.to(clips.frames.device)
        self.momentum = momentum(self.config, len(clips))

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """A term a coordinate system and one across (Eq. 8 and 10), λ = 1.

        Args:
            views: (B, C, T, J): of the queries, of the keys, and the ambiguous samples.
            batch: (B,) int64, the clips.
        """
        query: dict[str, Tensor] = {}
        key: dict[str, Tensor] = {}
        harder: dict[str, Tensor] = {}
        polar = self.settings.polar
        with self.autocast(views[0]):
            for each in self.systems:
                first, second, *third = (coordinates(view, each, polar) for view in views)
                query[each] = self._leader(each)(first)
                with torch.no_grad():
                    key[each] = self.followers[each](second)
                    if third:
                        harder[each] = self.followers[each](third[0])
        self.kept = batch, key, harder
        named = {each: self._within(query[each], key[each], harder.get(each), each, batch) for each in self.systems}
        if self.settings.cross != "none":
            named["cross"] = self._across(query, key, batch)
        return named

    def _within(self, query: Tensor, key: Tensor, harder: Tensor | None, system: str, batch: Tensor) -> Tensor:
        """Queue and ambiguous samples as ``cage.bank`` says (Eq. 7 and 8)."""
        terms = []
        if self.settings.bank != "ambiguity":
            terms.append(self._against_queue(query, key, system, batch))
        if self.settings.bank in ("cooperation", "ambiguity"):
            assert harder is not None
            terms.append(info_nce(query, key, harder, self.contrast.temperature))
        return torch.stack(terms).sum()

    def _across(self, query: dict[str, Tensor], key: dict[str, Tensor], batch: Tensor) -> Tensor:
        """Eq. 10: the Cartesian key guides the spherical query; with ``cross=both`` each guides the other."""
        if self.settings.cross == "guide":
            return self._against_queue(query["spherical"], key["cartesian"], "spherical", batch)
        there = self._against_queue(query["cartesian"], key["spherical"], "spherical", batch)
        return there + self._against_queue(query["spherical"], key["cartesian"], "cartesian", batch)

    def _against_queue(self, query: Tensor, key: Tensor, system: str, batch: Tensor) -> Tensor:
        queue = self._queue(system)
        hidden = queue.owners == batch[:, None] if self.contrast.mask_own else None  # (B, K)
        return info_nce(query, key, queue.rows, self.contrast.temperature, hidden)

    @torch.no_grad()
    def after_step(self) -> None:
        """The networks that give keys follow, then the keys of the step are queued."""
        batch, key, harder = self.kept
        for each in self.systems:
            follow(self.followers[each], self._leader(each), self.momentum)
            keys, owners = key[each], batch
            if self.settings.bank == "hybrid":
                keys, owners = torch.cat([keys, harder[each]]), torch.cat([batch, batch])
            self._queue(each).push(keys, owners)

    def optimiser(self) -> torch.optim.Optimizer:
        """SGD, momentum 0.9, weight decay on every parameter, no Nesterov."""
        learnt = [each for each in self.parameters() if each.requires_grad]
        settings = self.config.train
        return torch.optim.SGD(learnt, lr=settings.lr, momentum=0.9, weight_decay=settings.weight_decay)

    def _leader(self, system: str) -> Embedding:
        networks = self.deployed.networks if system in self.deployed.networks else self.aside
        return Embedding(networks[system], self.heads[system])

    def _queue(self, system: str) -> Queue:
        queue = self.queues[system]
        assert isinstance(queue, Queue)
        return queue
