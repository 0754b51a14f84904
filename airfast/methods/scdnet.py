"""SCD-Net (Wu et al., AAAI 2024): a clue of time and a clue of space, each held against both together.

One encoder gives a temporal and a spatial clue; both side by side are the global anchor. A query of a clue is to find
the anchor's key, a query of the anchor the key of either clue, never a clue its own. Views lose joints that hang
together, and runs of frames. What the paper leaves open is decided in FAMILY 7; one modality is read.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from airfast.config import Config
from airfast.data import recipes
from airfast.data.augment import neighbourhood
from airfast.data.dataset import DeviceClips
from airfast.methods.contrast import Contrastive, follower, head
from airfast.methods.method import plain
from airfast.methods.shared_batch import through
from airfast.models.ctrgcn import DualEncoder
from airfast.models.deployed import AModality
from airfast.skeletons.layout import Layout

CLUES = ("t", "s", "i")  # temporal, spatial, both


class SCDNetEncoder(AModality):
    """Both clues side by side: 2H entries."""

    def __init__(self, config: Config, layout: Layout) -> None:
        frames, hidden, heads = config.inputs.frames, config.model.hidden, config.scd.heads
        super().__init__(config, layout, lambda: DualEncoder(layout, frames, hidden, heads))


class Clues(nn.Module):
    """An encoder with a head a clue: readings (B, 3, T, J) to unit rows (B, dim) by clue."""

    def __init__(self, encoder: nn.Module, heads: nn.ModuleDict) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads

    def forward(self, readings: Tensor) -> dict[str, Tensor]:
        """Of the temporal, of the spatial clue, and of both."""
        assert isinstance(self.encoder, DualEncoder)
        temporal, spatial = (each.float() for each in self.encoder.clues(readings))
        features = {"t": temporal, "s": spatial, "i": torch.cat([temporal, spatial], dim=1)}
        with torch.autocast(readings.device.type, enabled=False):
            return {each: F.normalize(self.heads[each](feature), dim=1) for each, feature in features.items()}


class SCDNet(Contrastive):
    """SCD-Net.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    longest = 8192

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, SCDNetEncoder(config, layout), CLUES)
        hidden, dim = config.model.hidden, self.contrast.dim
        widths = {"t": hidden, "s": hidden, "i": 2 * hidden}
        self.heads = nn.ModuleDict({each: head(width, dim, hidden) for each, width in widths.items()})
        (self.modality,) = config.modalities
        self.followers["clues"] = follower(self.leader("clues"))
        self.register_buffer("near", neighbourhood(layout.parents), persistent=False)
        self.near: Tensor
        self.general = recipes.cropped_and_turned if config.inputs.augmentation == "method" else plain
        self.views = (self._view, self._view)

    def leader(self, name: str) -> Clues:
        """The encoder with its heads."""
        return Clues(self.deployed.networks[self.modality], self.heads)

    def _view(self, clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
        """An ordinary view behind the masks that ``scd.masks`` names."""
        return recipes.masked(self.general(clips, batch, generator), self.near, self.config.scd.masks, generator)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """Four terms: either clue against the anchor, the anchor against either clue (Eq. 6 and 7).

        Args:
            views: (B, C, T, J), of the queries and of the keys.
            batch: (B,) int64, the clips.
        """
        with self.autocast(views[0]):
            first, second = (self.deployed.read(view, self.modality) for view in views)
            query = through(self.ranks, self.leader("clues"), first)
            with torch.no_grad():
                key = through(self.ranks, self.followers["clues"], second)
        self.kept = batch, key
        against = partial(self._term, query, key, batch)
        return {"ti": against("t", "i"), "si": against("s", "i"), "it": against("i", "t"), "is": against("i", "s")}

    def _term(self, query: dict[str, Tensor], key: dict[str, Tensor], batch: Tensor, ours: str, other: str) -> Tensor:
        return self.against_queue(query[ours], key[other], other, batch)
