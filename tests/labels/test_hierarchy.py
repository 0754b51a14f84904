"""HDBSCAN on the sparse graph: what scikit-learn's own finds on the whole matrix."""

import numpy as np
import pytest
import torch
from label_sets import clustered, duplicates, lattice
from scipy.sparse.csgraph import minimum_spanning_tree
from sklearn.cluster import HDBSCAN
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from airfast import InputError, JaccardHDBSCAN, jaccard_graph
from airfast.labels.hierarchy import LEAST, spanned

SETS = {
    "clustered": lambda: clustered(90, 12, 5, 0.4, 0),
    "weak": lambda: clustered(80, 24, 8, 1.2, 1),
    "duplicates": lambda: duplicates(60, 5, 2),
    "ties": lambda: lattice(48, 3),
}


def dense(x, k1, k2):
    """Every distance: 1 where the graph has none."""
    graph = jaccard_graph(x, k1, k2, radius=0.999).tocoo()
    matrix = np.ones(graph.shape)
    matrix[graph.row, graph.col] = np.maximum(graph.data, LEAST)
    return matrix


@pytest.mark.filterwarnings("ignore")  # the checks warn of their own
def test_scikit_learns_contract():
    for found in check_estimator(JaccardHDBSCAN(), on_fail=None):
        assert found["status"] in ("passed", "skipped"), found


def heights(distances, fewest):
    """Weights of the spanning tree of mutual reachability, ascending: the hierarchy but for the order of equal ones."""
    core = np.sort(distances, axis=1)[:, fewest - 1]
    reach = np.maximum(distances, np.maximum.outer(core, core))
    np.fill_diagonal(reach, 0)
    return np.sort(minimum_spanning_tree(reach).data)


@pytest.mark.parametrize("fewest", [2, 5, 9, 20])
@pytest.mark.parametrize("name", SETS)
def test_the_hierarchy_is_that_of_the_whole_matrix(name, fewest):
    x = SETS[name]()
    whole = dense(x, 12, 3)
    np.fill_diagonal(whole, LEAST)
    sparse = spanned(jaccard_graph(x, 12, 3, radius=0.999, connect=True), fewest).toarray()
    sparse[sparse == 0] = np.inf
    np.testing.assert_allclose(heights(sparse, fewest), heights(whole, fewest), atol=1e-6)


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("name", SETS)
def test_clusters_are_those_of_the_whole_matrix(name, method):
    x = SETS[name]()
    options = {"min_cluster_size": 4, "min_samples": 2, "cluster_selection_method": method}
    made = JaccardHDBSCAN(k1=12, k2=3, **options).fit(x)
    whole = HDBSCAN(metric="precomputed", copy=True, **options).fit(dense(x, 12, 3))
    assert adjusted_rand_score(made.labels_, whole.labels_) > 0.9  # not 1: where heights tie
    assert made.probabilities_.min() >= 0
    assert ((made.probabilities_ == 0) == (made.labels_ < 0)).all()
    if name == "clustered":
        assert made.labels_.max() >= 3


def test_rows_that_are_nobodys_neighbours_are_noise_and_tensors_come_back_as_such():
    x = np.concatenate([clustered(60, 12, 3, 0.1, 0), np.zeros((1, 12), np.float32)])
    made = JaccardHDBSCAN(k1=8, k2=3).fit(torch.from_numpy(x))
    assert isinstance(made.labels_, torch.Tensor)
    assert (made.labels_[-1], made.probabilities_[-1]) == (-1, 0)
    np.testing.assert_array_equal(made.labels_, JaccardHDBSCAN(k1=8, k2=3).fit_predict(x))


def test_what_is_added_is_at_distance_one_and_symmetric():
    graph = jaccard_graph(clustered(40, 12, 4, 0.3, 0), 4, 2, radius=0.3)
    wide = spanned(graph.copy(), 12)
    assert (np.diff(wide.indptr) >= 12).all()
    assert abs(wide - wide.T).max() == 0
    before, after = graph.toarray(), wide.toarray()
    known = graph.toarray() > 0
    np.testing.assert_allclose(after[known], before[known], atol=LEAST)
    added = after[(before == 0) & (after > LEAST)]
    assert len(added)
    assert (added == 1).all()


def test_too_few():
    with pytest.raises(InputError, match="X: expected at least 5 samples, found n_samples=3"):
        JaccardHDBSCAN().fit(np.eye(3, dtype=np.float32))
