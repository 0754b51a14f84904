"""The label stage on a CUDA device: torch for products, sorting and components, Triton for the sparse steps.

Nothing leaves the device but sizes. With TRITON_INTERPRET=1 every line also runs on CPU tensors, which is how the
tests of a machine without a GPU reach it. CPU twin: cpu.py and what it imports.
"""

from collections.abc import Iterable, Iterator

import torch
import triton

from airfast.errors import InputError
from airfast.labels import kernels
from airfast.labels.backend import (
    EPS_SLACK,
    SIMILARITY_BITS,
    Clusters,
    Edges,
    Encoding,
    Neighbours,
    error_bound,
    half_set,
    smallest_overlap,
)

ONE = float(1 << SIMILARITY_BITS)
LOW = 0x7FFFFFFF
ROWS = 8  # rows a program of the set kernels takes
LISTS = 16  # inverted lists a program of the join takes
BLOCK_MB = 2048  # more working memory than this makes no block faster


class CudaBackend:
    """Implements `Backend` for tensors on a CUDA device; twin of `CpuBackend`."""

    name = "cuda"

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def knn(self, unit: torch.Tensor, k: int, method: str, memory_mb: int) -> Neighbours:
        """Blocks of float32 products and top-k; candidates compared in float64; doubtful rows searched again."""
        if method != "exact":
            raise InputError(f"knn {method}: the cuda backend searches exactly; expected exact")
        n, d = unit.shape
        fetch = min(n, k + max(k // 2, 8))
        parts = []
        for first, last in _blocks(n, 12 * n + 32 * fetch, memory_mb):
            rows = torch.arange(first, last, device=unit.device)
            near, candidates = _products(unit[first:last], unit).topk(fetch)
            best = _best(rows, candidates, _dots(unit, rows.repeat_interleave(fetch), candidates.flatten()), k)
            exact = (best[:, -1] >> 32).double() / ONE
            if fetch < n:
                doubtful = (exact <= near[:, -1].double() + error_bound(d)).nonzero().flatten()
                for some in torch.split(doubtful, max(1, (last - first) // 4)):
                    best[some] = _search_again(unit, rows[some], exact[some] - error_bound(d), k)
            parts.append(best)
        best = torch.cat(parts)
        return Neighbours((LOW - (best & 0xFFFFFFFF)).int(), (best >> 32).int())

    def encode(self, unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
        """Reciprocal sets and their expansion by kernels, weights by torch, query expansion by dense blocks."""
        scale = (1 << SIMILARITY_BITS) // k2
        index = neighbours.index.contiguous()
        v = _expanded(unit, index, k1, scale, memory_mb)
        n, stride = index.shape
        parts = []
        for first, last in _blocks(n, 24 * n, memory_mb):
            total = torch.zeros((last - first, n), dtype=torch.int32, device=unit.device)
            kernels.query_expand[(last - first, k2)](index, *v, total, first, stride, n, BLOCK=64)
            row, column, weight = _at_least(total, 1)
            parts.append((row + first, column, weight))
        return Encoding(*_sparse(parts, n), scale * k2)

    def edges(self, encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
        """The join over inverted lists into dense blocks of totals, of which only those within eps are kept."""
        indptr, columns, weights = encoding.indptr, encoding.columns, encoding.weights
        n = len(indptr) - 1
        owner = torch.repeat_interleave(torch.arange(n, device=indptr.device, dtype=torch.int32), indptr.diff())
        order = torch.argsort(columns, stable=True)
        slot = torch.empty_like(order)
        slot[order] = torch.arange(len(order), device=order.device)
        start = torch.zeros_like(indptr)
        start[1:] = torch.bincount(columns, minlength=n).cumsum(0)
        lists = (owner[order], weights[order])
        least = smallest_overlap(eps, encoding.one)
        for first, last in _blocks(n, 24 * n, memory_mb):
            total = torch.zeros((last - first, n), dtype=torch.int32, device=indptr.device)
            entries = indptr[[first, last]].tolist()
            grid = (-(-(entries[1] - entries[0]) // LISTS),)
            parts = (owner, columns, weights, slot, start, *lists, total)
            kernels.join[grid](*parts, *entries, first, n, LISTS=LISTS, BLOCK=32)
            row, col, overlap = _at_least(total, least)
            m = overlap.double() / encoding.one
            distance = (1 - m / (2 - m)).clamp_min(0).float()
            yield Edges((row + first).int(), col.int(), distance)

    def near(self, rows: torch.Tensor, radius: float, memory_mb: int) -> Iterator[Edges]:
        """Blocks of float32 products rule out what is certainly further; the rest is measured in float64."""
        n, d = rows.shape
        scale = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).max().clamp_min(1e-300)
        scaled = (rows / scale).float()
        squared = scaled.double().square().sum(1)
        slack = 4 * error_bound(d)
        for first, last in _blocks(n, 32 * n, memory_mb):
            both = squared[first:last, None] + squared
            apart = both * (1 - slack) - 2 * _products(scaled[first:last], scaled)
            row, col = (apart <= (radius / scale) ** 2 * (1 + 1e-6)).nonzero().T
            row += first
            row, col = row[row < col], col[row < col]
            distance = torch.linalg.vector_norm(rows[row].double() - rows[col].double(), dim=1)
            within = distance <= radius * (1 + EPS_SLACK)
            yield Edges(row[within].int(), col[within].int(), distance[within].float())

    def cluster(self, edges: Iterable[Edges], n: int, min_samples: int) -> Clusters:
        """DBSCAN by scatter-minimum and pointer jumping; pairs wait as in cpu_dbscan until both ends are core."""
        parent = torch.arange(n, device=self.device)
        degree = torch.ones_like(parent)  # a point is its own neighbour
        waiting = torch.empty((2, 0), dtype=torch.int64, device=self.device)
        for block in edges:
            pairs = torch.stack((block.row, block.col)).long()
            degree += torch.bincount(pairs.flatten(), minlength=n)
            pairs = torch.cat((waiting, pairs), 1)
            settled = (degree[pairs] >= min_samples).all(0)
            parent = _merge(parent, pairs[:, settled])
            waiting = pairs[:, ~settled]
        return _number(degree >= min_samples, parent, waiting)

    def agree(self, first: Neighbours, second: Neighbours, k: int) -> torch.Tensor:
        """Eq. 1 by comparing every pair of the two lists."""
        a, b = first.index[:, 1 : k + 1], second.index[:, 1 : k + 1]
        common = sum(((a == b[:, c : c + 1]).sum(1) for c in range(k)), torch.zeros(len(a), device=a.device))
        return common / (2 * k - common) if k else torch.ones(len(a), device=a.device)


def _blocks(n: int, row_bytes: int, memory_mb: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose working memory fits."""
    step = max(1, (min(memory_mb, BLOCK_MB) << 20) // row_bytes)
    for first in range(0, n, step):
        yield first, min(n, first + step)


def _products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a·bᵀ in float32 proper: neither TF32 nor the caller's autocast, or the error bound would not hold."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(a.device.type, enabled=False):
            return a @ b.T
    finally:
        torch.set_float32_matmul_precision(precision)


def _dots(unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Fixed-point inner products of (P,) pairs of rows, (P,) int32."""
    out = torch.empty(len(left), dtype=torch.int32, device=unit.device)
    if len(left):
        grid = (-(-len(left) // 32),)
        kernels.fixed_dots[grid](unit, left, right, out, len(left), unit.shape[1], ONE, PAIRS=32, COLUMNS=64)
    return out


def _best(rows: torch.Tensor, candidates: torch.Tensor, dots: torch.Tensor, k: int) -> torch.Tensor:
    """The rows themselves, then the largest keys, (R, k) int64; a key is similarity above, negated index below."""
    key = (dots.view(candidates.shape).long() << 32) | (LOW - candidates)
    key = key.masked_fill(candidates == rows[:, None], torch.iinfo(torch.int64).min)
    itself = (1 << (SIMILARITY_BITS + 32)) | (LOW - rows[:, None])
    return torch.cat((itself, key.topk(k - 1).values), 1)


def _search_again(unit: torch.Tensor, rows: torch.Tensor, floor: torch.Tensor, k: int) -> torch.Tensor:
    """As `_best`, over every row whose float32 similarity reaches the floor."""
    row, column = (_products(unit[rows], unit) >= floor[:, None]).nonzero().T
    key = torch.full((len(rows), len(unit)), torch.iinfo(torch.int64).min, device=unit.device)
    key[row, column] = (_dots(unit, rows[row], column).long() << 32) | (LOW - column)
    key[torch.arange(len(rows), device=unit.device), rows] = torch.iinfo(torch.int64).max
    best = key.topk(k).values
    best[:, 0] = (1 << (SIMILARITY_BITS + 32)) | (LOW - rows)
    return best


def _expanded(
    unit: torch.Tensor, index: torch.Tensor, k1: int, scale: int, memory_mb: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """METHOD 3.3–3.4: V before query expansion as (indptr, columns, weights); a row's weights sum to `scale`."""
    n, stride = index.shape
    half = half_set(k1)
    widths = {"K": triton.next_power_of_2(k1), "H": triton.next_power_of_2(half)}
    flags = torch.empty((n, k1), dtype=torch.int32, device=index.device)
    kernels.reciprocal[(-(-n // ROWS),)](index, flags, n, stride, k1, half, ROWS=ROWS, K=widths["K"])
    parts = []
    for first, last in _blocks(n, 64 * k1 * (1 + half), memory_mb):
        found = torch.empty((last - first, k1 * (1 + half)), dtype=torch.int32, device=index.device)
        grid = (-(-(last - first) // ROWS),)
        kernels.expand[grid](index, flags, found, first, last, stride, k1, half, ROWS=ROWS, **widths)
        found = found.sort(1).values
        fresh = found >= 0
        fresh[:, 1:] &= found[:, 1:] != found[:, :-1]
        row = fresh.nonzero()[:, 0]
        column = found[fresh].long()
        near = torch.where(column == row + first, 1 << SIMILARITY_BITS, _dots(unit, row + first, column))
        # exp(−d) as an integer, so that its sum over a row is exact in any order
        soft = torch.exp(2 * (near.double() / ONE - 1)).mul(2.0**40).long()
        total = torch.zeros(last - first, dtype=torch.int64, device=index.device).index_add_(0, row, soft)
        parts.append((row + first, column, (soft.double() / total[row] * scale).round()))
    return _sparse(parts, n)


def _at_least(total: torch.Tensor, least: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    row, column = (total >= least).nonzero().T
    return row, column, total[row, column]


def _sparse(
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], n: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Blocks of (row, column, weight), rows ascending, as (indptr, columns, weights)."""
    row, column, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=row.device)
    indptr[1:] = torch.bincount(row, minlength=n).cumsum(0)
    return indptr, column.int(), weight.int()


def _merge(parent: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Join the sets of each pair under the smaller root; every parent is a root before and after."""
    while True:
        low, high = parent[pairs].aminmax(dim=0)
        if bool((low == high).all()):
            return parent
        parent = parent.scatter_reduce(0, high, low, "amin")
        while bool((parent != (above := parent[parent])).any()):
            parent = above


def _number(core: torch.Tensor, parent: torch.Tensor, waiting: torch.Tensor) -> Clusters:
    """Number the components by their smallest core index; a border point takes the smallest adjacent number."""
    n = len(core)
    number = (core & (parent == torch.arange(n, device=core.device))).cumsum(0) - 1
    labels = torch.where(core, number[parent], -1)
    source, target = torch.cat((waiting, waiting.flip(0)), 1)
    border = core[source] & ~core[target]
    smallest = torch.full_like(labels, n).scatter_reduce(0, target[border], labels[source[border]], "amin")
    return Clusters(torch.where(smallest < n, smallest, labels), core)
