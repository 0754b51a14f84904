"""The figures of a label table, against plain loops."""

import numpy as np
import pytest
import torch
from label_sets import clustered
from sklearn.metrics import adjusted_mutual_info_score

from airfast.labels import generate_labels
from airfast.labels.cuda.interop import frame
from airfast.labels.statistics import adjusted_mutual_information, contingency, describe_frame


def table(labels, **more):
    labels = torch.tensor(labels)
    size = torch.tensor([int((labels == label).sum()) if label >= 0 else 0 for label in labels])
    agreement = torch.linspace(0, 1, len(labels))
    columns = {"label": labels, "agreement": agreement, "core": labels >= 0, "cluster_size": size}
    return frame({"index": torch.arange(len(labels))} | columns | {k: torch.tensor(v) for k, v in more.items()})


def test_figures_of_a_small_table():
    facts = describe_frame(table([0, 0, 1, -1, 1, 1]))
    assert facts["clusters"] == 2
    assert facts["noise_share"] == pytest.approx(1 / 6)
    assert facts["core_share"] == pytest.approx(5 / 6)
    assert facts["mean_agreement"] == pytest.approx(0.5)
    assert [facts[f"{which}_cluster"] for which in ("smallest", "median", "largest")] == [2, 2.5, 3]
    # agreement is 0, .2, .4, .6, .8, 1: cluster 0 has the first two, cluster 1 the third, fifth and sixth
    assert facts["lowest_agreement"] == pytest.approx(0.1)
    assert facts["highest_agreement"] == pytest.approx(2.2 / 3)
    assert "moved_share" not in facts


def test_moves_do_not_depend_on_numbers():
    now = [0, 0, 0, 1, 1, -1]
    assert describe_frame(table(now, before=[5, 5, 5, 2, 2, -1]))["moved_share"] == 0
    assert describe_frame(table(now, before=[5, 5, 2, 2, 2, 5]))["moved_share"] == pytest.approx(1 / 6)
    rng = np.random.default_rng(0)
    now, before = rng.integers(-1, 6, 200), rng.integers(-1, 9, 200)
    stayed = sum(np.bincount(before[now == label] + 1).max() for label in set(now))
    assert describe_frame(table(now.tolist(), before=before.tolist()))["moved_share"] == pytest.approx(1 - stayed / 200)


def test_all_noise():
    facts = describe_frame(table([-1, -1, -1], before=[-1, -1, 0]))
    assert facts["clusters"] == 0
    assert facts["noise_share"] == 1
    assert "largest_cluster" not in facts


def test_the_label_set_says_the_same():
    x = clustered(200, 16, 6, 0.5, 0)
    found = generate_labels(x, x[:, :8], k1=8, k2=3)
    facts = describe_frame(found.to_frame())
    assert facts["clusters"] == found.num_clusters
    assert facts["noise_share"] == found.noise_share
    assert facts["mean_agreement"] == pytest.approx(found.mean_agreement)


def test_mutual_information_from_the_contingency_table():
    rng = np.random.default_rng(1)
    known, labels = rng.integers(0, 5, 300), rng.integers(-1, 7, 300)
    counts = contingency(torch.from_numpy(known), torch.from_numpy(labels), 8)  # one cluster more than is used
    assert counts.shape == (5, 9)
    for c in range(5):
        for label in range(-1, 8):
            assert counts[c, label + 1] == ((known == c) & (labels == label)).sum()
    assert adjusted_mutual_information(counts) == pytest.approx(adjusted_mutual_info_score(known, labels))
