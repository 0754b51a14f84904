"""Who finds the candidates of the exact search: a Triton kernel in float16, then FAISS, cuVS or torch in float32.

All of them multiply rows about their mean. Features of one encoder share a direction, and what products lose grows with
the length of what is multiplied: about the mean it is a tenth of that, and neighbours can be told apart. Of unit rows
u = m + c the product is u_i·u_j = (m·m + m·c_i) + c_i·c_j + m·c_j: a number of the row i, a product, a number of the
column j.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from airfast.labels.cuda import interop, kernels
from airfast.labels.cuda.blocks import BLOCK_MB, by_rows
from airfast.labels.seam import error_bound, grid_error

COLUMNS = 1 << 16  # of a tile of products
FAISS_LARGEST_K = 2048
# Tensor cores truncate where they add up: twice the error of rounding.
TENSOR_CORE_SLACK = 2
PADDED = 8  # columns beside c: m·c_j, and zeros, so that rows stay aligned
TILE = 128  # rows and columns of a tile of the kernel
DEPTH = 64  # columns of c the kernel multiplies at once
PANEL = 16  # tiles side by side that read the same rows while these are in the cache
SAMPLE = 2048  # rows a threshold is guessed from, at least
SHARE = 8  # at most so many rows stand behind one of the sample

Candidates = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Find = Callable[[torch.Tensor], Candidates]


@dataclass(frozen=True)
class Search:
    """One way to find candidates.

    find(rows): for (R,) int64 rows some candidates each: similarity (R, F) float64, -inf where there is none, index
    (R, F) int64, the row itself where there is none, and (R,) float64, what no other row's similarity exceeds. bound:
    (N,) float64, how far a row's similarities can be off. row_bytes: working memory of a row, up to `block_mb` MB at
    once.
    """

    find: Find
    bound: torch.Tensor
    row_bytes: int
    block_mb: int


@dataclass(frozen=True)
class Centre:
    """The mean m of unit rows, and about it: shift (N,) m·c_j and length (N,) ‖c‖, float64."""

    mean: torch.Tensor
    shift: torch.Tensor
    length: torch.Tensor

    @property
    def base(self) -> torch.Tensor:
        """(N,) float64: what a row's products about the mean lack, the shift of the column apart."""
        return self.shift + self.mean.double().square().sum()

    def rounding(self) -> torch.Tensor:
        """(N,) float64: what c loses as float32 (2⁻²⁴ of it, beside a row of length 1), m·c_j as float32, the grid."""
        c = 2.0**-24 * (self.length + self.length.max())
        return 1.01 * (c + 2.0**-24 * self.shift.abs().max()) + grid_error(len(self.mean))


def searches(source: str, unit: torch.Tensor, k: int, half: bool, memory_mb: int) -> Iterator[Search]:
    """The searches to try in turn for the k nearest of (N, D) float32 unit rows: float16 if asked for, then float32.

    source: faiss, cuvs or torch, who searches in float32.
    """
    fetch = min(len(unit), k + max(k // 2, 16))
    mean = unit.sum(0, dtype=torch.float64).div(len(unit)).float()
    if half:
        yield half_search(unit, mean, fetch, memory_mb)
    yield single_search(source, unit, mean, fetch, memory_mb)


def about(unit: torch.Tensor, mean: torch.Tensor, out: torch.Tensor) -> tuple[Centre, torch.Tensor]:
    """Write c into the first N rows and D columns of `out`; its centre, and (N,) float64, how far `out` is from c."""
    n, d = unit.shape
    shift, length, residual = (torch.empty(n, dtype=torch.float64, device=unit.device) for _ in range(3))
    block = max(1, (1 << 24) // d)  # rows; 128 MB of float64 at a time
    for first in range(0, n, block):
        part = slice(first, first + block)
        c = unit[part].double() - mean.double()
        out[:n][part, :d] = c
        shift[part] = c @ mean.double()
        length[part] = torch.linalg.vector_norm(c, dim=1)
        residual[part] = torch.linalg.vector_norm(c - out[:n][part, :d].double(), dim=1)
    return Centre(mean, shift, length), residual


def half_search(unit: torch.Tensor, mean: torch.Tensor, fetch: int, memory_mb: int) -> Search:
    """float16 products on tensor cores that are never written: a kernel keeps those above a threshold of the row.

    |c_i·c_j − h_i·h_j| ≤ ‖c_i − h_i‖‖c_j‖ + ‖h_i‖‖c_j − h_j‖, with the residuals of these very rows, and what adding up
    in float32 loses.
    """
    n, d = unit.shape
    rows = torch.zeros((_up(n, TILE), _up(d, DEPTH)), dtype=torch.float16, device=unit.device)
    centre, residual = about(unit, mean, rows)
    longest = centre.length.max() + residual.max()
    products_of_halves = residual * longest + (centre.length + residual) * residual.max()
    sums = TENSOR_CORE_SLACK * error_bound(d + 1) * ((centre.length + residual) * longest + centre.shift.abs().max())
    shift = centre.shift.float()
    rank, capacity = ranks(n, fetch)
    floor = thresholds(rows[:n], shift, rank, memory_mb)
    base = centre.base

    def find(which: torch.Tensor) -> Candidates:
        near, found, least = emit(rows, shift, floor, which, fetch, capacity)
        return near.double() + base[which, None], found, least.double() + base[which]

    return Search(find, products_of_halves + sums + centre.rounding(), 12 * capacity + 48 * fetch, memory_mb)


def ranks(n: int, fetch: int) -> tuple[int, int]:
    """Which best of a sample is the threshold of a row, and how many candidates it may have.

    Behind one of the sample stand q = step(n) rows. Above its r-th best are about q·r of all, to q·√r: r is such that
    three times that below there are still `fetch`, and five times above the buffer is full. Rows that fall outside are
    searched again.
    """
    q = _step(n)
    rank = fetch
    if q > 1:
        rank = next(r for r in range(1, fetch + 16) if q * (r - 3 * math.sqrt(r)) >= fetch)
    return min(rank, n), min(n, _up(math.ceil(q * (rank + 5 * math.sqrt(rank))), 16))


def thresholds(rows: torch.Tensor, shift: torch.Tensor, rank: int, memory_mb: int) -> torch.Tensor:
    """(N,) float32: the rank-th best of every q-th row, products about the mean and shifts of the columns."""
    q = _step(len(rows))
    sample, theirs = rows[::q], shift[::q]
    if rank == len(sample):
        return torch.full_like(shift, -torch.inf)

    def block(first: int, last: int) -> torch.Tensor:
        return (products(rows[first:last], sample) + theirs).topk(rank, sorted=False).values.amin(1)

    return torch.cat(list(by_rows(len(rows), 12 * len(sample), memory_mb, block)))


def emit(
    rows: torch.Tensor, shift: torch.Tensor, floor: torch.Tensor, which: torch.Tensor, fetch: int, capacity: int
) -> Candidates:
    """The best `fetch` of what the kernel keeps for some rows, or for all, where one product serves two rows."""
    n, wanted = len(floor), len(which)
    everything = wanted == n
    count = torch.zeros(wanted, dtype=torch.int32, device=rows.device)
    near = torch.full((wanted, capacity), -torch.inf, device=rows.device)
    found = which.int()[:, None].repeat(1, capacity)
    if everything:
        left = rows
    else:
        left = torch.zeros((_up(wanted, TILE), rows.shape[1]), dtype=rows.dtype, device=rows.device)
        left[:wanted] = rows[which]
    ids, floor = which.int(), floor[which]
    across = _up(n, TILE) // TILE
    for top in range(0, _up(wanted, TILE) // TILE, PANEL):
        begin = top if everything else 0
        arguments = (left, rows, ids, shift, floor, count, near, found, wanted, n, rows.shape[1], capacity, top, begin)
        kernels.launch(
            kernels.emit,
            (PANEL * (across - begin),),
            *arguments,
            BOTH=everything,
            TILE=TILE,
            DEPTH=DEPTH,
            PANEL=PANEL,
            num_warps=8,
        )
    best, at = near.topk(min(fetch, capacity))
    # What is not among the best is below the last of them; what was not kept is below the threshold.
    least = torch.where(count > fetch, best[:, -1], floor)
    return best, found.gather(1, at).long(), torch.where(count > capacity, torch.inf, least)


def single_search(source: str, unit: torch.Tensor, mean: torch.Tensor, fetch: int, memory_mb: int) -> Search:
    """float32 products by one library: c beside a column of m·c_j, and queries with a one there."""
    n, d = unit.shape
    keys = torch.zeros((n, d + PADDED), device=unit.device)
    centre, _ = about(unit, mean, keys)
    keys[:, d] = centre.shift
    library = finder(source, keys, memory_mb)
    base = centre.base

    def find(which: torch.Tensor) -> Candidates:
        near, found = library(queries(keys, d, which), fetch)
        least = near.amin(1) if fetch < n else torch.full_like(near[:, 0], -torch.inf)
        return near.double() + base[which, None], found, least.double() + base[which]

    return Search(find, single_bound(centre, d), 8 * min(n, COLUMNS) + 6 * d + 64 * fetch, BLOCK_MB)


def single_bound(centre: Centre, d: int) -> torch.Tensor:
    """(N,) float64: how far float32 products about the mean can be from the fixed-point ones."""
    added = centre.length * centre.length.max() + centre.shift.abs().max()
    return error_bound(d + PADDED) * added + centre.rounding()


def queries(keys: torch.Tensor, d: int, which: torch.Tensor) -> torch.Tensor:
    """Rows of `keys` (N, D + PADDED) as what is to be multiplied with them: a one where they have m·c."""
    rows = keys[which]
    rows[:, d] = 1
    return rows


def finder(source: str, keys: torch.Tensor, memory_mb: int) -> interop.Find:
    """The search of one library over (N, D) float32 keys, by inner product."""
    if source == "faiss":
        search = interop.faiss_search(keys, memory_mb)
        alone = torch_search(keys)
        return lambda rows, fetch: (search if fetch <= FAISS_LARGEST_K else alone)(rows, fetch)
    return interop.cuvs_search(keys) if source == "cuvs" else torch_search(keys)


def torch_search(keys: torch.Tensor) -> interop.Find:
    """Tiles of products, the best of each, and the best of those."""

    def find(rows: torch.Tensor, fetch: int) -> tuple[torch.Tensor, torch.Tensor]:
        near = torch.empty((len(rows), 0), device=rows.device)
        found = torch.empty((len(rows), 0), dtype=torch.int64, device=rows.device)
        for first in range(0, len(keys), COLUMNS):
            tile = products(rows, keys[first : first + COLUMNS])
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


def _step(n: int) -> int:
    return max(1, min(SHARE, n // SAMPLE))


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
