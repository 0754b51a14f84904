"""ISC, "Skeleton Contrast" (Thoker et al., MM 2021): contrast between two representations of one clip.

The clip as a sequence (a recurrent network), as a graph (A-GCN) or as an image (HCN): a query of one representation is
to find the clip's key of the other among keys of the other. Joints alone are read. What the paper leaves open is
decided in FAMILY 8.
"""

from collections.abc import Sequence

from torch import Tensor

from airfast.config import Config
from airfast.methods.contrast import NetworkContrast
from airfast.methods.method import plain
from airfast.models.agcn import AGCN
from airfast.models.backbone import Backbone
from airfast.models.bigru import BiGRU
from airfast.models.deployed import SideBySide
from airfast.models.hcn import HCN
from airfast.skeletons.layout import Layout


def network(name: str, config: Config, layout: Layout) -> Backbone:
    """The network of a representation: seq, graph or image."""
    if name == "seq":
        return BiGRU(layout, config.bigru.hidden, config.bigru.reverse, config.isc.input_norm)
    if name == "graph":
        return AGCN(layout, None, hidden=config.model.hidden)
    return HCN(layout, config.inputs.frames)


class ISCEncoder(SideBySide):
    """The first of the pair, the second, or both side by side."""

    def __init__(self, config: Config, layout: Layout) -> None:
        super().__init__(config, layout, {each: network(each, config, layout) for each in config.isc.deployed})


class ISC(NetworkContrast):
    """ISC; with one representation, its contrast with itself.

    Args:
        config: the run's configuration.
        layout: the skeleton.
    """

    longest = 16_384
    views = (plain, plain)

    def __init__(self, config: Config, layout: Layout) -> None:
        pair = config.isc.representations
        aside = {each: network(each, config, layout) for each in pair if each not in config.isc.deployed}
        super().__init__(config, ISCEncoder(config, layout), aside, pair)

    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """A term a query: keys and negatives are of the other representation (Eq. 2 and 3).

        Args:
            views: (B, C, T, J), of the queries and of the keys.
            batch: (B,) int64, the clips.
        """
        query, key = self.embedded(views, batch)
        others = tuple(reversed(self.names))
        pairs = zip(("first", "second"), self.names, others, strict=False)
        return {name: self.against_queue(query[ours], key[other], other, batch) for name, ours, other in pairs}
