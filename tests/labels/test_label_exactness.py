"""Labels, core points, edges and agreement equal the dense references, for every kind of features."""

from functools import cache

import numpy as np
import pytest
import torch
from label_sets import FEATURES, clustered, field_output

from airfast.labels import generate_labels
from airfast.labels.choose import resolve
from airfast.labels.features import unit_rows
from airfast.labels.seam import SIMILARITY_BITS
from tests.reference import labels as reference

FIELD = ("tiny", "strong", "moderate", "weak")
MEMORY = 100  # MB, ample for every set here


@cache
def true_distance(name, k1, k2):
    return reference.jaccard_distance(FEATURES[name](), k1, k2)


def edges_of(x, k1=30, k2=6, eps=0.6, memory=MEMORY):
    """All edges of the stage as a dict of pairs to distances."""
    unit = unit_rows(torch.as_tensor(x), "features")
    backend, _ = resolve("cpu", unit.device)
    k1 = min(k1, len(unit))
    encoding = backend.encode(unit, backend.knn(unit, k1, "exact", memory), k1, min(k1, k2), memory)
    found = {}
    for block in backend.edges(encoding, eps, memory):
        pairs = zip(block.row.tolist(), block.col.tolist(), strict=True)
        assert not found.keys() & set(pairs)
        found |= dict(
            zip(zip(block.row.tolist(), block.col.tolist(), strict=True), block.distance.tolist(), strict=True)
        )
    assert all(i < j for i, j in found)
    return found


@pytest.mark.parametrize("name", FIELD)
def test_field_output_labels_and_agreement(name):
    field = field_output(name)
    result = generate_labels(torch.from_numpy(field["features"]), torch.from_numpy(field["view"]))
    np.testing.assert_array_equal(result.labels, field["labels"])
    np.testing.assert_allclose(result.agreement, field["agreement"], atol=1e-6)


@pytest.mark.parametrize("name", FIELD)
def test_field_output_edges(name):
    field = field_output(name)
    upper = field["edge_row"] < field["edge_col"]
    pairs = zip(field["edge_row"][upper].tolist(), field["edge_col"][upper].tolist(), strict=True)
    expected = dict(zip(pairs, field["edge_distance"][upper].tolist(), strict=True))
    found = edges_of(field["features"])
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[pair] for pair in expected], list(expected.values()), atol=1e-5)


@pytest.mark.parametrize(("k1", "k2"), [(30, 6), (7, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("name", FEATURES)
def test_labels_equal_the_equations(name, k1, k2):
    x = FEATURES[name]()
    result = generate_labels(x, k1=k1, k2=k2)
    labels, core = reference.dbscan(true_distance(name, k1, k2) <= 0.6 + reference.SLACK, 4)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.core, core)


@pytest.mark.parametrize("eps", [0.05, 0.4, 0.5, 0.8, 0.999, 1.0])
@pytest.mark.parametrize("name", ["clustered", "weak", "duplicates", "ties"])
def test_labels_for_every_eps_and_min_samples(name, eps):
    x = FEATURES[name]()
    distance = true_distance(name, 30, 6)
    for min_samples in (1, 4, 9):
        labels, core = reference.dbscan(distance <= eps + reference.SLACK, min_samples)
        result = generate_labels(x, eps=eps, min_samples=min_samples)
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_array_equal(result.core, core)


@pytest.mark.parametrize("name", FEATURES)
def test_edges_equal_the_equations(name):
    x = FEATURES[name]()
    distance = true_distance(name, 30, 6)
    row, col = np.nonzero(np.triu(distance <= 0.6 + reference.SLACK, 1))
    found = edges_of(x)
    assert found.keys() == set(zip(row.tolist(), col.tolist(), strict=True))
    for (i, j), value in found.items():
        assert value == pytest.approx(distance[i, j], abs=1e-5)


@pytest.mark.parametrize("name", FEATURES)
def test_neighbours_are_canonical(name):
    unit = unit_rows(torch.as_tensor(FEATURES[name]()), "features")
    k = min(30, len(unit))
    near = resolve("cpu", unit.device)[0].knn(unit, k, "exact", MEMORY)
    np.testing.assert_array_equal(near.index, reference.ranking(unit.numpy())[:, :k])
    assert (near.index[:, 0] == torch.arange(len(unit))).all()
    similarity = near.similarity / (1 << SIMILARITY_BITS)
    np.testing.assert_allclose(similarity, (unit[:, None] * unit[near.index.long()]).sum(-1), atol=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_agreement_equals_equation_1(name):
    x = FEATURES[name]()
    n = len(x)
    other = clustered(n, 24, 12, 0.6, 11)
    k = min(20, n - 1)
    expected = reference.agreement(x, other, k)
    np.testing.assert_allclose(generate_labels(x, other).agreement, expected, atol=1e-6)
    np.testing.assert_allclose(generate_labels(other, (x, other)).agreement, expected, atol=1e-6)
    np.testing.assert_array_equal(generate_labels(other, (x, x)).agreement, np.ones(n))


def test_no_view_agrees_with_itself():
    assert generate_labels(FEATURES["clustered"]()).mean_agreement == 1.0
