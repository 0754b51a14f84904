"""Labels over several eps: SpCL's reliabilities by their dense definition, and the eps that is suggested."""

import numpy as np
import pytest
import torch
from label_sets import clustered, lattice

from airfast import generate_labels, stability
from airfast.errors import InputError
from airfast.labels.stability import plateau


def dense(labels):
    """(N, N): whether two samples share a cluster; noise is alone."""
    same = labels[:, None] == labels[None, :]
    same[labels < 0] = False
    np.fill_diagonal(same, True)
    return same


@pytest.mark.parametrize("x", [clustered(90, 12, 6, 0.9, 0), lattice(60, 3)])
def test_reliabilities_are_spcls(x):
    found = stability(x, (0.7, 0.4, 0.55), k1=12, k2=3)
    assert list(found.table["eps"]) == [0.4, 0.55, 0.7]
    same = []
    for eps, made in zip((0.4, 0.55, 0.7), found.sets, strict=True):
        assert torch.equal(made.labels, generate_labels(x, k1=12, k2=3, eps=eps).labels)
        same.append(dense(made.labels.numpy()))
    tight, middle, loose = same
    np.testing.assert_allclose(found.compactness[1], (middle & tight).sum(1) / (middle | tight).sum(1), rtol=1e-6)
    np.testing.assert_allclose(found.independence[1], (middle & loose).sum(1) / (middle | loose).sum(1), rtol=1e-6)
    assert found.compactness[0].isnan().all()
    assert found.independence[2].isnan().all()
    assert (found.compactness[1] < 1).any()


def test_a_plateau_is_found_and_said():
    import pandas as pd

    rows = {"eps": [0.4, 0.5, 0.6, 0.7], "clusters": [9, 5, 5, 1], "noise_share": [0.5, 0.1, 0.1, 0]}
    assert plateau(pd.DataFrame(rows | {"ami_next": [0.4, 0.95, 0.1, np.nan]})) == (
        0.5,
        "labels change least there: AMI 0.40 with 0.4 and 0.95 with 0.6",
    )
    none = pd.DataFrame(rows | {"clusters": [0, 1, 1, 1], "ami_next": [0, 1, 1, np.nan]})
    assert plateau(none) == (0.6, "no eps gives two clusters or more; the middle of those tried")


def test_few_eps_show_nothing():
    with pytest.raises(InputError, match="at least three different values, found 2"):
        stability(np.ones((5, 2), np.float32), (0.5, 0.6, 0.6))
