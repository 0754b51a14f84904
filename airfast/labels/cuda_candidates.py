"""Who finds the candidates of the exact search: FAISS-GPU, cuVS, or products and top-k of torch.

Each takes the whole matrix once and then rows of it, and says by how much its similarities can be wrong.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from airfast.labels import interop
from airfast.labels.backend import SIMILARITY_BITS, error_bound

COLUMNS = 1 << 16  # of a tile of products
FAISS_LARGEST_K = 2048
# cuVS may form float32 products from three of TF32 (about 2⁻²¹ each): eight times the error of float32 proper.
CUVS_SLACK = 8
# Tensor cores truncate where they add up: twice the error of rounding.
TENSOR_CORE_SLACK = 2

Find = Callable[[torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Search:
    """One way to find candidates.

    find(rows, fetch): for (R,) int64 rows the `fetch` ≤ N rows that look nearest, in any order: similarity
    (R, fetch) float32 and index (R, fetch) int64. bound: (N,) float64, how far a row's similarities can be off.
    """

    find: Find
    bound: torch.Tensor


def searches(source: str, unit: torch.Tensor, half: bool, memory_mb: int) -> Iterator[Search]:
    """The searches to try in turn on (N, D) float32 unit rows: in float16 if asked for, then in float32.

    source: faiss, cuvs or torch.
    """
    slack = CUVS_SLACK if source == "cuvs" else 1
    if half:
        rounded = unit.half()  # three bits more than bfloat16, and the entries of a unit row cannot overflow it
        yield Search(finder(source, rounded, memory_mb), half_bound(unit, rounded, slack * TENSOR_CORE_SLACK))
    bound = torch.full((len(unit),), slack * error_bound(unit.shape[1]), dtype=torch.float64, device=unit.device)
    yield Search(finder(source, unit, memory_mb), bound)


def finder(source: str, rows: torch.Tensor, memory_mb: int) -> Find:
    """The search of one library over (N, D) float16 or float32 rows."""
    if source == "faiss":
        search = interop.faiss_search(rows, memory_mb)
        alone = torch_search(rows)
        return lambda which, fetch: (search if fetch <= FAISS_LARGEST_K else alone)(which, fetch)
    return interop.cuvs_search(rows) if source == "cuvs" else torch_search(rows)


def half_bound(unit: torch.Tensor, rounded: torch.Tensor, slack: int) -> torch.Tensor:
    """(N,) float64: |x·y − h_x·h_y| ≤ ‖x − h_x‖‖y‖ + ‖h_x‖‖y − h_y‖ for every y, and what adding up in float32 loses.

    The residuals are those of these very rows, not the worst that float16 allows: about 2⁻¹² of a unit row.
    """
    residual = torch.empty(len(unit), dtype=torch.float64, device=unit.device)
    length = torch.empty_like(residual)  # of the rounded rows
    block = max(1, (1 << 22) // unit.shape[1])  # rows; 32 MB of float64 at a time
    for first in range(0, len(unit), block):
        part = slice(first, first + block)
        residual[part] = torch.linalg.vector_norm(unit[part].double() - rounded[part].double(), dim=1)
        length[part] = torch.linalg.vector_norm(rounded[part].double(), dim=1)
    whole = 1 + 2.0**-23  # ‖y‖: a unit row in float32
    products_of_halves = residual * whole + length * residual.max()
    return products_of_halves + slack * error_bound(unit.shape[1]) * length * length.max() + 2.0**-SIMILARITY_BITS


def torch_search(rows: torch.Tensor) -> Find:
    """Tiles of products, the best of each, and the best of those."""

    def find(which: torch.Tensor, fetch: int) -> tuple[torch.Tensor, torch.Tensor]:
        queries = rows[which]
        near = torch.empty((len(which), 0), device=rows.device)
        found = torch.empty((len(which), 0), dtype=torch.int64, device=rows.device)
        for first in range(0, len(rows), COLUMNS):
            tile = products(queries, rows[first : first + COLUMNS])
            best = tile.topk(min(fetch, tile.shape[1]), sorted=False)
            near = torch.cat((near, best.values), 1)
            found = torch.cat((found, best.indices + first), 1)
            near, at = near.topk(min(fetch, near.shape[1]), sorted=False)
            found = found.gather(1, at)
        return near, found

    return find


def products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a·bᵀ added up and handed out in float32, for float16 or float32 rows.

    Neither TF32, nor sums in float16, nor the caller's autocast, or no bound would hold.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision, matmul.allow_fp16_reduced_precision_reduction
    matmul.fp32_precision, matmul.allow_fp16_reduced_precision_reduction = "ieee", False
    try:
        with torch.autocast(a.device.type, enabled=False):
            if a.dtype == torch.float16 and a.is_cuda:
                return torch.mm(a, b.T, out_dtype=torch.float32)
            return a.float() @ b.float().T  # torch's CPU has no out_dtype; products of halves are exact in float32
    finally:
        matmul.fp32_precision, matmul.allow_fp16_reduced_precision_reduction = before
