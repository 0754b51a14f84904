"""The label stage on the CPU: Numba for everything that is exact, FAISS where an approximation is asked for."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numba import njit

from airfast.labels.cpu import approx, dbscan, jaccard, join, knn, near
from airfast.labels.cpu.select import fix, fixed_dot, settle
from airfast.labels.cpu.threads import runs, threads
from airfast.labels.seam import Clusters, Edges, Encoding, Neighbours


class CpuBackend:
    """Implements `Backend` for tensors on the CPU; twin of the CUDA backend."""

    name = "cpu"
    device = torch.device("cpu")

    def knn(self, unit: torch.Tensor, k: int, method: str, memory_mb: int) -> Neighbours:
        """The symmetric exact search, or a FAISS index whose recall is measured."""
        if method != "exact":
            index, similarity, recall = approx.approximate_knn(unit.numpy(), k, method)
            return Neighbours(torch.from_numpy(index), torch.from_numpy(similarity), recall)
        index, similarity = knn.exact_knn(unit.numpy(), k)
        return Neighbours(torch.from_numpy(index), torch.from_numpy(similarity))

    def dots(self, unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Pair by pair; those of one row after another are quickest."""
        out = torch.empty_like(left)
        shared = (unit.numpy(), left.numpy(), right.numpy(), out.numpy())
        with threads() as each:
            each(products_of_pairs, ((*run, *shared) for run in runs(len(left))))
        return out

    def encode(self, unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
        """Reciprocal sets, expansion, weights and query expansion in two counted passes each."""
        parts = jaccard.encode(unit.numpy(), neighbours.index.numpy(), neighbours.similarity.numpy(), k1, k2)
        indptr, columns, weights, one = parts
        return Encoding(torch.from_numpy(indptr), torch.from_numpy(columns), torch.from_numpy(weights), one)

    def edges(self, encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
        """The join over inverted lists."""
        sparse = (encoding.indptr.numpy(), encoding.columns.numpy(), encoding.weights.numpy())
        for row, col, overlap in join.join(*sparse, encoding.one, eps, memory_mb):
            yield as_edges(row, col, overlap, encoding.one)

    def near(self, rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
        """Tiles of products, measured again in float64."""
        for block in near.near_pairs(rows.numpy(), radius, memory_mb):
            yield Edges(*map(torch.from_numpy, block))

    def cluster(self, edges: Iterable[Edges], n: int, min_samples: int) -> Clusters:
        """Union-find over core pairs as they come."""
        labels, core = dbscan.cluster(((e.row.numpy(), e.col.numpy()) for e in edges), n, min_samples)
        return Clusters(torch.from_numpy(labels), torch.from_numpy(core))

    def agree(self, first: Neighbours, second: Neighbours, k: int) -> torch.Tensor:
        """Eq. 1 on the first k neighbours after the row itself."""
        n = len(first.index)
        share = np.ones(n, np.float32)
        shared = (first.index.numpy(), second.index.numpy(), k, share)
        with threads() as each:
            each(intersection_over_union, ((*run, *shared) for run in runs(n)))
        return torch.from_numpy(share)


def as_edges(row: join.Int, col: join.Int, overlap: join.Int, one: int) -> Edges:
    """Pairs with their distances, of what they overlap by."""
    m = overlap / one
    distance = np.maximum(0.0, 1 - m / (2 - m)).astype(np.float32)
    return Edges(*map(torch.from_numpy, (row, col, distance, overlap)))


def compiled() -> bool:
    """Whether the loops were compiled on this machine before."""
    folder = Path(str(settle.stats.cache_path))
    return any(folder.glob("select.settle-*.nbi"))


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def products_of_pairs(start, end, unit, left, right, out):  # type: ignore[no-untyped-def]
    """Fixed-point inner products of the pairs start to end."""
    fixed = np.empty(unit.shape[1], np.int32)
    for pair in range(start, end):
        if pair == start or left[pair] != left[pair - 1]:
            fix(unit[left[pair]], fixed)
        out[pair] = fixed_dot(fixed, unit[right[pair]])


@njit(nogil=True, cache=True)
def intersection_over_union(start, end, first, second, k, share):  # type: ignore[no-untyped-def]
    """Eq. 1 by comparing every pair of the two lists: k² of int32 is less work than any set."""
    for i in range(start, end):
        common = 0
        for a in range(1, k + 1):
            for b in range(1, k + 1):
                common += first[i, a] == second[i, b]
        if k:
            share[i] = common / (2 * k - common)
