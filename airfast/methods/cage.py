"""CAGE (Lu et al., AAAI 2023): contrast in two coordinate systems with ambiguous samples; GE-CLR is the plain case.

Each coordinate system has a network that learns and one that follows it, and a queue of keys. The query of a clip is to
find its key among the queue (and, "cooperative", among ambiguous samples of the batch: the same motion at another
speed, distorted). Across, the spherical query is to find the Cartesian key. What the paper leaves open is decided in
FAMILY 9. Joints alone are read.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from airfast.config import Config
from airfast.data import recipes
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.methods.contrast import NetworkContrast, info_nce
from airfast.methods.method import plain
from airfast.models.agcn import AGCN
from airfast.models.deployed import SideBySide
from airfast.skeletons.coordinates import spherical
from airfast.skeletons.layout import Layout

SYSTEMS = ("cartesian", "spherical")


class CageEncoder(SideBySide):
    """A-GCN on joints, in one coordinate system or in both side by side (AGCN's 16- or 64-channel network a system)."""

    def __init__(self, config: Config, layout: Layout) -> None:
        deploy = config.cage.deploy
        systems = SYSTEMS if deploy == "both" else (deploy,)
        super().__init__(config, layout, {each: network(config, layout) for each in systems})

    def read(self, clips: Tensor, name: str) -> Tensor:
        """Positions in the coordinate system of a name."""
        return coordinates(clips, name, self.config.cage.polar)


def network(config: Config, layout: Layout) -> AGCN:
    """The network of one coordinate system: (B, 3, T, J) to (B, 256)."""
    return AGCN(layout, None, hidden=config.model.hidden)


def coordinates(clips: Tensor, system: str, polar: str) -> Tensor:
    """The positions of clips (B, C, T, J) in a coordinate system: (B, 3, T, J)."""
    return clips[:, :3] if system == "cartesian" else spherical(clips, polar)


class Cage(NetworkContrast):
    """CAGE, or the part of it that is configured.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    def __init__(self, config: Config, layout: Layout) -> None:
        self.settings = config.cage
        deployed = CageEncoder(config, layout)
        kept = tuple(deployed.networks)
        systems = SYSTEMS if self.settings.cross != "none" else kept
        super().__init__(
            config, deployed, {each: network(config, layout) for each in systems if each not in kept}, systems
        )
        general = recipes.cage if config.inputs.augmentation == "method" else plain
        self.ambiguous = self.settings.bank != "plain"
        harder = partial(recipes.ambiguous, speed=self.settings.speed)
        self.views = (general, general, harder) if self.ambiguous else (general, general)
        self.keys_a_clip = 2 if self.settings.bank == "hybrid" else 1

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """Size the queues and the momentum by the set; an ambiguous sample needs four frames."""
        frames, speed = self.config.inputs.frames, self.settings.speed
        if self.ambiguous and speed >= 1 and frames < 4 * speed:
            raise InputError(f"cage.speed={speed:g} leaves {frames // int(speed)} of {frames} frames, fewer than 4")
        super().meet(motion, clips)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """A term a coordinate system and one across (Eq. 8 and 10), λ = 1.

        Args:
            views: (B, C, T, J): of the queries, of the keys, and the ambiguous samples.
            batch: (B,) int64, the clips.
        """
        query, key = self.embedded(views, batch)
        harder = self.keys(views[2]) if self.ambiguous else {}
        if self.settings.bank == "hybrid":
            self.kept = torch.cat([batch, batch]), {each: torch.cat([key[each], harder[each]]) for each in key}
        named = {each: self._within(query[each], key[each], harder.get(each), each, batch) for each in self.names}
        if self.settings.cross != "none":
            named["cross"] = self._across(query, key, batch)
        return named

    def _within(self, query: Tensor, key: Tensor, harder: Tensor | None, system: str, batch: Tensor) -> Tensor:
        """Queue and ambiguous samples as ``cage.bank`` says (Eq. 7 and 8)."""
        terms = []
        if self.settings.bank != "ambiguity":
            terms.append(self.against_queue(query, key, system, batch))
        if self.settings.bank in ("cooperation", "ambiguity"):
            assert harder is not None
            terms.append(info_nce(query, key, harder, self.contrast.temperature))
        return torch.stack(terms).sum()

    def _across(self, query: dict[str, Tensor], key: dict[str, Tensor], batch: Tensor) -> Tensor:
        """Eq. 10: the Cartesian key guides the spherical query; with ``cross=both`` each guides the other."""
        if self.settings.cross == "guide":
            return self.against_queue(query["spherical"], key["cartesian"], "spherical", batch)
        there = self.against_queue(query["cartesian"], key["spherical"], "spherical", batch)
        return there + self.against_queue(query["spherical"], key["cartesian"], "cartesian", batch)
