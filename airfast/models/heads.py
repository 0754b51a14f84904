"""What stands on the encoder while it pre-trains and is left behind when it is deployed (METHOD 2)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from airfast.errors import InputError


class Projector(nn.Sequential):
    """D→D→D→Z with BatchNorm and ReLU on the first two: (B, D) to (B, Z), or G batches at once."""

    def __init__(self, width: int, projection: int) -> None:
        super().__init__(
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, projection),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, Z), or (G, B, D) to (G, B, Z): one product for all G, each normalised by its own statistics."""
        for layer in self:
            apart = features.ndim == 3 and isinstance(layer, nn.BatchNorm1d)
            features = torch.stack([layer(each) for each in features.unbind()]) if apart else layer(features)
        return features


class ClusterHead(nn.Module):
    """BatchNorm neck (bias frozen) and a bias-free Linear with more rows than there are clusters.

    A hidden layer before them (D→D, BatchNorm, ReLU, D→D) keeps the clusters' labels from flattening the feature itself
    to the few directions that tell clusters apart; the paper has none.

    Rows beyond the clusters of an epoch are zero and stay so: no gradient reaches them, and there is nothing to decay.

    Args:
        width: D, entries of a feature.
        capacity: C, rows kept for clusters. "auto" starts with 128 and grows by multiples of 128, so that the shapes
            of a training step seldom change; a number is final.
        hidden: whether there is a hidden layer.
    """

    def __init__(self, width: int, capacity: int | Literal["auto"], hidden: bool = False) -> None:
        super().__init__()
        layers = (nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))
        self.hidden = nn.Sequential(*(layers if hidden else ()))
        self.grows = capacity == "auto"
        self.neck = nn.BatchNorm1d(width)
        self.neck.bias.requires_grad_(False)
        self.weight = nn.Parameter(torch.zeros(128 if capacity == "auto" else capacity, width))

    def forward(self, features: Tensor, clusters: int | Tensor) -> Tensor:
        """Features (B, D) to logits (B, C), −inf beyond the first ``clusters``, which may be a tensor of the device."""
        beyond = torch.arange(len(self.weight), device=self.weight.device) >= clusters
        return F.linear(self.neck(self.hidden(features)), self.weight).masked_fill(beyond, -torch.inf)

    def resize(self, clusters: int) -> None:
        """Make room for so many clusters; raises InputError where the capacity is a fixed number and too small."""
        capacity, width = self.weight.shape
        if clusters <= capacity:
            return
        if not self.grows:
            raise InputError(f"model.capacity: {capacity} rows cannot hold {clusters} clusters; use auto or more rows")
        self.weight = nn.Parameter(self.weight.new_zeros(-(-clusters // 128) * 128, width))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Make room for saved rows: a head that has grown is loaded into one that has not."""
        saved = state_dict.get(f"{prefix}weight")
        self.resize(0 if saved is None else len(saved))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @torch.no_grad()
    def restart(self, features: Tensor, labels: Tensor, clusters: int) -> None:
        """Set the first rows to the unit-norm centroids of this epoch's clusters, seen through the neck, others to 0.

        The neck's running statistics are set to those of all features too: logits start as similarities to the
        centroids in the space where the head will read them, and not in one that lags an epoch behind.

        Args:
            features: (N, D) float, every sample's feature in eval mode.
            labels: (N,) int64 in 0..clusters−1, −1 for noise.
            clusters: number of clusters.
        """
        self.resize(clusters)
        features = self.hidden(features)
        variance, mean = torch.var_mean(features, dim=0)
        assert self.neck.running_mean is not None
        assert self.neck.running_var is not None
        self.neck.running_mean.copy_(mean)
        self.neck.running_var.copy_(variance)
        normed = (features - mean) * torch.rsqrt(variance + self.neck.eps) * self.neck.weight
        self.weight.copy_(F.normalize(sums_by_label(normed, labels, len(self.weight)), dim=1))


def sums_by_label(rows: Tensor, labels: Tensor, count: int) -> Tensor:
    """Rows (N, D) summed by their label in 0..count−1, others left out: (count, D).

    Sorted, and each sum taken in order: adding where labels point would give other bits in every run on a GPU.
    """
    ranked, order = labels.sort(stable=True)
    starts = torch.searchsorted(ranked, torch.arange(count + 1, device=labels.device))
    # unsafe: its checks would read the offsets on the host
    return torch.segment_reduce(rows[order], "sum", offsets=starts, axis=0, unsafe=True, initial=0.0)
