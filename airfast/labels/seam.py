"""The one seam of the label stage: what a device must offer, and what crosses between its steps.

Similarities and weights cross the seam as fixed-point integers. Integer sums do not depend on their order, so labels
are the same bits for every number of threads, every memory limit and every device. A similarity itself is such a sum:
entries of unit rows in steps of 2⁻³⁰ have products whose sum stays within 2⁶⁰ (Cauchy-Schwarz), exact in 64 bits.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

SIMILARITY_BITS = 30  # a similarity of 1.0 is 2**30: finer than float32 near 1, and it fits int32
LOW = 0x7FFFFFFF  # a key holds a similarity above it, and below LOW less the index: of equal ones the first is larger
FINE = 2.0**40  # steps of exp(−d), so that its sum over a row is exact in any order
EPS_SLACK = 1e-7  # two distances closer than this are the same: rounding must not decide d ≤ eps


@dataclass(frozen=True)
class Neighbours:
    """The k nearest rows of each row, nearest first, itself included and always first; ties by index.

    index: (N, k) int32. similarity: (N, k) int32, the inner product in steps of 2**-SIMILARITY_BITS, of unit rows whose
    entries are rounded to the same steps (ties to even).
    recall: the share of the true neighbours found, measured on a sample of rows; None for an exact search.
    """

    index: torch.Tensor
    similarity: torch.Tensor
    recall: float | None = None


@dataclass(frozen=True)
class Encoding:
    """V after local query expansion as sparse rows; a row's weights sum to about `one`.

    indptr: (N+1,) int64. columns: (nnz,) int32. weights: (nnz,) int32, the weight times `one`.
    """

    indptr: torch.Tensor
    columns: torch.Tensor
    weights: torch.Tensor
    one: int


@dataclass(frozen=True)
class Edges:
    """Some of the pairs with distance ≤ eps, each pair once: row < col, both (E,) int32; distance (E,) float32.

    overlap: (E,) int32, Σ min of a Jaccard distance in fixed point, of which alone it is decided what is within eps.
    """

    row: torch.Tensor
    col: torch.Tensor
    distance: torch.Tensor
    overlap: torch.Tensor | None = None

    def within(self, least: int) -> "Edges":
        """Those of the pairs that overlap by at least so much."""
        assert self.overlap is not None
        return self.where(self.overlap >= least)

    def where(self, kept: torch.Tensor) -> "Edges":
        """Those of the pairs that an (E,) bool names."""
        overlap = None if self.overlap is None else self.overlap[kept]
        return Edges(self.row[kept], self.col[kept], self.distance[kept], overlap)


@dataclass(frozen=True)
class Clusters:
    """DBSCAN's answer: labels (N,) int64 with -1 for noise, core (N,) bool."""

    labels: torch.Tensor
    core: torch.Tensor


class Backend(Protocol):
    """What a device must offer. All tensors stay on `device`."""

    name: str
    device: torch.device

    def knn(self, unit: torch.Tensor, k: int, method: str, memory_mb: int) -> Neighbours:
        """Neighbours of (N, D) float32 unit rows among themselves; method exact, hnsw or ivf; k ≤ N."""
        ...

    def dots(self, unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Fixed-point inner products of pairs of unit rows, left and right (P,) int64: (P,) int64."""
        ...

    def encode(self, unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
        """METHOD 3.3–3.5: reciprocal sets, their expansion, softmax weights, local query expansion."""
        ...

    def edges(self, encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
        """METHOD 3.6: every pair with Jaccard distance ≤ eps, in blocks that respect the memory limit."""
        ...

    def near(self, rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
        """Every pair of (N, D) float32 rows within a Euclidean radius (to a relative EPS_SLACK), in blocks likewise."""
        ...

    def cluster(self, edges: Iterable[Edges], n: int, min_samples: int) -> Clusters:
        """METHOD 3.7: DBSCAN on the pairs within eps; a point counts among its own neighbours."""
        ...

    def agree(self, first: Neighbours, second: Neighbours, k: int) -> torch.Tensor:
        """Eq. 1: intersection over union of the k neighbours after the row itself, (N,) float32; 1.0 for k = 0."""
        ...


def half_set(k1: int) -> int:
    """Size of the half set of METHOD 3.2, the row itself included."""
    return min(round(k1 / 2) + 1, k1)


def fixed_dots(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Inner products of unit rows (…, D) on the fixed-point grid, (…) int64; as cpu/select.fixed_dot, by torch."""
    one, other = ((rows.double() * 2.0**SIMILARITY_BITS).round().long() for rows in (left, right))
    return ((one * other).sum(dim=-1) + (1 << (SIMILARITY_BITS - 1))) >> SIMILARITY_BITS


def starts(row: torch.Tensor, n: int) -> torch.Tensor:
    """(N+1,) int64: where each of n rows begins, of the rows of entries (E,) in rising order."""
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=row.device)
    indptr[1:] = torch.bincount(row, minlength=n).cumsum(0)
    return indptr


def soft_weights(row: torch.Tensor, similarity: torch.Tensor, rows: int, scale: int) -> torch.Tensor:
    """METHOD 3.4: softmax of −d within each row, times `scale`, (E,) float64 whole numbers; entries in any order.

    row: (E,) int64, below `rows`. similarity: (E,) fixed point; d = 2 − 2s.
    """
    soft = torch.exp(2 * (similarity.double() / 2.0**SIMILARITY_BITS - 1)).mul(FINE).long()
    total = torch.zeros(rows, dtype=torch.int64, device=row.device).index_add_(0, row, soft)
    return (soft.double() / total[row] * scale).round()


def grid_error(d: int) -> float:
    """How far the fixed-point inner product of unit rows of length d can be from the true one.

    Entries are rounded to half a step, |q_a·q_b − a·b| ≤ ½·2⁻³⁰·(‖a‖₁ + ‖b‖₁) with ‖·‖₁ ≤ √d, the product to another.
    """
    return (1.01 * math.sqrt(d) + 0.5) * 2.0**-SIMILARITY_BITS


def error_bound(d: int) -> float:
    """How far a float32 inner product of unit rows of length d can be from the fixed-point one (about d·2⁻²⁴)."""
    return 1.01 * (d + 2) * 2.0**-24 + grid_error(d)


def smallest_overlap(eps: float, one: int) -> int:
    """The least Σ min, in fixed point, of a pair within eps: d = 1 − m/(2−m) ≤ eps ⇔ m ≥ 2(1−eps)/(2−eps)."""
    within = eps + EPS_SLACK
    return max(1, math.ceil(2 * (1 - within) / (2 - within) * one))
