"""The same bits on every run, for every number of threads and every memory limit; DBSCAN as scikit-learn's."""

import numpy as np
import pytest
import torch
from label_sets import FEATURES, border_graph, clustered

from airfast.labels import generate_labels
from airfast.labels.cpu.backend import CpuBackend
from airfast.labels.seam import Edges


def everything(x, **options):
    result = generate_labels(x, clustered(len(x), 16, 9, 0.5, 21), **options)
    return result.labels.numpy(), result.core.numpy(), result.agreement.numpy(), result.cluster_size.numpy()


@pytest.mark.parametrize("name", ["clustered", "weak", "duplicates", "ties"])
def test_same_bits_for_every_number_of_threads(name):
    x = FEATURES[name]()
    many = everything(x)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = everything(x)
        torch.set_num_threads(3)
        three = everything(x)
        assert torch.get_num_threads() == 3  # the stage leaves the caller's setting alone
    finally:
        torch.set_num_threads(before)
    for a, b, c in zip(many, one, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


@pytest.mark.parametrize("name", ["clustered", "all the same", "one giant cluster"])
def test_same_bits_for_every_memory_limit(name):
    x = FEATURES[name]()
    for a, b in zip(everything(x), everything(x, memory_mb=1), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("seed", range(30))
def test_cluster_equals_scikit_learn_on_graphs_full_of_border_points(seed):
    rng = np.random.default_rng(seed)
    n, min_samples, within, expected = border_graph(rng)
    row, col = np.nonzero(within)
    order = rng.permutation(len(row))  # edges may come in any order, in any blocks
    blocks = [
        Edges(*(torch.from_numpy(a[part].astype(np.int32)) for a in (row, col)), torch.zeros(len(part)))
        for part in np.array_split(order, int(rng.integers(1, 5)))
    ]
    clusters = CpuBackend().cluster(blocks, n, min_samples)
    np.testing.assert_array_equal(clusters.labels, expected.labels_)
    np.testing.assert_array_equal(clusters.core.nonzero().flatten(), expected.core_sample_indices_)


def test_scaling_and_dtype_do_not_matter():
    x = FEATURES["clustered"]()
    expected = generate_labels(x).labels
    assert torch.equal(generate_labels(torch.from_numpy(x) * 7.0).labels, expected)
    assert torch.equal(generate_labels(torch.from_numpy(x).double()).labels, expected)
    assert torch.equal(generate_labels(torch.from_numpy(x).requires_grad_()).labels, expected)
