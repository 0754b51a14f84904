"""AMDL and ALR around the label stage: one epoch's features to the targets of its training steps (METHOD 3 and 4)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor
from torch.nn import functional as F

from airfast.checkpoint import TrainingState
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.labels import LabelSet, generate_labels
from airfast.methods.air import Targets
from airfast.optimiser import refresh_heads


@dataclass(frozen=True)
class EpochLabels:
    """The discrete labels of one epoch, for the training clips."""

    labels: Tensor  # (N,) int64; −1 is noise
    agreement: Tensor  # (N,) float32
    clusters: int
    found: LabelSet  # as the label stage gave them, before ``outliers`` is applied

    def of(self, clips: Tensor) -> Targets:
        """The targets of a batch of clips (B,)."""
        return Targets(self.labels[clips], self.agreement[clips], self.clusters)


def known_nuisance(motion: MotionSet, kind: str, device: torch.device) -> Tensor | None:
    """The action or the person of every clip as (N,) int64, where clusters are not to follow it; None otherwise."""
    if kind == "none":
        return None
    known = motion.groups if kind == "group" else motion.subjects
    if "" in known:
        raise InputError(f"cluster.centre={kind}: the {kind} of clip {motion.names[known.index('')]} is not known")
    return torch.from_numpy(np.unique(known, return_inverse=True)[1]).to(device)


def centred(features: Tensor, nuisance: Tensor) -> Tensor:
    """Features (N, D) minus the mean of the clips that share their nuisance (N,).

    The mean counts one clip more, at the mean of all: a clip that is alone keeps half of what sets it apart.
    """
    features = features - features.mean(dim=0)
    count = torch.bincount(nuisance) + 1
    sums = features.new_zeros(len(count), features.shape[1]).index_add_(0, nuisance, features)
    return features - (sums / count[:, None])[nuisance]


def discrete_labels(state: TrainingState, features: dict[str, Tensor], nuisance: Tensor | None = None) -> EpochLabels:
    """Cluster, refine, and restart the heads on the clusters (METHOD 3 and Eq. 1).

    Args:
        state: its heads and their optimiser state restart, unless fewer than two clusters were found.
        features: y_s (N, D) of every scale, of all training clips.
        nuisance: (N,) int64, what the label stage is to be blind to; None for nothing.
    """
    config = state.method.config
    k1, k2 = config.cluster.neighbours(len(features["x"]))
    seen = features if nuisance is None else {scale: centred(each, nuisance) for scale, each in features.items()}
    unit = {scale: F.normalize(each, dim=1) for scale, each in seen.items()}
    found = generate_labels(
        state.method.clustered(seen),
        (unit["x"], unit[config.appendage]) if config.alr.enabled and config.appendage else None,
        metric=config.cluster.metric,
        eps=config.cluster.eps,
        min_samples=config.cluster.min_samples,
        k1=k1,
        k2=k2,
        agreement_k=min(config.alr.k, len(features["x"]) - 1),
        backend=config.cluster.backend,
    )
    labels, clusters = found.labels, found.num_clusters
    if config.cluster.outliers == "singleton":
        noise = labels < 0
        labels = torch.where(noise, clusters + noise.cumsum(0) - 1, labels)
        clusters += int(noise.sum())
    if clusters < 2:
        return EpochLabels(labels, found.agreement, 0, found)
    state.method.restart_heads(features, labels, clusters)
    refresh_heads(state.method, state.optimiser)
    return EpochLabels(labels, found.agreement, clusters, found)


def describe_labels(labels: EpochLabels | None, motion: MotionSet) -> dict[str, Any]:
    """Clusters, noise, agreement, and the adjusted mutual information of clusters with classes and groups."""
    if labels is None:
        return {}
    found = labels.found
    facts: dict[str, Any] = {
        "clusters": found.num_clusters,
        "noise_share": found.noise_share,
        "mean_agreement": found.mean_agreement,
    }
    assigned = found.labels.tolist()
    if (motion.labels >= 0).all():
        facts["ami_class"] = float(adjusted_mutual_info_score(motion.labels, assigned))
    if len(set(motion.groups)) > 1:
        facts["ami_group"] = float(adjusted_mutual_info_score(motion.groups, assigned))
    return facts
