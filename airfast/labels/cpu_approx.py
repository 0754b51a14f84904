"""Approximate nearest neighbours by FAISS, for N where the exact search takes too long; the loss is measured."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.labels.backend import error_bound
from airfast.labels.cpu_knn import Float, Int, search_again, search_rows, settle

SAMPLE = 1000  # rows searched exactly to measure the recall: its standard error is below 0.3 points for 30 neighbours


def approximate_knn(unit: Float, k: int, method: str) -> tuple[Int, Int, float]:
    """Neighbours as of `exact_knn` by a FAISS index, with their recall on a sample of rows.

    method: hnsw (graph; its construction depends on the timing of threads) or ivf (inverted file; repeatable).
    Candidates are compared exactly and come in canonical order; a row with too few of them is searched in full.
    Raises InputError when FAISS is missing.
    """
    n = len(unit)
    fetch = min(n, k + 8)
    near, found = _index(unit, fetch, method).search(unit, fetch)
    others = (found >= 0) & (found != np.arange(n)[:, None])
    count = others.sum(1).astype(np.int32)
    order = np.argsort(~others, axis=1, kind="stable")  # the usable candidates to the front
    ids = np.take_along_axis(found, order, 1).astype(np.int32)
    kept = np.take_along_axis(near, order, 1)
    count[count < k - 1] = -1
    floor = np.full(n, -np.inf, np.float32)
    slack = np.float32(2 * error_bound(unit.shape[1]))
    # Room for `settle` to keep all of a row's candidates, however tied.
    wide = ((0, 0), (0, 32))
    index, similarity = settle(unit, max(k - 1, 1), slack, floor, count, np.pad(kept, wide), np.pad(ids, wide), k)
    search_again(unit, np.flatnonzero(count < 0), np.full(n, -np.inf, np.float32), index, similarity)
    return index, similarity, _recall(unit, index)


def _index(unit: Float, k: int, method: str) -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError(f"knn {method}: needs FAISS, as in pip install 'airfast[cpu]'") from error
    n, d = unit.shape
    index: Any
    if method == "hnsw":
        index = faiss.IndexHNSWFlat(d, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 80
        index.hnsw.efSearch = max(96, 3 * k)
    else:
        lists = max(1, min(round(4 * np.sqrt(n)), n // 40))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.max_points_per_centroid = 0, 64
        index.nprobe = max(16, lists // 128)
        index.train(unit)
    index.add(unit)
    return index


def _recall(unit: Float, index: Int) -> float:
    """Share of the true neighbours that are in `index`, the row itself not counted."""
    n, k = index.shape
    if k == 1:
        return 1.0
    rows: NDArray[np.int64] = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    slack = 2 * error_bound(unit.shape[1])
    hits = 0.0
    block = max(1, (1 << 24) // n)  # 64 MB of similarities at a time
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        near = unit[part] @ unit.T
        floor = np.partition(near, n - k, axis=1)[:, n - k] - np.float32(slack)
        true, _ = search_rows(unit, part, near, floor, k)
        hits += sum(float(np.isin(a[1:], b[1:]).sum()) for a, b in zip(true, index[part], strict=True))
    return float(hits / (len(rows) * (k - 1)))
