"""The drop-ins beside what the re-ID codes compute, in dense loops."""

import numpy as np
import pytest
import torch

from airfast.compat import compute_cross_agreement, compute_jaccard_distance, compute_ranked_list, re_ranking
from airfast.errors import InputError
from tests.reference import labels as reference


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5, 16))[rng.integers(0, 5, 70)] + rng.normal(size=(70, 16))
    return torch.from_numpy(rows.astype(np.float32))


def test_jaccard_distances_dense_and_sparse(features, capsys):
    expected = reference.jaccard_distance(features.numpy(), 12, 4)
    np.fill_diagonal(expected, 0)
    dense = compute_jaccard_distance(features, k1=12, k2=4)
    assert "70² are below 1; dense they take 0 MB" in capsys.readouterr().out
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense, expected, atol=1e-6)
    half = compute_jaccard_distance(features, k1=12, k2=4, print_flag=False, use_float16=True)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, expected, atol=1e-3)
    graph = compute_jaccard_distance(features, k1=12, k2=4, sparse=True)
    assert graph.nnz == (expected < 1).sum()
    assert capsys.readouterr().out == ""


def test_ranked_lists_leave_out_the_sample(features):
    np.testing.assert_array_equal(compute_ranked_list(features, 9), reference.ranking(features.numpy())[:, 1:10])


def test_agreement_of_several_parts(features):
    other = torch.randn(70, 16, generator=torch.Generator().manual_seed(1))
    parts = torch.stack([features, features.flip(1), other], 2)
    found = compute_cross_agreement(features, parts, 7)
    assert found.shape == (70, 3)
    for p in range(3):
        expected = reference.agreement(features.numpy(), parts[:, :, p].numpy(), 7)
        np.testing.assert_allclose(found[:, p], expected, atol=1e-6)
    assert (found[:, 0] == 1).all()


def ranked_again(q_g, q_q, g_g, k1, k2, share):
    """Zhong et al. 2017, Section 3, as its public code has it: dense arrays, one sample at a time."""
    queries = len(q_q)
    d = np.concatenate([np.concatenate([q_q, q_g], 1), np.concatenate([q_g.T, g_g], 1)], 0).astype(np.float32)
    d = np.transpose(d**2 / (d**2).max(0))
    rank, n = np.argsort(d, 1, kind="stable"), len(d)

    def sets(i, k):
        return [j for j in rank[i, : k + 1] if i in rank[j, : k + 1]]

    v = np.zeros((n, n))
    for i in range(n):
        members = list(sets(i, k1))
        for q in sets(i, k1):
            theirs = sets(q, int(np.around(k1 / 2)))
            if len(np.intersect1d(theirs, sets(i, k1))) > 2 / 3 * len(theirs):
                members += theirs
        members = np.unique(members)
        v[i, members] = np.exp(-d[i, members]) / np.exp(-d[i, members]).sum()
    if k2 != 1:
        v = np.stack([v[rank[i, :k2]].mean(0) for i in range(n)])
    m = np.array([[np.minimum(v[i], v[j]).sum() for j in range(n)] for i in range(queries)])
    return ((1 - m / (2 - m)) * (1 - share) + d[:queries] * share)[:, queries:]


@pytest.mark.parametrize(("k1", "k2", "share"), [(8, 3, 0.3), (5, 1, 0.0), (20, 6, 1.0)])
def test_re_ranking_is_that_of_2017(features, k1, k2, share):
    x = features.double().numpy()
    whole = np.linalg.norm(x[:, None] - x[None], axis=2)
    q_g, q_q, g_g = whole[:12, 12:], whole[:12, :12], whole[12:, 12:]
    found = re_ranking(q_g, q_q, g_g, k1, k2, share)
    np.testing.assert_allclose(found, ranked_again(q_g, q_q, g_g, k1, k2, share), atol=1e-5)


def test_wrong_inputs(features):
    with pytest.raises(InputError, match="k: expected 1 to 69 for 70 rows, found 70"):
        compute_ranked_list(features, 70)
    with pytest.raises(InputError, match=r"features_p: expected \(70, D, P\), found \(70, 16\)"):
        compute_cross_agreement(features, features, 5)
    with pytest.raises(InputError, match=r"re_ranking: expected \(3, 3\) and \(4, 4\)"):
        re_ranking(np.ones((3, 4)), np.ones((3, 4)), np.ones((4, 4)))


@pytest.mark.parametrize("code", ["cluster-contrast", "SpCL", "PPLR"])
def test_the_codes_make_what_they_made_before(code):
    pytest.importorskip("faiss", reason="the codes' search")
    from benchmarks.dropins import WAYS, differences

    generator = torch.Generator().manual_seed(3)
    centres, noise = (torch.randn(count, 24, generator=generator) for count in (8, 160))
    x = torch.nn.functional.normalize(centres[torch.arange(160) % 8] + 0.4 * noise)
    parts = torch.stack([x, torch.nn.functional.normalize(x + 0.1 * torch.randn(x.shape, generator=generator))], 2)
    before, *others = (work(x, parts) for work in WAYS[code].values())
    assert len(np.unique(before["labels"])) > 3
    for after in others:
        assert before.keys() == after.keys()
        found = differences(before, after)
        assert found["different_labels"] == 0
        assert found.get("largest_difference", 0) < 1e-6  # float32
