"""All pairs of rows within a Euclidean radius on a CUDA device; CPU twin: ../cpu/near.py."""

from collections.abc import Iterator

import torch

from airfast.labels.cuda.blocks import by_rows
from airfast.labels.cuda.candidates import products
from airfast.labels.seam import EPS_SLACK, Edges, error_bound


def near_pairs(rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
    """Blocks of float32 products rule out what is certainly further; the rest is measured in float64.

    |x|² + |y|² − 2x·y loses less than `slack` of |x|² + |y|²: the product its bound, the squares and sums an ulp each.
    """
    n, d = rows.shape
    scale = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).max().clamp_min(1e-300)
    scaled = (rows / scale).float()  # products of large features must not overflow
    slack = 4 * error_bound(d) + 2.0**-21
    least = torch.linalg.vector_norm(scaled, dim=1, dtype=torch.float64).square().mul(1 - slack).float()
    limit = float((radius / scale) ** 2 * (1 + 1e-6))
    some = max(1, (1 << 26) // (24 * d))  # pairs measured at once: 64 MB of rows and their difference in float64

    def block(first: int, last: int) -> Edges:
        apart = products(scaled[first:last], scaled).mul_(-2).add_(least[first:last, None]).add_(least)
        row, col = (apart <= limit).nonzero().T
        row += first
        row, col = row[row < col], col[row < col]
        distance = torch.cat([_distance(rows, *part) for part in zip(row.split(some), col.split(some), strict=True)])
        within = distance <= radius * (1 + EPS_SLACK)
        return Edges(row[within].int(), col[within].int(), distance[within].float())

    return by_rows(n, 24 * n, memory_mb, block)


def _distance(rows: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    distance: torch.Tensor = torch.linalg.vector_norm(rows[left].double() - rows[right].double(), dim=1)
    return distance
