"""The label stage in scikit-learn's shape: its contract, its labels, and new rows beside brute force."""

import pickle

import numpy as np
import pytest
import torch
from label_sets import clustered, duplicates, lattice
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from airfast import JaccardDBSCAN, generate_labels
from tests.reference.predict import predict as reference

SETS = {
    "clustered": lambda: clustered(90, 12, 5, 0.4, 0),
    "weak": lambda: clustered(80, 24, 8, 1.2, 1),
    "duplicates": lambda: duplicates(60, 5, 2),
    "ties": lambda: lattice(48, 3),
    "fewer than k1": lambda: clustered(9, 4, 2, 0.3, 3),
}


@pytest.mark.filterwarnings("ignore")  # the checks warn of their own
def test_scikit_learns_contract():
    for found in check_estimator(JaccardDBSCAN(), on_fail=None):
        assert found["status"] in ("passed", "skipped"), found


@pytest.mark.parametrize("name", SETS)
def test_labels_are_those_of_the_function(name):
    x = SETS[name]()
    found, made = generate_labels(x, k1=12, k2=3), JaccardDBSCAN(k1=12, k2=3).fit(x)
    np.testing.assert_array_equal(made.labels_, found.labels)
    np.testing.assert_array_equal(made.core_sample_indices_, found.core.nonzero()[:, 0])
    np.testing.assert_array_equal(made.components_, x[found.core.numpy()])
    np.testing.assert_array_equal(JaccardDBSCAN(k1=12, k2=3).fit_predict(x), found.labels)


@pytest.mark.parametrize(("k1", "k2", "eps"), [(12, 3, 0.6), (8, 1, 0.5), (1, 1, 0.6)])
@pytest.mark.parametrize("name", SETS)
def test_new_rows_are_where_brute_force_puts_them(name, k1, k2, eps):
    x, rng = SETS[name](), np.random.default_rng(5)
    blends = 0.5 * (x[rng.integers(0, len(x), 20)] + x[rng.integers(0, len(x), 20)])
    new = np.concatenate([x[:15] + 0.1 * rng.normal(size=(min(15, len(x)), x.shape[1])), blends, x[:5]])
    new = new[np.abs(new).sum(1) > 0].astype(np.float32)
    made = JaccardDBSCAN(eps=eps, min_samples=3, k1=k1, k2=k2).fit(x)
    expected = reference(x, new, eps, 3, k1, k2)
    np.testing.assert_array_equal(made.predict(new), expected)
    if name == "clustered" and k1 == 12:
        assert len(set(expected)) > 3  # clusters, and noise: something is shown


def test_rows_are_predicted_one_by_one():
    x, new = SETS["weak"](), clustered(30, 24, 8, 1.2, 9)
    made = JaccardDBSCAN(k1=12, k2=3, eps=0.7).fit(x)
    one_by_one = np.concatenate([made.predict(row[None]) for row in new])
    np.testing.assert_array_equal(made.predict(new), one_by_one)


@pytest.mark.parametrize(("metric", "eps"), [("euclidean", 1.3), ("cosine", 0.2)])
def test_other_metrics_find_the_nearest_core_sample(metric, eps):
    x, new = SETS["clustered"](), clustered(40, 12, 5, 0.5, 7)
    made = JaccardDBSCAN(metric=metric, eps=eps).fit(x)
    theirs = DBSCAN(eps=eps, min_samples=4, metric=metric).fit(x)
    np.testing.assert_array_equal(made.labels_, theirs.labels_)
    core = x[theirs.core_sample_indices_]
    for row, label in zip(new, made.predict(new), strict=True):
        unlike = np.linalg.norm(core - row, axis=1)
        if metric == "cosine":
            unlike = 1 - core @ row / np.linalg.norm(core, axis=1) / np.linalg.norm(row)
        nearest = theirs.labels_[theirs.core_sample_indices_[unlike.argmin()]]
        assert label == (nearest if unlike.min() <= eps else -1)


def test_torch_in_torch_out_and_zero_rows_are_noise():
    x = torch.from_numpy(SETS["clustered"]())
    x[3] = 0
    made = JaccardDBSCAN(k1=12, k2=3).fit(x)
    assert isinstance(made.labels_, torch.Tensor)
    assert made.labels_[3] == -1
    rest = torch.cat([x[:3], x[4:]])
    assert torch.equal(torch.cat([made.labels_[:3], made.labels_[4:]]), generate_labels(rest, k1=12, k2=3).labels)
    predicted = made.predict(x[:6])
    assert isinstance(predicted, torch.Tensor)
    assert predicted[3] == -1
    assert (JaccardDBSCAN().fit(torch.zeros(5, 3)).labels_ == -1).all()


def test_it_clones_pickles_and_stands_in_a_pipeline():
    x = SETS["clustered"]()
    made = clone(JaccardDBSCAN(k1=12, k2=3, eps=0.5))
    assert made.get_params()["eps"] == 0.5
    with pytest.raises(NotFittedError):
        made.predict(x)
    made.fit(x)
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(again.predict(x[:9] * 1.1), made.predict(x[:9] * 1.1))
    assert len(make_pipeline(StandardScaler(), JaccardDBSCAN(k1=12, k2=3)).fit_predict(x)) == len(x)


@pytest.mark.parametrize(
    ("x", "settings", "message"),
    [
        (np.ones((0, 3)), {}, "minimum of 1 is required"),
        (np.full((5, 3), np.nan), {}, "contains NaN"),
        (np.ones((5, 3)), {"eps": 1.5}, "eps: expected a value"),
        (np.ones((5, 3)), {"metric": "manhattan"}, "metric: expected"),
        (np.ones(5), {}, "Expected 2D array"),
        (torch.ones(5, 3).int(), {}, "expected a floating dtype"),
    ],
)
def test_wrong_inputs_are_value_errors_of_one_line(x, settings, message):
    with pytest.raises(ValueError, match=message):
        JaccardDBSCAN(**settings).fit(x)


def test_new_rows_of_another_width():
    made = JaccardDBSCAN(k1=5).fit(torch.randn(12, 4))
    with pytest.raises(ValueError, match="X has 3 features, but JaccardDBSCAN is expecting 4"):
        made.predict(torch.randn(2, 3))
