"""Approximate nearest neighbours by FAISS, for N where the exact search takes too long; the loss is measured."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.labels.cpu_knn import Float, Int, search_again
from airfast.labels.cpu_products import exact_settings, single
from airfast.labels.cpu_select import ROOM, settle
from airfast.labels.threads import Each, runs, threads

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
    wide = ((0, 0), (0, ROOM))  # for `settle` to keep all of a row's candidates, however tied
    ids = np.pad(np.take_along_axis(found, order, 1).astype(np.int32), wide)
    kept = np.pad(np.take_along_axis(near, order, 1), wide)
    count[count < k - 1] = -1
    floor = np.full(n, -np.inf, np.float32)
    index, similarity = np.empty((n, k), np.int32), np.empty((n, k), np.int32)
    slack = single(torch.from_numpy(unit)).slack()
    with exact_settings(), threads() as each:
        shared = (unit, max(k - 1, 1), slack, floor, count, kept, ids, index, similarity)
        each(settle, ((*run, *shared) for run in runs(n)))
        search_again(unit, np.flatnonzero(count < 0), index, similarity, each)
        return index, similarity, _recall(unit, index, each)


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


def _recall(unit: Float, index: Int, each: Each) -> float:
    """Share of the true neighbours that are in `index`, the row itself not counted."""
    n, k = index.shape
    if k == 1:
        return 1.0
    rows: NDArray[np.int64] = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    true = np.empty((n, k), np.int32)  # only the sample is filled in
    search_again(unit, rows, true, np.empty((n, k), np.int32), each)
    hits = sum(float(np.isin(true[i, 1:], index[i, 1:]).sum()) for i in rows)
    return hits / (len(rows) * (k - 1))
