"""How the labels change with eps: what is stable, sample by sample, and an eps in the middle of a plateau."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from airfast.errors import InputError
from airfast.labels.engine import generate_labels
from airfast.labels.result import LabelSet
from airfast.labels.statistics import adjusted_mutual_information, contingency

if TYPE_CHECKING:
    import pandas as pd

SWEEP = tuple(round(0.40 + 0.05 * step, 2) for step in range(9))  # 0.4 to 0.8, the range of AIR's Fig. 5


@dataclass(frozen=True)
class Stability:
    """Labels over rising eps.

    Attributes:
        table: a row an eps: eps, clusters, noise_share, ami_next (adjusted mutual information with the labels of the
            next eps, noise as one more of them; nan in the last row).
        sets: the labels of each eps.
        compactness: (E, N) float32, SpCL's R_comp: intersection over union of a sample's cluster with its cluster at
            the next smaller eps, a noise sample being a cluster of its own; nan in the first row. (Their code keeps one
            minus it.)
        independence: (E, N) float32, SpCL's R_indep: likewise with the next larger eps; nan in the last row.
        suggested: an eps at which the labels change least.
        reason: why that one, in one line.
    """

    table: "pd.DataFrame"
    sets: tuple[LabelSet, ...]
    compactness: Tensor
    independence: Tensor
    suggested: float
    reason: str

    @property
    def chosen(self) -> LabelSet:
        """The labels at the suggested eps."""
        return self.sets[list(self.table["eps"]).index(self.suggested)]


def stability(features: Any, eps: Sequence[float] = SWEEP, **options: Any) -> Stability:
    """Label features at several eps (one search, one encoding, one join) and say how far the labels agree.

    Args:
        features: (N, D), as of :func:`airfast.generate_labels`.
        eps: at least three different values of the Jaccard distance.
        options: others of :func:`airfast.generate_labels`; not metric.

    Source: R_comp and R_indep of SpCL (Ge et al., NeurIPS 2020, Eq. 7 and 8), there at eps ± 0.02.
    """
    radii = tuple(sorted(set(eps)))
    if len(radii) < 3:
        raise InputError(f"eps: expected at least three different values, found {len(radii)}")
    sets = generate_labels(features, eps=radii, **options)
    labels = [alone(each.labels) for each in sets]
    shared = [overlap(first, second) for first, second in pairwise(labels)]
    tables = (contingency(a.labels + 1, b.labels, b.num_clusters) for a, b in pairwise(sets))  # noise is one more
    agreed = [adjusted_mutual_information(table) for table in tables]
    unknown = torch.full_like(shared[0], torch.nan)
    import pandas as pd

    table = pd.DataFrame(
        {
            "eps": radii,
            "clusters": [each.num_clusters for each in sets],
            "noise_share": [each.noise_share for each in sets],
            "ami_next": [*agreed, np.nan],
        }
    )
    suggested, reason = plateau(table)
    return Stability(table, sets, torch.stack([unknown, *shared]), torch.stack([*shared, unknown]), suggested, reason)


def alone(labels: Tensor) -> Tensor:
    """Labels (N,) with every noise sample a cluster of its own."""
    noise = labels < 0
    return torch.where(noise, labels.max() + noise.cumsum(0), labels)


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """(N,) float32: intersection over union of the clusters that a sample is in by two labellings."""
    pair = first * (second.max() + 1) + second
    _, place, both = torch.unique(pair, return_inverse=True, return_counts=True)
    common = both[place]
    union: Tensor = torch.bincount(first)[first] + torch.bincount(second)[second] - common
    shared: Tensor = (common / union).float()
    return shared


def plateau(table: "pd.DataFrame") -> tuple[float, str]:
    """The inner eps of at least two clusters whose labels agree best with those of both its neighbours."""
    eps, clusters, agreed = (table[name].to_numpy() for name in ("eps", "clusters", "ami_next"))
    inner = [i for i in range(1, len(eps) - 1) if clusters[i] >= 2]
    if not inner:
        return float(eps[len(eps) // 2]), "no eps gives two clusters or more; the middle of those tried"
    best = max(inner, key=lambda i: (agreed[i - 1] + agreed[i], -abs(i - len(eps) // 2)))
    said = f"AMI {agreed[best - 1]:.2f} with {eps[best - 1]:g} and {agreed[best]:.2f} with {eps[best + 1]:g}"
    return float(eps[best]), f"labels change least there: {said}"
