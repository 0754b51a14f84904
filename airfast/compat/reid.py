"""Drop-ins for the unsupervised re-identification codes: cluster-contrast, SpCL, PPLR, and the re-ranking of 2017.

Names and arguments are theirs; arguments that chose among ways to search are taken and change nothing, since the search
is exact. Where their codes let float32 rounding order neighbours that tie (binary codes, duplicates), ours are ordered
by index, and such rows may differ.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from airfast.errors import InputError
from airfast.labels.choose import resolve
from airfast.labels.features import as_matrix, unit_rows
from airfast.labels.graph import jaccard_graph, overlaps, pairs_within
from airfast.labels.options import checked_memory
from airfast.labels.seam import Backend, Neighbours

EVERYTHING = 1 - 2.0**-24  # a radius that leaves out nothing but pairs that share nothing

Matrix = NDArray[np.float32]


def compute_jaccard_distance(
    target_features: Any,
    k1: int = 20,
    k2: int = 6,
    print_flag: bool = True,
    search_option: int = 0,
    use_float16: bool = False,
    *,
    sparse: bool = False,
) -> Any:
    """The k-reciprocal Jaccard distances of N features: cluster-contrast's and SpCL's function of this name.

    Args:
        target_features: (N, D) floating tensor or array.
        k1: neighbours, the sample itself among them, as in those codes. (The re-ranking of 2017 counts it beside: its
            k1 is one less.)
        k2: of query expansion.
        print_flag: whether to say how full and how large the dense matrix is.
        search_option: not read: the search is exact, on the device of the features.
        use_float16: a dense matrix of half the size.
        sparse: the graph of all pairs that share anything in place of the dense N×N matrix.

    Returns:
        (N, N) NumPy distances in [0, 1], or a ``csr_array`` in which what is missing is 1.
    """
    if sparse:
        return jaccard_graph(target_features, k1, k2, radius=EVERYTHING)
    matrix, _, pairs = pairs_within(target_features, k1, k2, EVERYTHING)
    n = len(matrix)
    dense = np.ones((n, n), np.float16 if use_float16 else np.float32)
    np.fill_diagonal(dense, 0)
    below = n
    for some in pairs:
        row, col, distance = (each.cpu().numpy() for each in (some.row, some.col, some.distance))
        dense[row, col] = dense[col, row] = distance
        below += 2 * len(row)
    if print_flag:
        print(f"Jaccard distances: {below:,} of {n:,}² are below 1; dense they take {dense.nbytes / 1e6:,.0f} MB")
    return dense


def compute_ranked_list(
    features: Any, k: int = 20, search_option: int = 0, fp16: bool = False, verbose: bool = True
) -> NDArray[np.int64]:
    """The k nearest of each of N features, itself left out: (N, k) indices, nearest first; PPLR's function.

    ``search_option``, ``fp16`` and ``verbose`` are not read: the search is exact and quiet.
    """
    _, near = search(features, k)
    return near.index[:, 1:].cpu().numpy().astype(np.int64)


def compute_cross_agreement(features_g: Any, features_p: Any, k: int, search_option: int = 0) -> torch.Tensor:
    """How far each of P parts agrees with the whole on who is near: (N, P) float32 on the CPU; PPLR's function.

    Args:
        features_g: (N, D) of the whole.
        features_p: (N, D2, P) of the parts.
        k: neighbours compared, the sample itself left out: intersection over union (Eq. 1 of AIR).
        search_option: not read.
    """
    parts = torch.as_tensor(features_p)
    if parts.ndim != 3 or len(parts) != len(features_g):
        raise InputError(f"features_p: expected ({len(features_g)}, D, P), found {tuple(parts.shape)}")
    backend, whole = search(features_g, k)
    columns = [backend.agree(whole, search(parts[:, :, p].contiguous(), k)[1], k) for p in range(parts.shape[2])]
    return torch.stack(columns, dim=1).cpu()


def search(features: Any, k: int) -> tuple[Backend, Neighbours]:
    """The exact k nearest of each row and the row itself, and who has found them."""
    matrix = as_matrix(features, "features")
    if not 1 <= k < len(matrix):
        raise InputError(f"k: expected 1 to {len(matrix) - 1} for {len(matrix)} rows, found {k}")
    backend, _ = resolve("auto", matrix.device)
    unit = unit_rows(matrix, "features")
    return backend, backend.knn(unit, k + 1, "exact", checked_memory(None, unit.device))


def re_ranking(
    q_g_dist: Matrix, q_q_dist: Matrix, g_g_dist: Matrix, k1: int = 20, k2: int = 6, lambda_value: float = 0.3
) -> Matrix:
    """k-reciprocal re-ranking of a gallery for queries, from the distances of a network (Zhong et al., CVPR 2017).

    Args:
        q_g_dist: (Q, G) distances of queries to the gallery; q_q_dist: (Q, Q); g_g_dist: (G, G).
        k1: neighbours beside the sample itself.
        k2: of query expansion, the sample itself among them.
        lambda_value: share of the original distance in the answer.

    Returns:
        (Q, G) float32: (1 − λ)·Jaccard + λ·original, the original squared and divided by each column's largest.
    """
    queries, gallery = np.shape(q_g_dist)
    if np.shape(q_q_dist) != (queries, queries) or np.shape(g_g_dist) != (gallery, gallery):
        shapes = f"{np.shape(q_q_dist)} and {np.shape(g_g_dist)}"
        raise InputError(f"re_ranking: expected ({queries}, {queries}) and ({gallery}, {gallery}), found {shapes}")
    whole = np.block([[q_q_dist, q_g_dist], [np.transpose(q_g_dist), g_g_dist]]).astype(np.float32) ** 2
    whole = np.transpose(whole / whole.max(axis=0))
    order = np.argsort(whole, axis=1, kind="stable")
    v = weights(whole, order, k1)
    if k2 > 1:
        n, count = len(order), min(k2, len(order))
        first = csr_array(
            (np.full(n * count, 1 / count), order[:, :count].ravel(), np.arange(n + 1) * count), shape=(n, n)
        )
        v = csr_array(first @ v)
    return (1 - lambda_value) * jaccard(v, queries) + lambda_value * whole[:queries, queries:]


def weights(distance: Matrix, order: NDArray[np.int64], k1: int) -> csr_array:
    """V of every sample: exp(−distance) over its expanded reciprocal set, summing to one."""
    n, half = len(order), int(np.around(k1 / 2))
    full, halves = (reciprocal(order, k) for k in (k1, half))
    rows, columns, values = [], [], []
    for i in range(n):
        members = set(full[i])
        for q in full[i]:
            if len(members_of := set(halves[q])) and 3 * len(members_of & set(full[i])) > 2 * len(members_of):
                members |= members_of
        there = sorted(members)
        soft = np.exp(-distance[i, there])
        rows += [i] * len(there)
        columns += there
        values += (soft / soft.sum()).tolist()
    return csr_array((values, (rows, columns)), shape=(n, n))


def reciprocal(order: NDArray[np.int64], k: int) -> list[list[int]]:
    """For each sample those among its k + 1 first that have it among theirs."""
    first = order[:, : k + 1]
    return [[int(j) for j in row if i in first[j]] for i, row in enumerate(first)]


def jaccard(v: csr_array, queries: int) -> Matrix:
    """Distances of the first samples to the rest, (Q, G), by inverted lists."""
    columns, n = csc_array(v), v.shape[0]
    out = np.empty((queries, n - queries), np.float32)
    for i in range(queries):
        row = slice(v.indptr[i], v.indptr[i + 1])
        overlap = overlaps(v.indices[row], v.data[row], columns)
        out[i] = (1 - overlap / (2 - overlap))[queries:]
    return out
