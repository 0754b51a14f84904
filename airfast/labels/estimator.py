"""The label stage in scikit-learn's shape."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from airfast.errors import InputError
from airfast.labels.choose import resolve
from airfast.labels.cpu.products import single
from airfast.labels.cpu.select import search_row
from airfast.labels.engine import generate_labels
from airfast.labels.features import as_matrix, unit_rows
from airfast.labels.graph import overlaps
from airfast.labels.groups import members
from airfast.labels.options import checked_memory
from airfast.labels.seam import EPS_SLACK, SIMILARITY_BITS, fixed_dots, half_set

Row = NDArray[np.float32]
Integers = NDArray[np.int32]
ONE = float(1 << SIMILARITY_BITS)
ROWS = 256  # new rows that are compared with all fitted ones at a time


class JaccardDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """DBSCAN on k-reciprocal Jaccard distances (or on Euclidean or cosine ones), exact and without an N×N matrix.

    The clustering of the re-ID field as an estimator: it clones, pickles and stands in a pipeline. NumPy in, NumPy out;
    torch in, torch out, on the device of the features.

    Args:
        eps, min_samples, k1, k2, cannot_link, metric, knn, backend, memory_mb: as of :func:`airfast.generate_labels`.

    Attributes:
        labels_: (N,) int64, the cluster of each sample, -1 for noise, and for rows of zeros, which have no direction.
        core_sample_indices_: (C,) int64 indices of the core samples.
        components_: (C, D) the features of the core samples.
        n_features_in_: D.

    Source: Zhong et al., CVPR 2017 (k-reciprocal encoding); Ester et al., KDD 1996 (DBSCAN); METHOD 3.
    """

    def __init__(
        self,
        *,
        eps: float = 0.6,
        min_samples: int = 4,
        k1: int | tuple[int, int] = 30,
        k2: int | tuple[int, int] = 6,
        cannot_link: bool = False,
        metric: str = "jaccard",
        knn: str = "exact",
        backend: str = "auto",
        memory_mb: int | None = None,
    ) -> None:
        self.eps = eps
        self.min_samples = min_samples
        self.k1 = k1
        self.k2 = k2
        self.cannot_link = cannot_link
        self.metric = metric
        self.knn = knn
        self.backend = backend
        self.memory_mb = memory_mb

    def fit(self, X: Any, y: Any = None, groups: Any = None) -> "JaccardDBSCAN":
        """Cluster (N, D) features; ``y`` is not read. Raises InputError, a ValueError, for what cannot be clustered.

        Args:
            X: (N, D) NumPy or torch.
            y: ignored.
            groups: (N,) integers or names, for ``k1=(within, across)`` and ``cannot_link``.
        """
        features = checked(self, X, reset=True)
        matrix = as_matrix(features, "X")
        if groups is not None and len(groups) != len(matrix):
            raise InputError(f"groups: expected one of each of {len(matrix)} samples, found {len(groups)}")
        there = directed(matrix, self.metric)
        labels = torch.full((len(matrix),), -1, device=matrix.device)
        core = torch.zeros(len(matrix), dtype=torch.bool, device=matrix.device)
        if len(there):
            known = groups if groups is None or len(there) == len(matrix) else members(groups)[there.cpu().numpy()]
            found = generate_labels(matrix[there], groups=known, **self.get_params())
            labels[there], core[there] = found.labels, found.core
        self._fitted = Fitted(matrix[there].cpu(), core[there].cpu().numpy(), labels[there].cpu().numpy())
        indices = core.nonzero()[:, 0]
        numpy = not isinstance(X, torch.Tensor)
        self.labels_ = labels.numpy() if numpy else labels
        self.core_sample_indices_ = indices.numpy() if numpy else indices
        self.components_ = features[self.core_sample_indices_]
        return self

    def predict(self, X: Any) -> Any:
        """The cluster of each new row: that of the nearest core sample within eps (the first of them), else -1.

        Every new row is looked at alone, as if it were added to the fitted set and nothing there changed. Its
        neighbours are itself and its k1 − 1 nearest fitted rows; one of them is reciprocal if the new row is nearer to
        it than the last of its own k1 (of the half set likewise); the sets of fitted rows are added as they are; and
        query expansion averages over the new row and its k2 − 1 nearest. On the CPU, in float64.

        Args:
            X: (M, D) features.

        Returns:
            (M,) int64, NumPy or torch as X is.
        """
        check_is_fitted(self)
        if isinstance(self.k1, tuple):
            raise InputError("predict: a new row has no group, and k1=(within, across) asks for one")
        matrix = as_matrix(checked(self, X, reset=False), "X").cpu()
        there = directed(matrix, self.metric)
        labels = torch.full((len(matrix),), -1)
        labels[there] = torch.from_numpy(self._fitted.assign(matrix[there], self.get_params()))
        return labels.to(X.device) if isinstance(X, torch.Tensor) else labels.numpy()


def checked(made: Any, X: Any, reset: bool) -> Any:
    """Features as an estimator takes them, by scikit-learn's rules unless they are a tensor; their number is noted."""
    if not isinstance(X, torch.Tensor):
        kinds = [np.float32, np.float64]
        return validate_data(made, X, reset=reset, dtype=kinds, order="C")
    if reset:
        made.n_features_in_ = X.shape[1] if X.ndim == 2 else 0
    elif X.ndim != 2 or X.shape[1] != made.n_features_in_:
        name = type(made).__name__
        raise InputError(f"X has {X.shape[-1]} features, but {name} is expecting {made.n_features_in_}")
    return X.detach()


def directed(matrix: torch.Tensor, metric: str) -> torch.Tensor:
    """The rows that can be clustered: (n,) int64. Where directions are compared a zero row has none, and is noise."""
    if metric == "euclidean":
        return torch.arange(len(matrix), device=matrix.device)
    return matrix.ne(0).any(dim=1).nonzero()[:, 0]


class Fitted:
    """A clustered set, for new rows to be compared with; on the CPU.

    Args:
        features: (N, D).
        core: (N,) bool.
        labels: (N,) int64.
    """

    def __init__(self, features: torch.Tensor, core: NDArray[np.bool_], labels: NDArray[np.int64]) -> None:
        self.features, self.core, self.labels = features, np.flatnonzero(core), labels
        self.encoded: Encoded | None = None  # made when it is first asked for

    def assign(self, new: torch.Tensor, settings: dict[str, Any]) -> NDArray[np.int64]:
        """The cluster of each new row (M, D), as the estimator's ``predict`` says."""
        out = np.full(len(new), -1, np.int64)
        if not len(self.core) or not len(new):
            return out
        if settings["metric"] != "jaccard":
            near, within = nearest_in_space(self.features[self.core], new, settings["metric"], settings["eps"])
        else:
            if self.encoded is None:
                k1, k2, knn, memory = (settings[name] for name in ("k1", "k2", "knn", "memory_mb"))
                self.encoded = Encoded(unit_rows(self.features, "X"), k1, k2, self.core, knn, memory)
            near, within = self.encoded.nearest(unit_rows(new, "X"), settings["eps"])
        out[within] = self.labels[self.core[near[within]]]
        return out


def nearest_in_space(
    core: torch.Tensor, new: torch.Tensor, metric: str, eps: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The nearest core sample of each new row in Euclidean or cosine distance, and whether it is within eps."""
    if metric == "cosine":
        core, new, eps = unit_rows(core, "X"), unit_rows(new, "X"), math.sqrt(2 * eps)
    near, within = [], []
    for rows in torch.split(new.double(), ROWS):
        distance = torch.cdist(rows, core.double(), compute_mode="donot_use_mm_for_euclid_dist")
        least = distance.min(dim=1)
        near.append(least.indices)
        within.append(least.values <= eps * (1 + EPS_SLACK))
    return torch.cat(near).numpy(), torch.cat(within).numpy()


class Encoded:
    """What a set knows of itself that a new row is compared with: neighbours, sets, encodings of core samples."""

    def __init__(
        self, unit: torch.Tensor, k1: int, k2: int, core: NDArray[np.int64], knn: str, memory_mb: int | None
    ) -> None:
        device, _ = resolve("cpu", unit.device)
        memory = checked_memory(memory_mb, unit.device)
        self.unit = unit
        self.k1 = min(k1, len(unit))
        self.k2 = min(k2, self.k1)
        near = device.knn(unit, self.k1, knn, memory)
        plain = device.encode(unit, near, self.k1, 1, memory)  # an expansion by the row alone: none
        whole = device.encode(unit, near, self.k1, self.k2, memory)
        n = len(unit)
        self.similarity = near.similarity.numpy()
        self.plain, encoded = (
            csr_array((each.weights.numpy() / each.one, each.columns.numpy(), each.indptr.numpy()), shape=(n, n))
            for each in (plain, whole)
        )
        self.columns = csc_array(encoded[core])  # of a column, the core samples that have it
        halves = near.index.numpy()[:, : half_set(self.k1)]
        self.halves = [halves[i][(halves[halves[i]] == i).any(axis=1)] for i in range(n)]

    def nearest(self, new: torch.Tensor, eps: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The place among the core samples of the nearest to each new unit row, and whether it is within eps."""
        n, count = len(self.unit), len(new)
        both = torch.cat([self.unit, new])
        index = np.empty((n + count, self.k1), np.int32)
        similarity = np.empty_like(index)
        slack, rows = single(both).slack(), both.numpy()
        near, within = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        for first in range(0, count, ROWS):
            products = torch.mm(new[first : first + ROWS], self.unit.T).numpy()
            for i, row in enumerate(products, start=n + first):
                padded = np.append(row, np.full(i - n + 1, -np.inf, np.float32))  # other new rows do not count
                search_row(i, padded, rows, max(self.k1 - 1, 1), slack, index[i], similarity[i])
                near[i - n], distance = self.closest(rows[i], index[i, 1:], similarity[i, 1:])
                within[i - n] = distance <= eps + EPS_SLACK
        return near, within

    def closest(self, row: Row, index: Integers, similarity: Integers) -> tuple[int, float]:
        """The nearest core sample to a unit row with these neighbours, and its Jaccard distance."""
        weights = self.encode(row, index, similarity)
        overlap = overlaps(weights.keys(), weights.values(), self.columns)
        best = int(overlap.argmax())
        return best, float(1 - overlap[best] / (2 - overlap[best]))

    def encode(self, row: Row, index: Integers, similarity: Integers) -> dict[int, float]:
        """V of a new row after query expansion, by fitted row; its own column, which nobody shares, is left out."""
        reciprocal = index[similarity > self.similarity[index, -1]]  # a tie goes to who was there
        members = set(reciprocal.tolist())
        added: set[int] = set()
        for q in members:
            theirs = self.halves[q].tolist()
            if 3 * len(members.intersection(theirs)) > 2 * len(theirs):
                added.update(theirs)
        columns = sorted(members | added)
        soft = np.exp(2 * (fixed_dots(torch.from_numpy(row), self.unit[columns]).numpy() / ONE - 1))
        weights = dict(zip(columns, (soft / (1 + soft.sum())).tolist(), strict=True))  # 1: itself
        for q in index[: self.k2 - 1]:
            part = slice(self.plain.indptr[q], self.plain.indptr[q + 1])
            for column, weight in zip(self.plain.indices[part].tolist(), self.plain.data[part].tolist(), strict=True):
                weights[column] = weights.get(column, 0.0) + weight
        return {column: weight / self.k2 for column, weight in weights.items()}
