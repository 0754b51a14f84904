"""The CUDA backend: its kernels in Triton's interpreter on small CPU tensors here, on the device where there is one.

Same assertions as for the CPU backend; and the two backends give the same bits.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from label_sets import DEVICE, FEATURES, border_graph, clustered, duplicates, field_output, lattice

from airfast.labels import engine, generate_labels
from airfast.labels.choose import resolve
from airfast.labels.cpu.backend import CpuBackend
from airfast.labels.features import unit_rows
from airfast.labels.seam import Edges
from tests.reference import labels as reference

pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")

from airfast.labels.cuda import kernels
from airfast.labels.cuda.backend import CudaBackend

SMALL = {  # an interpreted program takes milliseconds: a few dozen rows
    "clustered": lambda: clustered(21, 12, 3, 0.4, 0),
    "weak": lambda: clustered(18, 24, 6, 3.0, 1),
    "duplicates": lambda: duplicates(20, 5, 2),
    "all the same": lambda: np.ones((18, 5), np.float32),
    "ties": lambda: lattice(20, 3),
    "two points": FEATURES["two points"],
    "one point": FEATURES["one point"],
    "fewer than k1": FEATURES["fewer than k1"],
}


@pytest.fixture
def on_cuda(monkeypatch):
    """The engine with the CUDA backend on whatever device there is."""
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE), "test"))


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.parametrize(("k1", "k2"), [(12, 4), (7, 3), (1, 1)])
@pytest.mark.parametrize("name", SMALL)
def test_labels_equal_the_equations(name, k1, k2):
    x = SMALL[name]()
    result = generate_labels(x, k1=k1, k2=k2)
    labels, core = reference.labels(x, k1=k1, k2=k2)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.core, core)
    assert result.backend == "cuda"


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.parametrize("name", SMALL)
def test_agreement_equals_equation_1(name):
    x = SMALL[name]()
    k = min(20, len(x) - 1)
    other = clustered(len(x), 12, 3, 0.4, 5)
    result = generate_labels(x, other, metric="cosine")  # the shortest way to the agreement
    np.testing.assert_allclose(result.agreement, reference.agreement(x, other, k), atol=1e-6)


@pytest.mark.parametrize("memory", [1, 100])
@pytest.mark.parametrize("name", SMALL)
def test_every_step_gives_the_bits_of_the_cpu_backend(name, memory):
    unit = unit_rows(torch.as_tensor(SMALL[name]()), "features")
    k1 = min(12, len(unit))
    encodings, edges = [], []
    for backend in (CpuBackend(), CudaBackend(DEVICE)):
        there = unit.to(backend.device)
        near = backend.knn(there, k1, "exact", memory)
        np.testing.assert_array_equal(near.index.cpu(), reference.ranking(unit.numpy())[:, :k1])
        encoding = backend.encode(there, near, k1, min(3, k1), memory)
        dense = torch.zeros(len(unit), len(unit), dtype=torch.int64)
        row = torch.repeat_interleave(torch.arange(len(unit)), encoding.indptr.cpu().diff())
        encodings.append(dense.index_put((row, encoding.columns.cpu().long()), encoding.weights.cpu().long()))
        blocks = [(b.row.cpu(), b.col.cpu(), b.distance.cpu()) for b in backend.edges(encoding, 0.6, memory)]
        found = [torch.cat(part) for part in zip(*blocks, strict=True)] if blocks else [torch.empty(0)] * 3
        edges.append(sorted(zip(*(part.tolist() for part in found), strict=True)))
    # exp may differ in its last bit between libraries: one unit for each of the k2 rows added up, if any
    assert (encodings[0] - encodings[1]).abs().max() <= 3
    assert [pair[:2] for pair in edges[0]] == [pair[:2] for pair in edges[1]]
    np.testing.assert_allclose([p[2] for p in edges[0]], [p[2] for p in edges[1]], atol=1e-6)


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", FEATURES)
def test_feature_space_labels_equal_the_definition(name, metric):
    x = FEATURES[name]()
    for eps in (0.05, 0.3, 1.2):
        labels, core = reference.dbscan(reference.feature_distance(x, metric) <= eps * (1 + 1e-7), 4)
        result = generate_labels(x, metric=metric, eps=eps, memory_mb=1)
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_array_equal(result.core, core)


@pytest.mark.parametrize("seed", range(20))
def test_cluster_equals_scikit_learn_on_graphs_full_of_border_points(seed):
    n, min_samples, within, expected = border_graph(np.random.default_rng(seed))
    row, col = (torch.from_numpy(a.astype(np.int32)).to(DEVICE) for a in np.nonzero(within))
    cut = len(row) // 2
    blocks = [Edges(row[s], col[s], torch.zeros_like(row[s])) for s in (slice(cut, None), slice(cut))]
    clusters = CudaBackend(DEVICE).cluster(blocks, n, min_samples)
    np.testing.assert_array_equal(clusters.labels.cpu(), expected.labels_)
    np.testing.assert_array_equal(clusters.core.nonzero().flatten().cpu(), expected.core_sample_indices_)


@pytest.mark.usefixtures("on_cuda")
def test_every_kernel_runs_while_the_device_of_the_features_is_the_current_one(monkeypatch):
    """Triton launches on the current device, whichever the tensors are on; a machine of one device cannot tell."""
    guards, launched = [], []

    @contextmanager
    def device_of(tensor):
        guards.append(tensor.device)
        yield
        guards.pop()

    def launch(kernel, *arguments, real=kernels.launch, **constants):
        assert guards == [DEVICE]
        launched.append(kernel)
        real(kernel, *arguments, **constants)

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(kernels, "launch", launch)
    x = SMALL["clustered"]()
    generate_labels(x, x[:, :6], k1=7, k2=3, agreement_k=5)
    assert set(launched) == {
        kernels.emit, kernels.fixed_dots, kernels.reciprocal, kernels.expand, kernels.query_expand, kernels.join
    }  # fmt: skip


@pytest.mark.usefixtures("on_cuda")
def test_field_output():
    field = field_output("tiny")
    result = generate_labels(field["features"], field["view"])
    np.testing.assert_array_equal(result.labels, field["labels"])
    np.testing.assert_allclose(result.agreement, field["agreement"], atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ["tiny", "strong", "moderate", "weak"])
def test_field_outputs_on_the_device(name):
    field = field_output(name)
    features, view = (torch.from_numpy(field[key]).cuda() for key in ("features", "view"))
    first, again = (generate_labels(features, view) for _ in range(2))
    assert first.labels.is_cuda
    assert torch.equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.labels.cpu(), field["labels"])
    np.testing.assert_allclose(first.agreement.cpu(), field["agreement"], atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", FEATURES)
def test_device_labels_equal_cpu_labels(name):
    x = torch.from_numpy(FEATURES[name]())
    there, here = generate_labels(x.cuda()), generate_labels(x, backend="cpu")
    assert torch.equal(there.labels.cpu(), here.labels)
    assert torch.equal(there.core.cpu(), here.core)
    assert resolve("auto", torch.device("cuda"))[0].name == "cuda"
