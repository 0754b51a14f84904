"""The Jaccard distances themselves, as a sparse graph: for other clusterings, and whatever else reads one."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.csgraph import connected_components

from airfast.errors import InputError
from airfast.labels.choose import resolve
from airfast.labels.features import as_matrix, unit_rows
from airfast.labels.groups import allowed, checked_groups, encode_groups, grouped_neighbours
from airfast.labels.options import check_search, checked_memory
from airfast.labels.seam import SIMILARITY_BITS, Backend, Edges, Neighbours, starts


def jaccard_graph(
    features: Any,
    k1: int | tuple[int, int] = 30,
    k2: int | tuple[int, int] = 6,
    *,
    radius: float = 0.6,
    groups: Any = None,
    cannot_link: bool = False,
    knn: str = "exact",
    neighbours: Any = None,
    connect: bool = False,
    backend: str | Backend = "auto",
    memory_mb: int | None = None,
) -> Any:
    """The k-reciprocal Jaccard distances of N feature vectors, as far as they are at most ``radius``.

    What DBSCAN, HDBSCAN and others take as ``metric="precomputed"``: symmetric, the diagonal and distances of 0 stored,
    the entries of a row sorted by distance, then index; what is not there is farther than the radius.

    Args:
        features: (N, D) floating array or tensor; rows are brought to unit length.
        k1, k2, groups, cannot_link, knn, backend, memory_mb: as of :func:`airfast.generate_labels`.
        radius: above 0 and below 1: everything is within a Jaccard distance of 1.
        neighbours: a search made elsewhere, as FAISS and cuVS give it: (N, K) indices, K ≥ k1, nearest first, the row
            itself among them or not, -1 where there was none to be found. Similarities are measured here, so that only
            its recall is taken on trust.
        connect: join the graph's components by an entry of distance 1 each, as scikit-learn's HDBSCAN asks for (which
            also asks for ``min_samples`` entries in every row: a radius near 1).

    Returns:
        ``scipy.sparse.csr_array`` (N, N) float32 with int32 indices; of CUDA features a torch CSR tensor.

    Raises:
        InputError: unusable features, options or neighbours.
    """
    matrix, device, pairs = pairs_within(
        features, k1, k2, radius, groups, cannot_link, knn, neighbours, backend, memory_mb
    )
    n, parts = len(matrix), list(pairs)
    parts += [bridges(parts, n)] if connect else []
    graph = sorted_rows(parts, n, device.device)
    if matrix.is_cuda:
        return torch.sparse_csr_tensor(*graph, size=(n, n), check_invariants=False)  # said, or torch warns
    indptr, columns, distance = (each.cpu().numpy() for each in graph)
    return csr_array((distance, columns, indptr), shape=(n, n))


def pairs_within(
    features: Any,
    k1: int | tuple[int, int],
    k2: int | tuple[int, int],
    radius: float,
    groups: Any = None,
    cannot_link: bool = False,
    knn: str = "exact",
    neighbours: Any = None,
    backend: str | Backend = "auto",
    memory_mb: int | None = None,
) -> tuple[torch.Tensor, Backend, Iterator[Edges]]:
    """What `jaccard_graph` is made of: the features, who works on them, and every pair within the radius, in blocks."""
    matrix = as_matrix(features, "features")
    if not 0 < radius < 1:
        raise InputError(f"radius: expected a value in (0, 1), found {radius}")
    n = len(matrix)
    device = resolve(backend, matrix.device)[0] if isinstance(backend, str) else backend
    memory = checked_memory(memory_mb, device.device)
    known = checked_groups(groups, k1, k2, cannot_link, "jaccard", knn, n, device.device)
    unit = unit_rows(matrix.to(device.device), "features")
    if isinstance(k1, int) and isinstance(k2, int):
        check_search({"k1": k1, "k2": k2}, knn)
        k1 = min(k1, n)
        near = (
            device.knn(unit, k1, knn, memory) if neighbours is None else given_neighbours(neighbours, unit, k1, device)
        )
        encoding = device.encode(unit, near, k1, min(k2, k1), memory)
    else:
        assert known is not None
        if neighbours is not None:
            raise InputError("neighbours: k1=(within, across) has lists of its own")
        encoding = encode_groups(unit, grouped_neighbours(unit, known, device, memory), known, memory)
    return matrix, device, allowed(device.edges(encoding, radius, memory), known)


def sorted_rows(parts: list[Edges], n: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """indptr (N+1,) int32 or int64, columns (E,) alike, distances (E,) float32 of both directions and the diagonal."""
    itself = torch.arange(n, device=device, dtype=torch.int32)
    row = torch.cat([itself, *(each.row for each in parts), *(each.col for each in parts)])
    column = torch.cat([itself, *(each.col for each in parts), *(each.row for each in parts)])
    distance = torch.cat(
        [torch.zeros(n, device=device), *(each.distance for each in parts), *(each.distance for each in parts)]
    )
    entries: tuple[torch.Tensor, ...] = (row, column, distance)
    entries = by_key(entries, entries[1])
    # The diagonal first: another row at distance 0 must not push a row from the head of its own list.
    entries = by_key(entries, torch.where(entries[0] == entries[1], -1.0, entries[2]))
    row, column, distance = by_key(entries, entries[0])
    kind = torch.int32 if len(column) < 2**31 else torch.int64
    return starts(row, n).to(kind), column.to(kind), distance


def bridges(parts: list[Edges], n: int) -> Edges:
    """Pairs of distance 1 from row 0 to the first row of every other component."""
    row, col = (torch.cat([getattr(each, end).cpu() for each in parts]).numpy() for end in ("row", "col"))
    _, component = connected_components(
        coo_array((np.ones(len(row), np.int8), (row, col)), shape=(n, n)), directed=False
    )
    first = torch.from_numpy(np.unique(component, return_index=True)[1])
    others = first[first > 0].to(parts[0].row)
    return Edges(torch.zeros_like(others), others, torch.ones(len(others), device=others.device))


def by_key(entries: tuple[torch.Tensor, ...], key: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Entries in the order of a key; equal keys stay as they were."""
    order = torch.argsort(key, stable=True)
    return tuple(each[order] for each in entries)


def overlaps(columns: Any, weights: Any, lists: csc_array) -> NDArray[np.float64]:
    """Σ min of one sparse row, given by its columns and weights, with every row of a matrix that lies by columns."""
    total = np.zeros(lists.shape[0])
    for column, weight in zip(columns, weights, strict=True):
        part = slice(lists.indptr[column], lists.indptr[column + 1])
        total[lists.indices[part]] += np.minimum(lists.data[part], weight)
    return total


def given_neighbours(neighbours: Any, unit: torch.Tensor, k1: int, device: Backend) -> Neighbours:
    """Indices of a foreign search as the label stage reads them: itself first, then by similarity, ties by index.

    Raises:
        InputError: not (N, K ≥ k1) integers within 0..N−1, the same row twice, or fewer than k1 for some row.
    """
    index = torch.as_tensor(np.asarray(neighbours) if not isinstance(neighbours, torch.Tensor) else neighbours)
    n = len(unit)
    if index.ndim != 2 or len(index) != n or index.is_floating_point():
        raise InputError(f"neighbours: expected ({n}, K) integers, found {tuple(index.shape)} {index.dtype}")
    index = index.to(unit.device, torch.int64)
    if int(index.max()) >= n or int(index.min()) < -1:
        raise InputError(f"neighbours: expected rows 0 to {n - 1} (or -1 for none), found {int(index.max())}")
    itself = torch.arange(n, device=unit.device)[:, None]
    others = torch.where(index == itself, -1, index)
    ranked = others.sort(dim=1).values
    twice = ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)).any(dim=1).nonzero()
    if len(twice):
        raise InputError(f"neighbours: row {int(twice[0])} names a row twice")
    there = (others >= 0).sum(dim=1)
    if int(there.min()) < k1 - 1:
        short = int(there.argmin())
        raise InputError(
            f"neighbours: row {short} has {int(there[short])}, fewer than the {k1 - 1} that k1={k1} asks for"
        )
    row = itself.expand_as(others).flatten()
    similarity = device.dots(unit, row, others.clamp(min=0).flatten()).view_as(others)
    similarity = torch.where(others < 0, -(2**31), similarity)
    # By similarity, and by index where that is equal, as one key: similarity above, negated index below.
    order = torch.argsort((similarity << 32) - others, dim=1, descending=True)
    others, similarity = others.gather(1, order), similarity.gather(1, order)
    one = torch.full_like(itself, 1 << SIMILARITY_BITS)
    index = torch.cat([itself, others[:, : k1 - 1]], dim=1).int()
    return Neighbours(index, torch.cat([one, similarity[:, : k1 - 1]], dim=1).int())
