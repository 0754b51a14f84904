"""The exact search of the CUDA backend: whoever finds the candidates, in float32 or float16, the answer is the CPU's.

On CPU tensors; FAISS and cuVS are played by stand-ins with their signatures and their freedoms.
"""

import numpy as np
import pytest
import torch
from label_sets import DEVICE, clustered, duplicates, lattice

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.labels import cuda_candidates, cuda_knn, interop
from airfast.labels.backend import error_bound
from airfast.labels.cpu_knn import exact_knn
from airfast.labels.features import unit_rows

SETS = {
    "clustered": lambda: clustered(90, 48, 6, 0.5, 0),
    "weak": lambda: clustered(80, 96, 20, 3.0, 1),
    "tight": lambda: clustered(60, 16, 2, 0.001, 2),  # closer than float16 can tell
    "duplicates": lambda: duplicates(60, 10, 3),
    "ties": lambda: lattice(70, 4),
}


def unit(name):
    return unit_rows(torch.as_tensor(SETS[name]()), "features").to(DEVICE)


def foreign(rows, *_):
    """A library's search: float32 sums in another order, and ties in an order of its own."""
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(9)).to(rows.device)
    other = rows[shuffled].float().flip(1)

    def find(which, fetch):
        near, at = (rows[which].float().flip(1) @ other.T).topk(fetch)
        return near, shuffled[at]

    return find


def expect(found, rows, k):
    index, similarity = exact_knn(rows.cpu().numpy(), k)
    np.testing.assert_array_equal(found.index.cpu(), index)
    np.testing.assert_array_equal(found.similarity.cpu(), similarity)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("source", ["torch", "faiss", "cuvs"])
@pytest.mark.parametrize("name", SETS)
def test_every_search_gives_the_neighbours_of_the_cpu(name, source, half, monkeypatch):
    monkeypatch.setattr(interop, "faiss_search", foreign)
    monkeypatch.setattr(interop, "cuvs_search", foreign)
    rows = unit(name)
    expect(cuda_knn.exact_knn(rows, 6, source, half, 100), rows, 6)


def test_tiles_of_columns_and_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(cuda_candidates, "COLUMNS", 17)
    rows = unit("clustered")
    blocks = []
    monkeypatch.setattr(
        cuda_knn,
        "by_rows",
        lambda n, _, __, work: (blocks.append(at) or work(at, min(n, at + 13)) for at in range(0, n, 13)),
    )
    expect(cuda_knn.exact_knn(rows, 5, "torch", True, 100), rows, 5)
    assert len(blocks) > 5


def test_the_bound_of_float16_holds_for_every_pair():
    rows = unit("weak")
    rounded = rows.half()
    bound = cuda_candidates.half_bound(rows, rounded, 1)
    exact = rows.double() @ rows.double().T
    off = (cuda_candidates.products(rounded, rounded).double() - exact).abs()
    assert (off <= bound[:, None]).all()
    assert bound.max() < 2.0**-10 + 2 * error_bound(rows.shape[1])  # 2⁻¹¹ is all that rounding can do to either row


def test_few_rows_of_ordinary_features_are_searched_twice(monkeypatch):
    rows, again = unit("clustered"), []
    real = cuda_knn.search_again
    monkeypatch.setattr(cuda_knn, "search_again", lambda *a: again.append(len(a[1])) or real(*a))
    cuda_knn.exact_knn(rows, 6, "torch", True, 100)
    assert sum(again) == 0
    rows = unit("duplicates")
    cuda_knn.exact_knn(rows, 6, "torch", True, 100)
    assert sum(again) == 0  # ten copies of each fit among the candidates: the tie is seen in full
    rows = unit_rows(torch.as_tensor(duplicates(60, 30, 3)), "features").to(DEVICE)
    expect(cuda_knn.exact_knn(rows, 6, "torch", True, 100), rows, 6)
    assert sum(again) == 60  # thirty copies do not: every row is searched in full


@pytest.mark.parametrize("sloppy", [1e-3, 0.1])
def test_arithmetic_that_is_worse_than_its_bound_is_found_out(sloppy, monkeypatch):
    def find(rows):
        noise = torch.Generator().manual_seed(1)

        def search(which, fetch):
            near = rows[which].float() @ rows.float().T
            near = near + sloppy * torch.randn(near.shape, generator=noise).to(near.device)
            return near.topk(fetch)

        return search

    monkeypatch.setattr(cuda_candidates, "torch_search", find)
    rows = unit("clustered")
    expect(cuda_knn.exact_knn(rows, 6, "torch", True, 100), rows, 6)


def test_neither_tf32_nor_autocast_reaches_the_products():
    rows = unit("weak")
    expected = cuda_candidates.products(rows, rows)
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            assert torch.equal(cuda_candidates.products(rows, rows), expected)
        assert matmul.fp32_precision == "tf32"  # the caller's choice is the caller's again
    finally:
        matmul.fp32_precision = before
