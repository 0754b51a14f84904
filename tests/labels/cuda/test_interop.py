"""What can be tested of the bridges without the libraries: who is chosen and why, faults, and calls to stand-ins.

The stand-ins have the signatures of the wheels that benchmarks/REPORT.md lists; what they cannot show is that the
libraries do what they say on a card.
"""

import sys
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from airfast.errors import InputError
from airfast.labels.cuda import interop


@pytest.fixture(autouse=True)
def _forget():
    interop.missing.cache_clear()
    yield
    interop.missing.cache_clear()


def module(monkeypatch, name, **content):
    found = types.ModuleType(name)
    found.__dict__.update(content)
    found.__path__ = []
    monkeypatch.setitem(sys.modules, name, found)
    return found


def test_who_is_chosen_and_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuvs", None)
    monkeypatch.setitem(sys.modules, "cuml", None)
    module(monkeypatch, "faiss", __version__="1.15.1", get_num_gpus=lambda: 0)
    source, why = interop.choose_search()
    assert source == "torch"
    assert "FAISS: a CPU build" in why
    assert interop.choose_dbscan("auto")[0] == "graph"
    with pytest.raises(InputError, match="dbscan cuml: cuML: "):
        interop.choose_dbscan("cuml")
    module(monkeypatch, "faiss", __version__="1.15.1", get_num_gpus=lambda: 1)
    assert interop.choose_search() == ("faiss", "FAISS-GPU 1.15.1")


def test_cuvs_and_cuml_where_they_are(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for name in ("cuvs", "cuvs.neighbors", "cuvs.neighbors.brute_force", "cuml"):
        module(monkeypatch, name, __version__="26.10.0")
    assert interop.choose_search()[0] == "cuvs"
    assert interop.choose_dbscan("auto") == ("auto", "cuML 26.10.0 up to 32,768 samples, beyond it the edge graph")
    assert interop.choose_dbscan("cuml") == ("cuml", "cuML 26.10.0, asked for")
    assert interop.choose_dbscan("graph")[0] == "graph"


def test_a_library_that_does_not_import_says_why(monkeypatch, tmp_path):
    (tmp_path / "halfthere.py").write_text("raise RuntimeError('no driver\\nmore')")
    (tmp_path / "needy.py").write_text("import surely_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    assert interop.missing("halfthere") == "does not import: no driver"
    assert interop.missing("needy") == "needs surely_not_there"
    assert interop.missing("surely_not_there") == "not installed"
    assert interop.missing("surely_not_there.inside") == "not installed"
    assert interop.version("numpy") == np.__version__


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("std::bad_alloc: out_of_memory: CUDA error"),
        RuntimeError("StandardGpuResources: alloc fail ... (cudaMalloc error out of memory [2])"),
        type("CuvsException", (Exception,), {})("std::bad_alloc: out_of_memory: CUDA error at ..."),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_running_out_of_memory_is_one_error(error):
    with pytest.raises(torch.OutOfMemoryError), interop.out_of_memory():
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="illegal"), interop.out_of_memory():
        raise RuntimeError("an illegal memory access was encountered")


def test_faiss_is_called_as_its_torch_bridge_has_it(monkeypatch):
    told, calls = {}, []

    class Resources:
        def setTempMemory(self, size):
            told["temporary"] = size

        def setPinnedMemory(self, size):
            told["pinned"] = size

    def knn_gpu(res, xq, xb, k, D=None, I=None, metric=1, device=-1, use_cuvs=False):  # noqa: E741
        assert metric == 0
        assert xq.is_contiguous()
        calls.append(len(xq))
        return (xq @ xb.T).topk(k)

    faiss = module(monkeypatch, "faiss", METRIC_INNER_PRODUCT=0, StandardGpuResources=Resources, knn_gpu=knn_gpu)
    for name in ("faiss.contrib", "faiss.contrib.torch_utils"):
        module(monkeypatch, name)
    faiss.contrib = sys.modules["faiss.contrib"]
    rows = torch.eye(5)
    near, found = interop.faiss_search(rows, 1000)(rows[[3, 1]], 1)
    assert found.flatten().tolist() == [3, 1]
    assert near.flatten().tolist() == [1, 1]
    assert told == {"temporary": 250 << 20, "pinned": 0}
    # 16 MB of temporary memory hold two tiles of 64 queries and 16,384 keys in float32: more queries are cut up
    interop.faiss_search(torch.ones(16_384, 1), 1)(torch.ones(150, 1), 1)
    assert calls == [2, 128, 22]


def test_cuvs_is_called_as_its_wheel_has_it(monkeypatch):
    order = []

    class Resources:
        def __init__(self, stream=None):
            pass

        def sync(self):
            order.append("sync")

    def build(dataset, metric="sqeuclidean", metric_arg=2.0, resources=None):
        assert metric == "inner_product"
        order.append("build")
        return dataset

    def search(index, queries, k, neighbors=None, distances=None, resources=None, prefilter=None):
        order.append("search")
        best = (queries @ index.T).topk(k)
        distances.copy_(best.values)
        neighbors.copy_(best.indices)

    module(monkeypatch, "cuvs")
    module(monkeypatch, "cuvs.common", Resources=Resources)
    brute_force = module(monkeypatch, "cuvs.neighbors.brute_force", build=build, search=search)
    module(monkeypatch, "cuvs.neighbors", brute_force=brute_force)
    near, found = interop.cuvs_search(torch.eye(5))(torch.eye(5)[[3, 1]], 1)
    assert found.flatten().tolist() == [3, 1]
    assert near.dtype == torch.float32
    assert order == ["build", "sync", "search", "sync"]


def test_cuml_is_called_as_its_wheel_has_it(monkeypatch):
    from sklearn.cluster import DBSCAN as Real

    class DBSCAN:
        def __init__(
            self,
            *,
            eps=0.5,
            min_samples=5,
            metric="euclidean",
            algorithm="brute",
            verbose=False,
            max_mbytes_per_batch=None,
            output_type=None,
            calc_core_sample_indices=True,
        ):
            assert output_type == "cupy"
            assert max_mbytes_per_batch >= 1
            self.wants_core = calc_core_sample_indices
            self.real = Real(eps=eps, min_samples=min_samples, metric=metric)

        def fit(self, X, y=None, sample_weight=None, *, out_dtype="int32"):
            if self.wants_core:
                X, by = X
                assert by == "cupy"  # of a tensor cuML keeps a float32 copy of the core points
            self.real.fit(X.numpy())
            self.labels_ = torch.from_numpy(self.real.labels_.astype(out_dtype))
            core = torch.from_numpy(self.real.core_sample_indices_.astype(out_dtype))
            self.core_sample_indices_ = core if self.wants_core else None
            return self

    module(monkeypatch, "cuml")
    module(monkeypatch, "cuml.cluster", DBSCAN=DBSCAN)
    module(monkeypatch, "cupy", from_dlpack=lambda tensor: (tensor, "cupy"))
    apart = torch.tensor([[0.0, 0, 1], [0, 0, 1], [1, 1, 0]])
    assert interop.cuml_components(apart, 2).tolist() == [0, 0, -1]
    labels, core = interop.cuml_in_space(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64), 2)
    assert labels.tolist() == [0, 0, -1]
    assert core.tolist() == [0, 1]


def test_on_the_cpu_a_frame_is_pandas():
    frame = interop.frame({"label": torch.tensor([1, 0]), "core": torch.tensor([True, False])})
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["core"]) == [True, False]


def csr(starts, columns, kind):
    return torch.sparse_csr_tensor(
        torch.tensor(starts, dtype=kind),
        torch.tensor(columns, dtype=kind),
        torch.rand(len(columns)),
        (len(starts) - 1,) * 2,
        check_invariants=False,
    )


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_a_graph_crosses_to_cupyx_without_a_copy(monkeypatch):
    graph = csr([0, 2, 3], [0, 1, 1], torch.int32)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match="cupyx_csr: CuPy: "):
        interop.cupyx_csr(graph)
    interop.missing.cache_clear()
    module(monkeypatch, "cupy", from_dlpack=np.from_dlpack)
    for name in ("cupyx", "cupyx.scipy"):
        module(monkeypatch, name)
    module(monkeypatch, "cupyx.scipy.sparse", csr_matrix=scipy.sparse.csr_matrix)
    found = interop.cupyx_csr(graph)
    np.testing.assert_array_equal(found.toarray(), graph.to_dense())
    for theirs, ours in ((found.data, graph.values()), (found.indices, graph.col_indices())):
        assert theirs.__array_interface__["data"][0] == ours.data_ptr()


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_what_cannot_cross_to_cupyx():
    with pytest.raises(InputError, match="expected a torch CSR tensor, found csr_array"):
        interop.cupyx_csr(scipy.sparse.csr_array((2, 2)))
    with pytest.raises(InputError, match=r"expected indices of int32, which cupyx has, found torch\.int64"):
        interop.cupyx_csr(csr([0, 1, 2], [1, 0], torch.int64))
