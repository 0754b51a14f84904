"""AMDL and ALR around the label stage: one epoch's features to its discrete labels (METHOD 3 and Eq. 1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from airfast.config import AirSettings
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.labels import LabelSet, generate_labels
from airfast.labels.stability import stability
from airfast.labels.statistics import adjusted_mutual_information, contingency, describe_frame
from airfast.models.heads import sums_by_label
from airfast.ranks import Ranks


@dataclass(frozen=True)
class EpochLabels:
    """The discrete labels of one epoch, for the training clips."""

    labels: Tensor  # (N,) int64; −1 is noise
    agreement: Tensor  # (N,) float32
    clusters: int  # 0 where fewer than two were found: there is nothing to tell apart
    found: LabelSet  # as the label stage gave them, before ``outliers`` is applied


def known_nuisance(motion: MotionSet, kind: str, device: torch.device) -> Tensor | None:
    """The action or person of every clip as (N,) int64, where features are not to follow it; None otherwise."""
    if kind == "none":
        return None
    known = motion.groups if kind == "group" else motion.subjects
    if "" in known:
        clip = motion.names[known.index("")]
        raise InputError(f"air.nuisance={kind}: the {kind} of clip {clip} is not known; -o air.nuisance=none")
    return codes(known, device)


def centred(features: Tensor, nuisance: Tensor) -> Tensor:
    """Features (N, D) standardised, column by column, within the clips that share their nuisance (N,).

    An action moves the mean of a feature and sets how far it can vary at all; both would be what clusters follow.
    The mean counts one clip more, at the mean of all: a clip that is alone keeps half of what sets it apart. The
    variance counts eight more, of the variance about those means over all clips.
    """
    features = features - features.mean(dim=0)
    count = torch.bincount(nuisance)[:, None]  # (groups, 1)
    features = features - (sums_by_label(features, nuisance, len(count)) / (count + 1))[nuisance]
    squares = features.square()
    variance = (sums_by_label(squares, nuisance, len(count)) + 8 * squares.mean(dim=0)) / (count + 8)
    return features * torch.where(variance > 0, variance.rsqrt(), 0.0)[nuisance]


def clustered(settings: AirSettings, features: dict[str, Tensor], nuisance: Tensor | None = None) -> Tensor:
    """What the label stage clusters: the unit-norm y_s side by side, divided by √3 (or y_X alone), (N, D)."""
    scales = settings.scales if settings.cluster.feature == "concat" else ("x",)
    units = [F.normalize(seen(features[scale], nuisance).float(), dim=1) for scale in scales]
    return torch.cat(units, dim=1).div(len(units) ** 0.5)


def seen(features: Tensor, nuisance: Tensor | None) -> Tensor:
    """Features (N, D) as the label stage sees them: centred by what it is to be blind to, if there is such."""
    return features if nuisance is None else centred(features, nuisance)


def cluster(
    settings: AirSettings, features: dict[str, Tensor], nuisance: Tensor | None = None, group: Any = None
) -> LabelSet:
    """The label stage on features y_s (N, D) of every scale, as a configuration says (METHOD 3 and Eq. 1).

    The processes of a ``group``, each with the same features, share the work.

    Where eps is auto it is that of 0.4 to 0.8 at which these features' labels change least (:func:`airfast.stability`).
    """
    k1, k2 = settings.cluster.neighbours(len(features["x"]))
    appendage, eps = settings.appendage if settings.alr.enabled else None, settings.cluster.eps
    views = (seen(features["x"], nuisance), seen(features[appendage], nuisance)) if appendage else None
    rows = clustered(settings, features, nuisance)
    if group is not None:  # processors of several kinds may have rounded differently
        for each in (rows, *(views or ())):
            Ranks(group).tell(each, 0)
    options: dict[str, Any] = {
        "view": views,
        "min_samples": settings.cluster.min_samples,
        "k1": k1,
        "k2": k2,
        "agreement_k": min(settings.alr.k, len(rows) - 1),
        "dbscan": settings.cluster.dbscan,
        "backend": settings.cluster.backend,
        "group": group,
    }
    if eps == "auto":
        return stability(rows, **options).chosen
    return generate_labels(rows, metric=settings.cluster.metric, eps=eps, **options)


def discrete_labels(
    settings: AirSettings, features: dict[str, Tensor], nuisance: Tensor | None = None, group: Any = None
) -> EpochLabels:
    """The labels of an epoch: those of :func:`cluster`, with noise as ``outliers`` says.

    Args:
        settings: the section ``air`` of the configuration.
        features: y_s (N, D) of every scale, of all training clips.
        nuisance: (N,) int64, what the label stage is to be blind to; None for nothing.
        group: of processes that share the work; None for one alone.
    """
    found = cluster(settings, features, nuisance, group)
    labels, clusters = found.labels, found.num_clusters
    if settings.cluster.outliers == "singleton":
        noise = labels < 0
        labels = torch.where(noise, clusters + noise.cumsum(0) - 1, labels)
        clusters += int(noise.sum())
    return EpochLabels(labels, found.agreement, clusters if clusters >= 2 else 0, found)


class LabelLog:
    """What the log says of each epoch's labels; classes and groups stay on the device, as do the labels themselves.

    Mutual information is over the clips whose class, or whose group, is known.

    Args:
        motion: the training clips.
        device: where the labels will be.
    """

    def __init__(self, motion: MotionSet, device: torch.device) -> None:
        groups = np.unique(motion.groups, return_inverse=True)[1] - ("" in motion.groups)  # unknown: -1
        self.known: dict[str, tuple[Tensor, Tensor]] = {}
        for name, values in (("ami_class", motion.labels), ("ami_group", groups)):
            known = np.flatnonzero(values >= 0)
            if len(known) and (name == "ami_class" or len(np.unique(values[known])) > 1):
                self.known[name] = torch.from_numpy(known).to(device), codes(values[known], device)

    def describe(self, found: LabelSet, before: Tensor | None = None) -> dict[str, Any]:
        """Clusters, noise, agreement, what changed, and the adjusted mutual information with classes and groups.

        Args:
            found: labels of the N clips.
            before: (N,) labels of the epoch before; None where there are none.
        """
        facts: dict[str, Any] = describe_frame(found.to_frame(**({} if before is None else {"before": before})))
        for name, (clips, known) in self.known.items():
            facts[name] = adjusted_mutual_information(contingency(known, found.labels[clips], found.num_clusters))
        return facts


def label_quality(found: LabelSet, motion: MotionSet) -> dict[str, Any]:
    """What the log says, of any labels of the clips of a set."""
    return LabelLog(motion, found.labels.device).describe(found)


def codes(names: Any, device: torch.device) -> Tensor:
    """(N,) int64: names numbered in their order."""
    return torch.from_numpy(np.unique(names, return_inverse=True)[1]).to(device)
