"""Running out of memory halves the block of rows and changes nothing else; on CPU tensors, the fault is injected."""

import pytest
import torch
from label_sets import DEVICE, clustered

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.labels import engine, generate_labels
from airfast.labels.cuda import jaccard, join, knn, near
from airfast.labels.cuda.backend import CudaBackend
from airfast.labels.cuda.blocks import by_rows

X = clustered(24, 12, 3, 0.4, 0)
OPTIONS = {"k1": 8, "k2": 3, "agreement_k": 4}


def test_ranges_cover_the_rows_and_halve():
    asked = []

    def work(first, last):
        asked.append((first, last))
        if last - first > 3:
            raise torch.OutOfMemoryError("injected")
        return first, last

    assert list(by_rows(10, 1 << 20, 8, work)) == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert asked[:3] == [(0, 8), (0, 4), (0, 2)]


def test_one_row_that_does_not_fit_is_the_end():
    def work(first, last):
        raise torch.OutOfMemoryError("injected")

    with pytest.raises(torch.OutOfMemoryError):
        list(by_rows(10, 1, 1, work))


def test_another_error_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        list(by_rows(10, 1, 1, lambda first, last: 1 // 0))


@pytest.mark.parametrize("limit", [3, 11])
@pytest.mark.parametrize("metric", ["jaccard", "cosine"])
def test_labels_are_the_same_bits_after_running_out_of_memory(metric, limit, monkeypatch):
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE), "test"))
    eps = 0.6 if metric == "jaccard" else 0.3
    whole = generate_labels(X, X[:, :6], metric=metric, eps=eps, **OPTIONS)
    failures = []

    def scarce(n, row_bytes, memory_mb, work, *block_mb):
        def tight(first, last):
            if last - first > limit:
                failures.append(last - first)
                raise torch.OutOfMemoryError("injected")
            return work(first, last)

        return by_rows(n, row_bytes, memory_mb, tight, *block_mb)

    for step in (knn, jaccard, join, near):
        monkeypatch.setattr(step, "by_rows", scarce)
    halved = generate_labels(X, X[:, :6], metric=metric, eps=eps, **OPTIONS)
    assert failures
    for name in ("labels", "core", "agreement", "cluster_size"):
        assert torch.equal(getattr(whole, name), getattr(halved, name))
