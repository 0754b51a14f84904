"""DBSCAN of the CUDA backend by cuML and by the edge graph: the same labels. cuML is played by scikit-learn here."""

import numpy as np
import pytest
import torch
from label_sets import DEVICE, FEATURES, border_graph, clustered
from sklearn.cluster import DBSCAN

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.errors import InputError
from airfast.labels import engine, generate_labels
from airfast.labels.cuda import dbscan as cuda_dbscan
from airfast.labels.cuda import interop
from airfast.labels.cuda.backend import CudaBackend
from airfast.labels.seam import Edges


def scan(matrix, metric, eps, min_samples):
    """scikit-learn's answer with clusters numbered backwards: the numbering must not be cuML's."""
    found = DBSCAN(eps=eps, min_samples=min_samples, metric=metric).fit(matrix.cpu().numpy())
    labels = torch.from_numpy(found.labels_).to(DEVICE)
    labels = torch.where(labels < 0, labels, labels.max() - labels)
    return labels, torch.from_numpy(found.core_sample_indices_).to(DEVICE)


@pytest.fixture
def cuml(monkeypatch):
    calls = []

    def components(apart, min_samples):
        calls.append("components")
        assert set(apart.unique().tolist()) <= {0.0, 1.0}
        return scan(apart, "precomputed", 0.5, min_samples)[0]

    def in_space(rows, min_samples):
        calls.append("in space")
        assert rows.dtype == torch.float64
        return scan(rows, "euclidean", 1.0, min_samples)

    monkeypatch.setattr(interop, "cuml_components", components)
    monkeypatch.setattr(interop, "cuml_in_space", in_space)
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE, dbscan=dbscan), "test"))
    return calls


def blocks(within, rng):
    row, col = np.nonzero(within)
    order = rng.permutation(len(row))
    return [
        Edges(*(torch.from_numpy(a[part].astype(np.int32)).to(DEVICE) for a in (row, col)), torch.zeros(len(part)))
        for part in np.array_split(order, 3)
    ]


@pytest.mark.parametrize("waiting", [3, 1 << 25])
@pytest.mark.parametrize("who", ["graph", "cuml", "auto"])
@pytest.mark.parametrize("seed", range(15))
def test_either_way_equals_scikit_learn_on_graphs_full_of_border_points(seed, who, waiting, cuml, monkeypatch):
    monkeypatch.setattr(cuda_dbscan, "WAITING", waiting)  # pairs are looked at often, or once
    rng = np.random.default_rng(seed)
    n, min_samples, within, expected = border_graph(rng)
    clusters = cuda_dbscan.cluster(blocks(within, rng), n, min_samples, who, DEVICE)
    np.testing.assert_array_equal(clusters.labels.cpu(), expected.labels_)
    np.testing.assert_array_equal(clusters.core.nonzero().flatten().cpu(), expected.core_sample_indices_)
    assert cuml == ([] if who == "graph" else ["components"])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", FEATURES)
def test_cumls_own_distances_decide_as_ours_do(name, metric, cuml):
    x = FEATURES[name]()
    for eps in (0.3, 1.2):
        theirs, ours = (generate_labels(x, metric=metric, eps=eps, dbscan=who) for who in ("cuml", "graph"))
        assert torch.equal(theirs.labels, ours.labels)
        assert torch.equal(theirs.core, ours.core)
    assert cuml == ["in space"] * 2


def test_pairs_at_the_radius_are_within_it(cuml):
    """A grid whose steps are exactly eps, and exact in float32, away from the origin."""
    x = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), -1).reshape(-1, 2).astype(np.float32) * 0.125 + 3
    for who in ("cuml", "graph"):
        assert generate_labels(x, metric="euclidean", eps=0.125, dbscan=who).num_clusters == 1


def test_jaccard_labels_by_cuml(cuml):
    x = clustered(36, 12, 3, 0.4, 0)
    theirs, ours = (generate_labels(x, k1=8, k2=3, dbscan=who) for who in ("cuml", "graph"))
    assert torch.equal(theirs.labels, ours.labels)
    assert cuml == ["components"]


def test_auto_takes_the_graph_where_the_matrix_does_not_fit(cuml, monkeypatch):
    monkeypatch.setattr(interop, "CUML_ROWS", 30)
    x = clustered(36, 12, 3, 0.4, 0)
    generate_labels(x, metric="cosine", eps=0.3)
    assert cuml == []
    with pytest.raises(InputError, match=r"dbscan cuml: expected at most 30 samples .* found 36 samples"):
        generate_labels(x, metric="cosine", eps=0.3, dbscan="cuml")


def test_cuml_out_of_memory_ends_in_the_graph(cuml, monkeypatch):
    def full(apart, min_samples):
        raise torch.OutOfMemoryError("injected")

    monkeypatch.setattr(interop, "cuml_components", full)
    rng = np.random.default_rng(3)
    n, min_samples, within, expected = border_graph(rng)
    clusters = cuda_dbscan.cluster(blocks(within, rng), n, min_samples, "auto", DEVICE)
    np.testing.assert_array_equal(clusters.labels.cpu(), expected.labels_)


def test_an_eps_too_small_for_cuml_is_an_error(cuml):
    x = np.concatenate([np.zeros((5, 4)), np.full((5, 4), 1e6)]).astype(np.float32)
    with pytest.raises(InputError, match="dbscan cuml: eps is too small beside the features' spread"):
        generate_labels(x, metric="euclidean", eps=0.01, dbscan="cuml")


def test_cuml_is_an_error_where_there_is_none():
    with pytest.raises(InputError, match="dbscan cuml: needs the cuda backend"):
        generate_labels(FEATURES["fewer than k1"](), backend="cpu", dbscan="cuml")
    with pytest.raises(InputError, match="dbscan: expected auto, cuml, graph, found 'hdbscan'"):
        generate_labels(FEATURES["fewer than k1"](), dbscan="hdbscan")
