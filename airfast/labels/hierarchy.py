"""For those who want no eps: a hierarchy of clusters on the sparse Jaccard graph, cut where clusters last longest."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN

from airfast.errors import InputError
from airfast.labels.estimator import checked, directed
from airfast.labels.features import as_matrix
from airfast.labels.graph import jaccard_graph

FAR = 0.999  # distances above it count as 1, which is what rows without a common neighbour have
LEAST = 1e-7  # what a distance of 0 is taken for: SciPy's spanning tree loses edges without weight


class JaccardHDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's HDBSCAN on k-reciprocal Jaccard distances, without an N×N matrix.

    The graph holds every pair that shares a neighbour of a neighbour; all others are at distance 1 exactly, so that
    the few of them that a spanning tree asks for can be written down. Memory grows with the pairs that share one:
    few in clear clusters, most of N² where some rows are everybody's neighbours. Heights of the hierarchy are those of
    the whole matrix; where heights tie, which of two equal merges comes first is scikit-learn's choice.

    Args:
        min_cluster_size: samples of the smallest cluster.
        min_samples: samples within a core distance, itself included; None is min_cluster_size.
        cluster_selection_method: eom (of a branch's clusters those that last longest) or leaf.
        k1, k2, knn, backend, memory_mb: as of :func:`airfast.generate_labels`.

    Attributes:
        labels_: (N,) int64, the cluster of each sample, -1 for noise, and for rows of zeros, which have no direction.
        probabilities_: (N,) float64, how deep within its cluster each sample is; 0 for noise.
        n_features_in_: D.

    Source: Campello, Moulavi and Sander, PAKDD 2013 (HDBSCAN); METHOD 3 (the distances).
    """

    def __init__(
        self,
        *,
        min_cluster_size: int = 5,
        min_samples: int | None = None,
        cluster_selection_method: str = "eom",
        k1: int = 30,
        k2: int = 6,
        knn: str = "exact",
        backend: str = "auto",
        memory_mb: int | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.cluster_selection_method = cluster_selection_method
        self.k1 = k1
        self.k2 = k2
        self.knn = knn
        self.backend = backend
        self.memory_mb = memory_mb

    def fit(self, X: Any, y: Any = None) -> "JaccardHDBSCAN":
        """Cluster (N, D) features, NumPy or torch; ``y`` is not read. Raises InputError for what cannot be."""
        matrix = as_matrix(checked(self, X, reset=True), "X")
        there = directed(matrix, "jaccard")
        labels = torch.full((len(matrix),), -1)
        depth = torch.zeros(len(matrix), dtype=torch.float64)
        fewest = self.min_cluster_size if self.min_samples is None else self.min_samples
        least = max(fewest, self.min_cluster_size)
        if 0 < len(there) < least:
            raise InputError(f"X: expected at least {least} samples, found n_samples={len(there)}")
        if len(there):
            options: dict[str, Any] = {"knn": self.knn, "backend": self.backend, "memory_mb": self.memory_mb}
            rows = matrix[there].cpu()
            graph = spanned(jaccard_graph(rows, self.k1, self.k2, radius=FAR, connect=True, **options), fewest)
            made = HDBSCAN(
                min_cluster_size=self.min_cluster_size,
                min_samples=fewest,
                metric="precomputed",
                cluster_selection_method=self.cluster_selection_method,
                copy=False,
            ).fit(graph)
            labels[there.cpu()] = torch.from_numpy(made.labels_).long()
            depth[there.cpu()] = torch.from_numpy(made.probabilities_)
        numpy = not isinstance(X, torch.Tensor)
        self.labels_ = labels.numpy() if numpy else labels.to(X.device)
        self.probabilities_ = depth.numpy() if numpy else depth.to(X.device)
        return self


def spanned(graph: Any, fewest: int) -> Any:
    """A graph whose rows have so many entries at least: those that lack some gain pairs at distance 1, both ways."""
    n = graph.shape[0]
    lacking = np.flatnonzero(np.diff(graph.indptr) < fewest)
    # A row with fewer than `fewest` entries has at least one among so many others that is no entry of its own.
    row = np.repeat(lacking, 2 * fewest)
    column = (row + np.tile(np.arange(1, 2 * fewest + 1), len(lacking))) % n
    far = coo_array((np.ones(len(row), np.float32), (row, column)), shape=(n, n)).tocsr()
    far.data[:] = 1
    known = csr_array((np.ones_like(graph.data), graph.indices, graph.indptr), shape=graph.shape)
    far = far - far * known  # not where a distance is known
    far.setdiag(0)
    far.eliminate_zeros()
    graph.data = np.maximum(graph.data, LEAST)
    return graph + far.maximum(far.T)
