"""The label stage on a CUDA device: FAISS, cuVS or torch for the search, Triton for the sets, cuML or torch for DBSCAN.

Nothing leaves the device but sizes. Triton, cuVS and cuML work on the current device, which is made that of the
features. With TRITON_INTERPRET=1 every line also runs on CPU tensors, which is how the
tests of a machine without a GPU reach it. CPU twin: ../cpu/backend.py.
"""

from collections.abc import Iterable, Iterator

import torch

from airfast.errors import InputError
from airfast.labels.cuda import dbscan as scan
from airfast.labels.cuda import jaccard, join, knn, near
from airfast.labels.seam import Clusters, Edges, Encoding, Neighbours


class CudaBackend:
    """Implements `Backend` for tensors on a CUDA device; twin of `CpuBackend`.

    half: candidates of the exact search from float16 on tensor cores first. search: faiss, cuvs or torch finds those of
    the rows that float16 leaves in doubt, or of all. The answer is the same. dbscan: auto, cuml or graph.
    """

    name = "cuda"

    def __init__(self, device: torch.device, search: str = "torch", dbscan: str = "graph", half: bool = True) -> None:
        self.device = device
        self.search, self.dbscan, self.half = search, dbscan, half

    def knn(self, unit: torch.Tensor, k: int, method: str, memory_mb: int) -> Neighbours:
        """Candidates, measured again on the fixed-point grid; rows that are not certain are searched again."""
        if method != "exact":
            raise InputError(f"knn {method}: the cuda backend searches exactly; expected exact")
        with torch.cuda.device_of(unit):  # type: ignore[no-untyped-call]
            return knn.exact_knn(unit, k, self.search, self.half, memory_mb)

    def dots(self, unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """By a kernel."""
        with torch.cuda.device_of(unit):  # type: ignore[no-untyped-call]
            return knn.fixed_dots(unit, left, right).long()

    def encode(self, unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
        """Reciprocal sets and their expansion by kernels, weights by torch, query expansion by dense blocks."""
        with torch.cuda.device_of(unit):  # type: ignore[no-untyped-call]
            return jaccard.encode(unit, neighbours, k1, k2, memory_mb)

    def edges(self, encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
        """The join over inverted lists, of which only pairs within eps are kept."""
        return join.edges(encoding, eps, memory_mb)

    def near(self, rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
        """Blocks of products, measured again in float64."""
        return near.near_pairs(rows, radius, memory_mb)

    def cluster(self, edges: Iterable[Edges], n: int, min_samples: int) -> Clusters:
        """cuML's components or those of the edge graph; identical labels."""
        here = torch.empty(0, device=self.device)  # the blocks of edges are made while they are consumed
        with torch.cuda.device_of(here):  # type: ignore[no-untyped-call]
            return scan.cluster(edges, n, min_samples, self.dbscan, self.device)

    def agree(self, first: Neighbours, second: Neighbours, k: int) -> torch.Tensor:
        """Eq. 1 by comparing every pair of the two lists."""
        a, b = first.index[:, 1 : k + 1], second.index[:, 1 : k + 1]
        common = sum(((a == b[:, c : c + 1]).sum(1) for c in range(k)), torch.zeros(len(a), device=a.device))
        return common / (2 * k - common) if k else torch.ones(len(a), device=a.device)
