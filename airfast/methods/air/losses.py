"""Equations 2 to 7 as functions of tensors (METHOD 4 and 5).

Logits are (B, C): a column for each of the K clusters, and −inf in every column that stands for none. The shape is that
of the head and not of the epoch, so that a new K changes no shape on the device; without −inf, C is K.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values (B,) where mask (B,) is true; 0 where it is true nowhere."""
    # where, not multiplication: a masked row may hold anything and must neither count nor leak a gradient.
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def log_probabilities(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, C) to log q (B, C), 0 in columns that stand for no cluster, and K (B,), the number of those that do.

    A finite filling, since −inf·0 is not a number, in a product and in its gradient.
    """
    absent = logits.isneginf()
    return F.log_softmax(logits, dim=1).masked_fill(absent, 0.0), (~absent).sum(dim=1, dtype=logits.dtype)


def appendage_loss(logits: Tensor, labels: Tensor, agreement: Tensor) -> Tensor:
    """Eq. 2: mean_i [ S·CE(Y_h, q) + (1−S)·KL(u ‖ q) ], u uniform over the clusters.

    Args:
        logits: (B, C) of the appendage head; q is their softmax.
        labels: (B,) int64 hard labels, −1 for noise, which does not count.
        agreement: (B,) S in [0, 1].
    """
    log_q, clusters = log_probabilities(logits)
    cross_entropy = -log_q.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    divergence = -log_q.sum(dim=1) / clusters - clusters.log()
    return masked_mean(agreement * cross_entropy + (1 - agreement) * divergence, labels >= 0)


def refined_loss(logits: Tensor, appendage_logits: Tensor, labels: Tensor, agreement: Tensor) -> Tensor:
    """Eq. 3: the cross-entropy of X against S·q_HA + (1−S)·onehot(Y_h), q_HA held constant.

    Args:
        logits: (B, C) of the head of X.
        appendage_logits: (B, C) of the head of HA; no gradient flows into them.
        labels: (B,) int64, −1 for noise, which does not count.
        agreement: (B,) S in [0, 1].
    """
    log_q, _ = log_probabilities(logits)
    hard = -log_q.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    soft = -(appendage_logits.detach().softmax(dim=1) * log_q).sum(dim=1)
    return masked_mean(agreement * soft + (1 - agreement) * hard, labels >= 0)


def hard_label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy against the hard labels alone, as both heads are trained without ALR."""
    log_q = F.log_softmax(logits, dim=1)
    return masked_mean(-log_q.gather(1, labels.clamp(min=0)[:, None])[:, 0], labels >= 0)


def intra_loss(singles: Sequence[Tensor], multis: Sequence[Tensor]) -> Tensor:
    """What Eq. 5 sums over the scales: Σ_m MSE(z_m^single, z_m^{s,multi}).

    Args:
        singles: a projection (B, Z) a modality m.
        multis: a projection (B, Z) a modality, of the multi feature of a scale s.
    """
    return torch.stack([F.mse_loss(one, many) for one, many in zip(singles, multis, strict=True)]).sum()


def inter_loss(singles: Sequence[Tensor]) -> Tensor:
    """Eq. 6: Σ_m MSE(z_m, mean_m z_m), minimised; identically 0 for one modality.

    Args:
        singles: a projection (B, Z) a modality.
    """
    stacked = torch.stack(list(singles))  # (M, B, Z)
    return (stacked - stacked.mean(dim=0)).square().mean(dim=(1, 2)).sum()


def variance_covariance(projections: Sequence[Tensor], nuisance: Tensor) -> Tensor:
    """Σ_z 5·mean(relu(1 − √(var + 1e-4))) + Σ offdiag(cov)² / Z, the terms that keep z from collapsing.

    The squared Frobenius norm of the covariance ZᵀZ (Z × Z) equals that of the Gram matrix Z·Zᵀ (B × B), so its
    off-diagonal part costs B²·Z and not B·Z²: 32 times less at batch 128 and Z = 4,096.

    Variance and covariance are taken about the mean of the samples that share a nuisance, a known action say: what
    merely tells actions apart does not count as variance, and z must spread over what else there is. One nuisance for
    all samples is the usual form.

    Args:
        projections: the (B, Z) projections to hold apart, B ≥ 2.
        nuisance: (B,) int64.

    Source: VICReg (Bardes et al., ICLR 2022), weights as in UmURL (METHOD 5); the centring is ours (METHOD 8).
    """
    total = projections[0].new_zeros(())
    same = (nuisance[:, None] == nuisance).to(total.dtype)
    averaging = same / same.sum(dim=1)  # (B, B): row i gives the mean of the samples that share the nuisance of i
    degrees = (len(nuisance) - averaging.trace()).clamp(min=1)  # samples less means taken
    for z in projections:
        centred = z - averaging @ z
        variance = centred.square().sum(dim=0) / degrees
        gram = centred @ centred.T / degrees
        off_diagonal = (gram.square().sum() - variance.square().sum()) / z.shape[1]
        total = total + 5 * F.relu(1 - torch.sqrt(variance + 1e-4)).mean() + off_diagonal
    return total
