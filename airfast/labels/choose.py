"""The choice among the devices of the label stage, made once, with its reason."""

from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from airfast.errors import InputError
from airfast.labels.groups import Groups
from airfast.labels.seam import Backend
from airfast.ranks import Ranks

if TYPE_CHECKING:
    from airfast.labels.cpu.shards import CpuShards


def resolve(name: str, device: torch.device, dbscan: str = "auto") -> tuple[Backend, str]:
    """Choose the backend by name (auto, cpu, cuda) for features on a device; returns it with the reason.

    dbscan: auto, cuml or graph; see `interop.choose_dbscan`. Raises InputError, saying what is missing, where the named
    backend or DBSCAN cannot run. Nothing falls back silently.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"backend: expected auto, cpu, cuda, found '{name}'")
    if dbscan not in ("auto", "cuml", "graph"):
        raise InputError(f"dbscan: expected auto, cuml, graph, found '{dbscan}'")
    if name == "cuda" or (name == "auto" and device.type == "cuda"):
        return _cuda(device, dbscan)
    if dbscan == "cuml":
        raise InputError(f"dbscan cuml: needs the cuda backend, found backend {name} and features on {device}")
    from airfast.labels.cpu.backend import CpuBackend

    if name == "cpu":
        return CpuBackend(), "asked for"
    if device.type != "cpu":
        raise InputError(f"backend auto: features are on {device}; expected a CPU or CUDA device")
    return CpuBackend(), "features are on the CPU" if torch.cuda.is_available() else "no CUDA device"


def over_ranks(backend: Backend, ranks: Ranks, knn: str, known: Groups | None) -> "CpuShards":
    """The backend that shares its work with other ranks; InputError for what only one can do."""
    if backend.name != "cpu":
        raise InputError(f"group: ranks share the work of the cpu backend, found {backend.name}; give backend='cpu'")
    if knn != "exact":
        raise InputError(f"group: ranks search exactly; expected knn exact, found {knn}")
    if known is not None and known.k1 is not None:
        raise InputError("group: k1=(within, across) is for one process")
    from airfast.labels.cpu.shards import CpuShards

    return CpuShards(ranks)


def _cuda(device: torch.device, dbscan: str) -> tuple[Backend, str]:
    if torch.version.cuda is None:
        raise InputError(f"backend cuda: this torch ({torch.__version__}) is built without CUDA")
    if not torch.cuda.is_available():
        raise InputError("backend cuda: torch sees no CUDA device")
    if find_spec("triton") is None:
        raise InputError("backend cuda: needs Triton, as in pip install triton")
    from airfast.labels.cuda.backend import CudaBackend
    from airfast.labels.cuda.interop import choose_dbscan, choose_search

    target = device if device.type == "cuda" else torch.device("cuda", torch.cuda.current_device())
    (search, found_by), (who, clustered_by) = choose_search(), choose_dbscan(dbscan)
    name = f"{torch.cuda.get_device_name(target)}, Triton {version('triton')}"
    return CudaBackend(target, search, who), f"{name}; kNN: {found_by}; DBSCAN: {clustered_by}"
