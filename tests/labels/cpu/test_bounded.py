"""The search by bounds finds what the whole search finds, and no product exceeds its bound."""

import numpy as np
import pytest
import torch

from airfast.labels.cpu import bounded, knn
from airfast.labels.cpu.products import single
from airfast.labels.cpu.threads import threads

TILE = 32  # a dozen tiles of few rows
K = 12


def steep(n, d=64, noise=0.02, seed=0):
    """Unit rows near a few directions of d, about a common one, as those of an encoder."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 4, generator=generator) @ torch.randn(4, d, generator=generator)
    rows += 6 * torch.randn(d, generator=generator) + noise * torch.randn(n, d, generator=generator)
    return torch.nn.functional.normalize(rows)


SETS = {
    "steep": steep(500),
    "in few directions": steep(400, noise=0),
    "duplicates": steep(60).repeat(5, 1)[torch.randperm(300, generator=torch.Generator().manual_seed(1))],
    "one row again and again": steep(1).expand(200, -1).contiguous(),
    "ties": torch.nn.functional.normalize(torch.tensor(np.indices((7, 7, 7)).reshape(3, -1).T + 9.0).float()).repeat(
        1, 14
    ),
}
SETS["ties"] = torch.nn.functional.normalize(SETS["ties"])


@pytest.mark.parametrize("many", [1, 2])
@pytest.mark.parametrize("name", SETS)
def test_neighbours_are_those_of_the_whole_search(name, many, monkeypatch):
    monkeypatch.setattr(bounded, "WORTH", 1.0)  # whether it pays or not
    unit, before = SETS[name], torch.get_num_threads()
    torch.set_num_threads(many)
    try:
        with threads() as each:
            expected = knn.search(unit.numpy(), K, single(unit), each, np.inf)
            rows = knn.no_candidates(0, len(unit), K)
            assert bounded.play_bounded(K, single(unit), each, TILE, rows)
            found = knn.settled(unit.numpy(), K, single(unit), each, rows)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    finally:
        torch.set_num_threads(before)


def test_rows_of_no_few_directions_are_left_to_the_whole_search():
    unit = torch.nn.functional.normalize(torch.randn(600, 256, generator=torch.Generator().manual_seed(2)))
    with threads() as each:
        assert not bounded.play_bounded(K, single(unit), each, TILE, knn.no_candidates(0, 600, K))


@pytest.mark.parametrize("name", SETS)
def test_no_product_exceeds_its_bound(name):
    unit = SETS[name]
    bound = bounded.bounds(unit, bounded.directions(unit))
    products = unit.double() @ unit.double().T
    above = torch.from_numpy(bound.tile(0, len(unit), 0, len(unit))).double() + bound.error - products
    assert float(above.min()) >= 0
    assert bound.error < 1e-5  # of 33 float32 products; a bound that says nothing would be in vain


def test_an_order_puts_rows_together_that_resemble_each_other():
    rows = steep(300).numpy()
    order = bounded.together(rows, TILE)
    np.testing.assert_array_equal(np.sort(order), np.arange(300))
    within = np.mean([(part @ part.T).mean() for part in np.array_split(rows[order], 10)])
    overall = (rows @ rows.T).mean()
    assert 1 - within < 0.7 * (1 - overall)


def test_rounds_pair_every_two_blocks_once():
    for blocks in (1, 2, 3, 7, 8):
        pairs = [pair for some in bounded.near_first(blocks) for pair in some]
        assert sorted(pairs) == [(a, b) for a in range(blocks) for b in range(a, blocks)]
        for some in bounded.near_first(blocks):
            used = [block for a, b in some for block in {a, b}]
            assert len(used) == len(set(used))


def test_the_exact_search_takes_it_up(monkeypatch):
    unit = steep(300, d=bounded.SHORTEST).numpy()
    expected = knn.exact_knn(unit, K)
    taken = []
    play = bounded.play_bounded
    monkeypatch.setattr(bounded, "FEWEST", 100)
    monkeypatch.setattr(bounded, "WORTH", 1.0)
    monkeypatch.setattr(bounded, "play_bounded", lambda *given: taken.append(play(*given)) or taken[-1])
    monkeypatch.setattr(knn, "candidates", lambda rows: [single(rows)])  # as on a processor without AMX
    monkeypatch.setattr(knn, "TILE", TILE)
    for ours, theirs in zip(knn.exact_knn(unit, K), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert taken == [True]
