"""A network that gives one feature a clip."""

from torch import nn


class Backbone(nn.Module):
    """Readings of clips (B, 3, T, J) to features (B, width).

    Attributes:
        width: D, entries of a feature.
    """

    width: int
