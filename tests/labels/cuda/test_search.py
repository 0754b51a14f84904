"""The exact search of the CUDA backend: whoever finds the candidates, in float32 or float16, the answer is the CPU's.

On CPU tensors; FAISS and cuVS are played by stand-ins with their signatures and their freedoms.
"""

import numpy as np
import pytest
import torch
from label_sets import DEVICE, clustered, duplicates, lattice

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.labels.cpu.knn import exact_knn
from airfast.labels.cuda import candidates as cuda_candidates
from airfast.labels.cuda import interop
from airfast.labels.cuda import knn as cuda_knn
from airfast.labels.features import unit_rows
from airfast.labels.seam import error_bound

SETS = {
    "clustered": lambda: clustered(90, 48, 6, 0.5, 0),
    "weak": lambda: clustered(80, 96, 20, 3.0, 1),
    "tight": lambda: clustered(60, 16, 2, 0.001, 2),  # closer than float16 can tell
    "duplicates": lambda: duplicates(60, 10, 3),
    "ties": lambda: lattice(70, 4),
    "collapsed": lambda: collapsed()[:80],
}


def unit(name):
    return unit_rows(torch.as_tensor(SETS[name]()), "features").to(DEVICE)


def collapsed():
    """As of a collapsing encoder: all of one direction, and apart by a hundredth; float32 products are too coarse."""
    return clustered(300, 64, 12, 0.5, 6) * 0.01 + np.eye(64, dtype=np.float32)[0]


def foreign(keys, *_):
    """A library's search: float32 sums in another order, and ties in an order of its own."""
    shuffled = torch.randperm(len(keys), generator=torch.Generator().manual_seed(9)).to(keys.device)
    other = keys[shuffled].flip(1)

    def find(queries, fetch):
        near, at = (queries.flip(1) @ other.T).topk(fetch)
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


def blocks_of(size, seen):
    """`by_rows` that cuts everything into blocks of `size` rows, and tells how many there were."""
    return lambda n, _, __, work, ___=0: (seen.append(at) or work(at, min(n, at + size)) for at in range(0, n, size))


@pytest.mark.parametrize("half", [True, False])
def test_tiles_of_columns_and_blocks_of_rows(half, monkeypatch):
    monkeypatch.setattr(cuda_candidates, "COLUMNS", 17)
    rows, blocks = unit("clustered"), []
    monkeypatch.setattr(cuda_knn, "by_rows", blocks_of(13, blocks))
    expect(cuda_knn.exact_knn(rows, 5, "torch", half, 100), rows, 5)
    assert len(blocks) > 5


def test_thresholds_of_a_sample_and_panels_of_tiles(monkeypatch):
    """150 rows in tiles of 16, panels of 3 tiles, thresholds from every fourth row; some rows fall outside."""
    for name, value in {"TILE": 16, "PANEL": 3, "SAMPLE": 38, "DEPTH": 16}.items():
        monkeypatch.setattr(cuda_candidates, name, value)
    rows = unit_rows(torch.as_tensor(clustered(150, 40, 6, 0.5, 0)), "features").to(DEVICE)
    expect(cuda_knn.exact_knn(rows, 6, "torch", True, 100), rows, 6)


@pytest.mark.parametrize("fetch", [5, 10])
@pytest.mark.parametrize("everything", [True, False])
def test_the_kernel_keeps_what_reaches_the_threshold_of_its_row_and_nothing_else(everything, fetch, monkeypatch):
    for name, value in {"TILE": 16, "PANEL": 2}.items():
        monkeypatch.setattr(cuda_candidates, name, value)
    noise = torch.Generator().manual_seed(0)
    n, d, capacity = 50, cuda_candidates.DEPTH, 12
    rows = torch.zeros(64, d, dtype=torch.float16)
    rows[:n] = torch.randint(-3, 4, (n, d), generator=noise)  # small whole numbers: products are exact
    shift = torch.randint(-30, 30, (n,), generator=noise).float()
    value = rows[:n].double() @ rows[:n].double().T + shift.double()
    value.fill_diagonal_(-torch.inf)
    floor = value.topk(8).values[:, -1].float()
    floor[7] = value.topk(20).values[7, -1]  # more than the buffer of a row takes
    which = torch.arange(n) if everything else torch.tensor([3, 49, 7, 20])
    given = (each.to(DEVICE) for each in (rows, shift, floor, which))
    near, found, least = (each.cpu() for each in cuda_candidates.emit(*given, fetch, capacity))
    for row, its_near, its_found, bar in zip(which.tolist(), near, found, least.tolist(), strict=True):
        reached = (value[row] >= floor[row]).nonzero().flatten()
        if row == 7:
            assert bar == torch.inf
            continue
        there = value[row][reached].sort(descending=True).values
        best = there[:fetch]
        assert its_near[: len(best)].tolist() == best.tolist()
        assert set(its_found[its_near > -torch.inf].tolist()) <= set(reached.tolist())
        assert torch.equal(value[row][its_found[: len(best)]], its_near[: len(best)].double())
        assert bar == (floor[row] if len(there) <= fetch else best[-1])
        assert (its_found[len(best) :] == row).all()


def products_about_the_mean(rows, half):
    """Bound (N,) and the similarities (N, N) as a search of these rows finds them."""
    mean = rows.sum(0, dtype=torch.float64).div(len(rows)).float()
    if half:
        search = cuda_candidates.half_search(rows, mean, len(rows), 100)
    else:
        search = cuda_candidates.single_search("torch", rows, mean, len(rows), 100)
    near, found, _ = search.find(torch.arange(len(rows), device=rows.device))
    return search.bound, near.masked_fill(near == -torch.inf, 0), found


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", ["weak", "collapsed"])
def test_the_bound_holds_for_every_pair_and_shrinks_with_the_spread(name, half):
    rows = unit(name)
    bound, near, found = products_about_the_mean(rows, half)
    exact = (rows.double() @ rows.double().T).gather(1, found)
    off = (near - exact).abs().masked_fill(found == torch.arange(len(rows), device=rows.device)[:, None], 0)
    assert (off <= bound[:, None]).all()
    length = float((rows.double() - rows.double().mean(0)).norm(dim=1).max())
    # rounding to float16 takes at most 2⁻¹² of either row, 2⁻¹¹ of a product; float32 only adds up
    assert bound.max() < (length**2 * 2.0**-10 if half else 0) + 3 * error_bound(rows.shape[1]) * max(length, 1e-3)


@pytest.mark.parametrize("half", [True, False])
def test_features_that_share_a_direction_are_told_apart_at_once(half, monkeypatch):
    rows, tried = unit_rows(torch.as_tensor(collapsed()), "features").to(DEVICE), []
    real = cuda_knn.attempt
    monkeypatch.setattr(cuda_knn, "attempt", lambda *a: tried.append(real(*a)) or tried[-1])
    monkeypatch.setattr(cuda_candidates, "TILE", 64)
    expect(cuda_knn.exact_knn(rows, 6, "torch", half, 100), rows, 6)
    assert len(tried) == 1
    gap = rows.double() @ rows.double().T
    near = gap.topk(22).values  # as many as are fetched
    assert (near[:, 5] - near[:, 21]).median() < 2.0**-11  # float16 about the origin could not have told


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
    def find(keys):
        noise = torch.Generator().manual_seed(1)

        def search(queries, fetch):
            near = queries @ keys.T
            near = near + sloppy * torch.randn(near.shape, generator=noise).to(near.device)
            return near.topk(fetch)

        return search

    monkeypatch.setattr(cuda_candidates, "torch_search", find)
    rows = unit("clustered")
    expect(cuda_knn.exact_knn(rows, 6, "torch", False, 100), rows, 6)


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
