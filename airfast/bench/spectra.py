"""How features lie: over how many directions they spread, and how near a row's neighbours are to each other.

What a search costs hangs on both. A bound by leading directions needs a steep spectrum; a search in low precision has
to compare again whatever lies within its error of a row's k-th neighbour.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.labels.features import unit_rows

K = 30  # k1 of the label stage, the row itself among them
ROWS = 2_000  # whose neighbours are looked at
BFLOAT16 = 0.0036  # what two rows rounded to bfloat16 can be off by in similarity, about 0.0018 each


def shape(features: torch.Tensor) -> dict[str, float]:
    """Figures of (N, D) features, N > 30, whose rows are brought to unit length; neighbours are those of 2,000 rows.

    Returns:
        mean: length of the mean row, 1 where all point one way.
        directions, directions_90, directions_99: of the centred rows, (Σλ)² / Σλ² of the eigenvalues λ of their
        covariance, and how many leading ones hold 90 and 99 % of the variance.
        random, nearest, kth: medians of the cosine similarity to any row, the nearest other and the 29th.
        gap, last_gap: medians of nearest − 29th, and of 29th − 30th.
        near_kth: mean number of rows within BFLOAT16 of the 29th, beyond the 29.
    """
    unit = unit_rows(features, "features").numpy()
    centre = unit.mean(0)
    values = spectrum(unit)
    held = np.cumsum(values) / values.sum()
    some = unit[np.linspace(0, len(unit) - 1, min(ROWS, len(unit))).astype(np.int64)]
    similarity = -np.sort(-(some @ unit.T), axis=1)[:, 1:]  # without the row itself
    kth = similarity[:, K - 2]
    within = (similarity >= kth[:, None] - BFLOAT16).sum(1) - (K - 1)
    return {
        "mean": float(np.linalg.norm(centre)),
        "directions": float(values.sum() ** 2 / (values**2).sum()),
        "directions_90": int(np.searchsorted(held, 0.90)) + 1,
        "directions_99": int(np.searchsorted(held, 0.99)) + 1,
        "random": float(np.median(similarity)),
        "nearest": float(np.median(similarity[:, 0])),
        "kth": float(np.median(kth)),
        "gap": float(np.median(similarity[:, 0] - kth)),
        "last_gap": float(np.median(kth - similarity[:, K - 1])),
        "near_kth": float(within.mean()),
    }


def spectrum(unit: NDArray[np.float32]) -> NDArray[np.float64]:
    """Eigenvalues of the covariance of (N, D) rows, from the largest on."""
    centred = unit - unit.mean(0)
    values: NDArray[np.float64] = np.linalg.eigvalsh((centred.T @ centred / len(unit)).astype(np.float64))[::-1]
    return values.clip(min=0)
