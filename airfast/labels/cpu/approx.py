"""Approximate nearest neighbours by FAISS, for N where the exact search takes too long; the loss is measured."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.labels.cpu.knn import Float, Int, Long, search_again
from airfast.labels.cpu.products import exact_settings, single
from airfast.labels.cpu.select import ROOM, Candidates, settle
from airfast.labels.cpu.threads import runs, threads

SAMPLE = 1000  # rows searched exactly to measure the recall: its standard error is below 0.3 points for 30 neighbours
ENOUGH = 0.92  # recall on the sample up to which an inverted file looks through more and more of its lists
SHARE = 64  # an inverted file stops at one list in that many: beyond it, the exact search is as quick


def approximate_knn(unit: Float, k: int, method: str) -> tuple[Int, Int, float]:
    """Neighbours as of `exact_knn` by a FAISS index, with their recall on a sample of rows.

    method: hnsw (graph; its construction depends on the timing of threads) or ivf (inverted file; repeatable).
    An inverted file looks through as many lists as a recall of ENOUGH takes, within its SHARE. Candidates are compared
    exactly and come in canonical order; a row with too few of them is searched in full.
    Raises InputError when FAISS is missing.
    """
    n = len(unit)
    fetch = min(n, k + 8)
    index = _index(unit, fetch, method)
    rows = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    true = _exact(unit, rows, k)
    if method == "ivf":
        while index.nprobe < index.nlist // SHARE and _recall(true, index.search(unit[rows], fetch)[1]) < ENOUGH:
            index.nprobe *= 2
    near, found = index.search(unit, fetch)
    others = (found >= 0) & (found != np.arange(n)[:, None])
    count = others.sum(1).astype(np.int32)
    order = np.argsort(~others, axis=1, kind="stable")  # the usable candidates to the front
    wide = ((0, 0), (0, ROOM))  # for `settle` to keep all of a row's candidates, however tied
    ids = np.pad(np.take_along_axis(found, order, 1).astype(np.int32), wide)
    kept = np.pad(np.take_along_axis(near, order, 1), wide)
    count[count < k - 1] = -1
    floor = np.full(n, -np.inf, np.float32)
    answer = np.empty((n, k), np.int32), np.empty((n, k), np.int32)
    slack = single(torch.from_numpy(unit)).slack()
    with exact_settings(), threads() as each:
        shared = (unit, max(k - 1, 1), slack, Candidates(0, floor, count, kept, ids), *answer)
        each(settle, ((*run, *shared) for run in runs(n)))
        search_again(unit, np.flatnonzero(count < 0), *answer, each)
    return *answer, _recall(true, answer[0][rows])


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
        # As many lists as clusters would be best; above 200,000 rows, training them would take too long.
        lists = max(1, min(round(4 * np.sqrt(n)), n // 112))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.max_points_per_centroid = 0, 64
        index.nprobe = min(16, lists)
        index.train(unit)
    index.add(unit)
    return index


def _exact(unit: Float, rows: Long, k: int) -> Int:
    """The true neighbours of some rows, (R, k)."""
    n = len(unit)
    index, similarity = np.empty((n, k), np.int32), np.empty((n, k), np.int32)  # only those rows are filled in
    with exact_settings(), threads() as each:
        search_again(unit, rows, index, similarity, each)
    return index[rows]


def _recall(true: Int, found: NDArray[np.integer[Any]]) -> float:
    """Share of the true neighbours, the row itself not counted, that were found."""
    hits = sum(float(np.isin(a[1:], b).sum()) for a, b in zip(true, found, strict=True))
    return hits / true[:, 1:].size if true.shape[1] > 1 else 1.0
