"""The searches on their own: across tiles, under mass ties, approximate with measured recall, and within a radius."""

import builtins

import numpy as np
import pytest
import torch
from label_sets import FEATURES, clustered, duplicates, lattice
from sklearn.cluster import DBSCAN

from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.labels.cpu import knn as cpu_knn
from airfast.labels.cpu import products as cpu_products
from airfast.labels.cpu.approx import approximate_knn
from airfast.labels.cpu.knn import TILE, exact_knn, search, tournament
from airfast.labels.cpu.threads import threads
from airfast.labels.features import unit_rows
from tests.reference import labels as reference

LARGE = {  # more than two tiles each
    "clustered": lambda: clustered(2 * TILE + 77, 16, 25, 0.5, 0),
    "one tight cluster": lambda: clustered(2 * TILE + 1, 24, 1, 0.01, 1),
    "ties": lambda: lattice(2 * TILE + 30, 2),
    "duplicates beyond the buffer": lambda: duplicates(2 * TILE + 6, 206, 3),
}


def unit_of(x):
    return unit_rows(torch.as_tensor(x), "features").numpy()


@pytest.mark.parametrize("k", [1, 2, 30, 70])
@pytest.mark.parametrize("name", LARGE)
def test_exact_search_across_tiles(name, k):
    unit = unit_of(LARGE[name]())
    index, _ = exact_knn(unit, k)
    np.testing.assert_array_equal(index, reference.ranking(unit)[:, :k])


def spread(n, d, seed):
    """Rows whose columns differ by orders of magnitude, some too small for bfloat16 sums."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-20, 0, d)).astype(np.float32)


BOTH = (
    LARGE
    | FEATURES
    | {
        "nearly the same": lambda: (1 + 1e-4 * np.random.default_rng(6).normal(size=(700, 40))).astype(np.float32),
        "long": lambda: clustered(600, 700, 15, 1.0, 7),
        "far apart columns": lambda: spread(600, 33, 8),
    }
)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", BOTH)
def test_every_way_to_multiply_finds_the_same_neighbours(name, fast, monkeypatch):
    unit = unit_of(BOTH[name]())
    k = min(30, len(unit))
    expected = reference.ranking(unit)[:, :k]
    ways = [cpu_products.half, cpu_products.single] if fast else [cpu_products.single]
    monkeypatch.setattr(cpu_knn, "candidates", lambda unit: [way(unit) for way in ways])
    np.testing.assert_array_equal(exact_knn(unit, k)[0], expected)
    with threads() as each:  # and by this way alone, however many rows it gives up
        np.testing.assert_array_equal(search(unit, k, ways[0](torch.from_numpy(unit)), each, np.inf)[0], expected)


@pytest.mark.parametrize("name", ["long", "nearly the same", "far apart columns"])
def test_no_product_is_further_off_than_its_bound(name):
    unit = unit_of(BOTH[name]())
    true = unit.astype(np.float64) @ unit.T.astype(np.float64)
    for way in (cpu_products.half, cpu_products.single):
        products = way(torch.from_numpy(unit))
        found = products.tile(0, len(unit), 0, len(unit))
        assert (np.abs(found - true) <= products.error + products.relative * np.abs(found)).all()
    assert np.abs(cpu_products.half(torch.from_numpy(unit)).error) < 0.01


@pytest.mark.parametrize("blocks", range(1, 10))
def test_every_pair_of_blocks_meets_once_and_no_block_plays_twice_in_a_round(blocks):
    rounds = list(tournament(blocks))
    met = [pair for pairs in rounds for pair in pairs]
    assert sorted(met) == [(a, b) for a in range(blocks) for b in range(a, blocks)]
    for pairs in rounds[1:]:
        players = [block for pair in pairs for block in pair]
        assert len(players) == len(set(players))


@pytest.mark.parametrize("method", ["hnsw", "ivf"])
def test_approximate_search_reports_its_true_recall(method):
    unit = unit_of(clustered(900, 32, 300, 2.0, 4))  # fewer rows than the sample: the recall is exact
    index, _, recall = approximate_knn(unit, 10, method)
    true = reference.ranking(unit)[:, 1:10]
    expected = np.mean([len(set(a) & set(b)) / 9 for a, b in zip(true, index[:, 1:], strict=True)])
    assert recall == pytest.approx(expected)
    assert recall > 0.5
    np.testing.assert_array_equal(index[:, 0], np.arange(len(unit)))


@pytest.mark.parametrize("method", ["hnsw", "ivf"])
@pytest.mark.parametrize("name", ["clustered", "many duplicates", "one point", "two points", "fewer than k1"])
def test_approximate_labels_equal_exact_ones_where_every_neighbour_is_found(name, method):
    x = FEATURES[name]()
    result = generate_labels(x, knn=method)
    assert any(f"knn {method}: recall@" in note for note in result.notes)
    if "is 1.0000" in result.notes[-1]:
        assert torch.equal(result.labels, generate_labels(x).labels)


def test_approximate_search_without_faiss_says_what_is_missing(monkeypatch):
    real = builtins.__import__

    def without_faiss(name, *rest):
        if name == "faiss":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_faiss)
    with pytest.raises(InputError, match="knn ivf: needs FAISS"):
        approximate_knn(unit_of(FEATURES["clustered"]()), 5, "ivf")
    assert generate_labels(FEATURES["clustered"]()).num_clusters > 0  # the exact search does without


@pytest.mark.parametrize("eps", [0.05, 0.3, 0.7, 1.2])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", FEATURES)
def test_feature_space_labels_equal_the_definition(name, metric, eps):
    x = FEATURES[name]()
    distance = reference.feature_distance(x, metric)
    labels, core = reference.dbscan(distance <= eps * (1 + 1e-7), 4)
    result = generate_labels(x, metric=metric, eps=eps)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.core, core)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e18])
def test_euclidean_takes_features_as_they_are_and_zeros_too(scale):
    x = clustered(700, 12, 20, 0.4, 5) * np.float32(scale)
    x[3] = 0
    expected = DBSCAN(eps=0.4 * scale, min_samples=4).fit(x.astype(np.float64)).labels_
    np.testing.assert_array_equal(generate_labels(x, metric="euclidean", eps=0.4 * scale, memory_mb=1).labels, expected)
