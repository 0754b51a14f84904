"""The one place that knows FAISS, cuVS, cuML, CuPy and cuDF, and how torch's tensors reach them without a copy.

Memory is shared by the CUDA array interface or DLPack and never copied. torch works on its current stream, RAPIDS on
streams of its own and torch's array interface names none, so `ordered` waits on both sides of a call; FAISS is given
torch's stream. Allocators are left as they are: torch keeps its own, importing cuML or cuDF gives CuPy that of RMM, and
before a large call torch's cache is handed back to the device. Running out of memory is torch.OutOfMemoryError,
whoever ran out.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from airfast.errors import InputError, in_one_line
from airfast.labels.cuda.blocks import release

CUML_ROWS = 32_768  # a dense matrix of float32 distances is 4.3 GB there, and cuML still takes one batch
TEMPORARY_MB = 512  # what FAISS may take of its own for a search, and cuVS aims at

Find = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


@cache
def missing(package: str) -> str:
    """Why a package cannot be used, in a few words; empty where it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries say of each other while they load
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        own = error.name in (package, package.partition(".")[0])
        return "not installed" if own else f"needs {error.name}"
    except Exception as error:  # a GPU library can fail to load in its own ways: without driver, of another CUDA
        return f"does not import: {in_one_line(error)}"
    return ""


def version(package: str) -> str:
    """The version of a package, or why it cannot be used."""
    return missing(package) or str(getattr(importlib.import_module(package), "__version__", "found"))


def missing_faiss() -> str:
    """As `missing`, for FAISS with a GPU."""
    if why := missing("faiss"):
        return why
    import faiss

    return "" if faiss.get_num_gpus() else "a CPU build, or it sees no GPU"


def choose_search() -> tuple[str, str]:
    """Who finds the candidates of the exact search on a GPU (faiss, cuvs or torch), and why."""
    if not (no_faiss := missing_faiss()):
        return "faiss", f"FAISS-GPU {version('faiss')}"
    if not (no_cuvs := missing("cuvs.neighbors.brute_force")):
        return "cuvs", f"cuVS {version('cuvs')} (FAISS: {no_faiss})"
    return "torch", f"torch (FAISS: {no_faiss}; cuVS: {no_cuvs})"


def choose_dbscan(asked: str) -> tuple[str, str]:
    """Who runs DBSCAN on a GPU (auto, cuml or graph; auto is both, by size), and why.

    Raises InputError where cuML is asked for and cannot be used.
    """
    if asked == "graph":
        return "graph", "edge graph, asked for"
    no_cuml = missing("cuml")
    if asked == "cuml" and no_cuml:
        raise InputError(f"dbscan cuml: cuML: {no_cuml}")
    if no_cuml:
        return "graph", f"edge graph (cuML: {no_cuml})"
    asked_for = ", asked for" if asked == "cuml" else f" up to {CUML_ROWS:,} samples, beyond it the edge graph"
    return asked, f"cuML {version('cuml')}{asked_for}"


@contextmanager
def ordered(device: torch.device) -> Iterator[None]:
    """Torch's work before the block is done when the block begins, and the block's when torch goes on."""
    on_device = device.type == "cuda"
    if on_device:
        torch.cuda.current_stream(device).synchronize()
    with out_of_memory():
        yield
    if on_device:
        torch.cuda.synchronize(device)


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Whatever a library raises when the device is full becomes torch.OutOfMemoryError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # RMM's is a MemoryError, FAISS's a RuntimeError, cuVS's of its own kind
        text = str(error).lower().replace("_", " ")
        if isinstance(error, MemoryError) or "out of memory" in text or "bad alloc" in text:
            raise torch.OutOfMemoryError(str(error)) from error
        raise


def make_room(size: int, device: torch.device) -> None:
    """Hand torch's cache back where a library is about to allocate more bytes than the device has free."""
    if device.type == "cuda" and torch.cuda.mem_get_info(device)[0] < size:
        release()


def faiss_search(keys: torch.Tensor, memory_mb: int) -> Find:
    """FAISS's exact search over (N, D) float32 keys, by inner product, on torch's current stream.

    Its temporary memory is bounded (by default it would take 1.5 GB) and nothing is pinned: no data comes from the
    host. Halves are not for it: its float16 products bar tensor cores. Returns find(queries, fetch): similarity and
    index of the `fetch` ≤ 2,048 keys nearest to (R, D) queries.
    """
    import faiss
    import faiss.contrib.torch_utils  # lets knn_gpu take tensors

    temporary = min(TEMPORARY_MB, max(16, memory_mb // 4)) << 20
    make_room(2 * temporary, keys.device)
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(temporary)
    resources.setPinnedMemory(0)

    # Its tiles are as wide as the keys and not bounded by the temporary memory; two of float32 are in use at a time.
    rows = max(64, temporary // (8 * len(keys)))

    def find(queries: torch.Tensor, fetch: int) -> tuple[torch.Tensor, torch.Tensor]:
        metric, device = faiss.METRIC_INNER_PRODUCT, keys.device.index or 0
        with out_of_memory():
            parts = [
                faiss.knn_gpu(resources, some, keys, fetch, metric=metric, device=device)
                for some in torch.split(queries, rows)
            ]
        near, found = (torch.cat(part) for part in zip(*parts, strict=True))
        return near, found

    return find


def cuvs_search(keys: torch.Tensor) -> Find:
    """cuVS's brute force over (N, D) float32 keys, by inner product; its index is a view of them."""
    from cuvs.common import Resources
    from cuvs.neighbors import brute_force

    make_room(2 * TEMPORARY_MB << 20, keys.device)
    resources = Resources()
    with ordered(keys.device):
        index = brute_force.build(keys, metric="inner_product", resources=resources)
        resources.sync()

    def find(queries: torch.Tensor, fetch: int) -> tuple[torch.Tensor, torch.Tensor]:
        near = torch.empty((len(queries), fetch), device=keys.device)
        found = torch.empty((len(queries), fetch), dtype=torch.int64, device=keys.device)
        with ordered(keys.device):
            brute_force.search(index, queries, fetch, neighbors=found, distances=near, resources=resources)
            resources.sync()
        return near, found

    return find


def cuml_components(apart: torch.Tensor, min_samples: int) -> torch.Tensor:
    """cuML's DBSCAN on an (N, N) float32 matrix that holds 0 for pairs within eps and 1 beyond: labels (N,) int64.

    Compared with 0.5, no distance is rounded. All rows are one batch; the bound that asks for it is on cuML's own
    estimate of a batch, at most N·(5N + 13) bytes: a row of adjacency as bool, its indices as int32, and degrees.
    Core points are not asked for: that would copy their rows.
    """
    from cuml.cluster import DBSCAN

    batch = len(apart) * (5 * len(apart) + 13)
    make_room(batch, apart.device)
    scan = DBSCAN(
        eps=0.5,
        min_samples=min_samples,
        metric="precomputed",
        max_mbytes_per_batch=batch // 1_000_000 + 1,
        calc_core_sample_indices=False,
        output_type="cupy",
    )
    with ordered(apart.device):
        found = scan.fit(apart, out_dtype="int32").labels_
    return _taken(found).long()


def cuml_in_space(rows: torch.Tensor, min_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cuML's DBSCAN on (N, D) float64 rows with a radius of 1, which its float32 eps holds exactly.

    Returns labels (N,) int64 and the indices of the core points (C,) int64. Always Euclidean: cuML's own cosine divides
    columns by the norms of rows.
    """
    from cuml.cluster import DBSCAN

    batch = len(rows) * (5 * len(rows) + 13)
    make_room(batch + rows.nbytes, rows.device)  # with the core points come their rows
    scan = DBSCAN(
        eps=1.0,
        min_samples=min_samples,
        metric="euclidean",
        max_mbytes_per_batch=batch // 1_000_000 + 1,
        calc_core_sample_indices=True,
        output_type="cupy",
    )
    import cupy

    with ordered(rows.device):
        scan.fit(cupy.from_dlpack(rows), out_dtype="int32")  # of a tensor cuML would make float32
    return _taken(scan.labels_).long(), _taken(scan.core_sample_indices_).long()


def _taken(array: Any) -> torch.Tensor:
    """A CuPy array as a tensor on the same memory."""
    tensor: torch.Tensor = torch.utils.dlpack.from_dlpack(array)
    return tensor


def cupyx_csr(graph: torch.Tensor) -> Any:
    """The graph that `jaccard_graph` gives of CUDA features as a ``cupyx.scipy.sparse.csr_matrix`` on the same memory.

    By DLPack: nothing is copied, so that what sorts the indices of one in place does so in the other. The entries of a
    row are sorted by distance, which cupyx finds out for itself where it asks for another order.

    Args:
        graph: (N, N) torch CSR tensor on a GPU, fewer than 2³¹ entries.

    Raises:
        InputError: another layout, more entries than cupyx numbers, or no CuPy to be imported.
    """
    if not isinstance(graph, torch.Tensor) or graph.layout != torch.sparse_csr:
        raise InputError(f"cupyx_csr: expected a torch CSR tensor, found {type(graph).__name__}")
    if graph.col_indices().dtype != torch.int32:
        raise InputError(f"cupyx_csr: expected indices of int32, which cupyx has, found {graph.col_indices().dtype}")
    if no_cupy := missing("cupy") or missing("cupyx.scipy.sparse"):
        raise InputError(f"cupyx_csr: CuPy: {no_cupy}")
    import cupy
    from cupyx.scipy.sparse import csr_matrix

    with ordered(graph.device):
        parts = (graph.values(), graph.col_indices(), graph.crow_indices())
        return csr_matrix(tuple(cupy.from_dlpack(each) for each in parts), shape=tuple(graph.shape))


def frame(columns: dict[str, torch.Tensor]) -> Any:
    """Columns (N,) as a data frame where they are: cuDF's on a GPU that has cuDF, otherwise pandas'."""
    first = next(iter(columns.values()))
    if first.is_cuda and not missing("cudf") and not missing("cupy"):
        import cudf
        import cupy

        with ordered(first.device):
            return cudf.DataFrame({name: cupy.asarray(column) for name, column in columns.items()})
    import pandas as pd

    return pd.DataFrame({name: column.cpu().numpy() for name, column in columns.items()})
