"""The sparse graph of Jaccard distances, and several eps of one search, beside the dense reference."""

import numpy as np
import pytest
import torch
from label_sets import clustered, duplicates, lattice
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.neighbors import NearestNeighbors

from airfast import generate_labels, jaccard_graph
from airfast.errors import InputError
from tests.reference import labels as reference

SETS = {
    "clustered": lambda: clustered(90, 12, 5, 0.4, 0),
    "weak": lambda: clustered(80, 24, 8, 2.0, 1),
    "duplicates": lambda: duplicates(60, 5, 2),
    "ties": lambda: lattice(48, 3),
    "one row": lambda: np.ones((1, 3), np.float32),
}


@pytest.mark.parametrize("radius", [0.4, 0.99])
@pytest.mark.parametrize("name", SETS)
def test_the_graph_holds_every_distance_within_the_radius(name, radius):
    x = SETS[name]()
    graph = jaccard_graph(x, 12, 3, radius=radius)
    expected = reference.jaccard_distance(x, 12, 3)
    assert graph.dtype == np.float32
    n = len(x)
    for i in range(n):
        part = slice(graph.indptr[i], graph.indptr[i + 1])
        there, distance = graph.indices[part], graph.data[part]
        within = np.flatnonzero((expected[i] <= radius + reference.SLACK) | (np.arange(n) == i))
        assert sorted(there) == sorted(within)
        assert (there[0], distance[0]) == (i, 0)  # itself first, stored
        np.testing.assert_allclose(distance, np.where(there == i, 0, expected[i, there]), atol=1e-6)
        assert [*zip(distance[1:], there[1:], strict=True)] == sorted(zip(distance[1:], there[1:], strict=True))
    assert abs(graph - graph.T).max() == 0


def test_other_clusterings_take_it():
    x = SETS["clustered"]()
    graph = jaccard_graph(x, 12, 3, radius=0.8)
    ours = generate_labels(x, k1=12, k2=3, eps=0.5).labels
    theirs = DBSCAN(eps=0.5 + reference.SLACK, min_samples=4, metric="precomputed").fit(graph).labels_
    np.testing.assert_array_equal(ours, theirs)
    graph, joined = (jaccard_graph(x, 12, 3, radius=0.99, connect=each) for each in (False, True))
    assert HDBSCAN(metric="precomputed", min_cluster_size=4, copy=True).fit(joined).labels_.max() >= 3
    links = joined - graph
    assert set(links.data[links.data != 0]) == {1.0}


@pytest.mark.parametrize("name", ["clustered", "weak", "ties"])
def test_neighbours_may_be_found_elsewhere(name):
    x = SETS[name]()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = jaccard_graph(x, 12, 3)
    index = reference.ranking(x)[:, :16]
    for given in (index, index[:, 1:], torch.from_numpy(index).int()):
        found = jaccard_graph(x, 12, 3, neighbours=given)
        assert (found != expected).nnz == 0
    if name != "ties":  # whose order is the search's own
        theirs = NearestNeighbors(n_neighbors=12, metric="cosine").fit(unit).kneighbors(return_distance=False)
        assert (jaccard_graph(x, 12, 3, neighbours=theirs) != expected).nnz == 0


def test_several_eps_are_each_as_alone():
    x = SETS["weak"]()
    many = (0.7, 0.3, 0.6, 1.0, 0.3)
    together = generate_labels(x, (x, x[:, ::-1].copy()), eps=many, k1=12, k2=3, agreement_k=5)
    for eps, found in zip(many, together, strict=True):
        alone = generate_labels(x, (x, x[:, ::-1].copy()), eps=eps, k1=12, k2=3, agreement_k=5)
        for name in ("labels", "core", "agreement", "cluster_size"):
            assert torch.equal(getattr(found, name), getattr(alone, name)), (eps, name)
    assert len({found.num_clusters for found in together}) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 1.0}, r"radius: expected a value in \(0, 1\), found 1\.0"),
        ({"k1": 0}, "k1: expected at least 1, found 0"),
        ({"neighbours": np.zeros((3, 12), int)}, r"neighbours: expected \(90, K\) integers, found \(3, 12\)"),
        ({"neighbours": np.zeros((90, 12))}, r"neighbours: expected \(90, K\) integers"),
        ({"neighbours": np.full((90, 12), 90)}, "expected rows 0 to 89"),
        ({"neighbours": np.tile([0, 1, 1], (90, 4))}, "row 0 names a row twice"),
        ({"neighbours": np.tile(np.arange(5), (90, 1))}, "fewer than the 29 that k1=30 asks for"),
    ],
)
def test_wrong_inputs_are_one_line(change, message):
    with pytest.raises(InputError, match=message):
        jaccard_graph(SETS["clustered"](), **change)


def test_several_eps_are_of_the_jaccard_distance():
    with pytest.raises(InputError, match="eps: expected one value for metric cosine, found 2"):
        generate_labels(np.ones((3, 2), np.float32), metric="cosine", eps=(0.1, 0.2))
    with pytest.raises(InputError, match="found 0"):
        generate_labels(np.ones((3, 2), np.float32), eps=())
