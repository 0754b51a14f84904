"""k-reciprocal encoding and the Jaccard join on a CUDA device (METHOD 3.3–3.6).

Kernels build the sets and add up what they share; torch does the rest. CPU twins: cpu_jaccard.py, cpu_join.py.
"""

from collections.abc import Iterator

import torch
import triton

from airfast.labels import kernels
from airfast.labels.backend import SIMILARITY_BITS, Edges, Encoding, half_set, smallest_overlap
from airfast.labels.cuda_blocks import by_rows
from airfast.labels.cuda_knn import ONE, fixed_dots

ROWS = 8  # rows a program of `reciprocal` takes
EXPANDED = (
    2  # rows a program of `expand` takes: with 8, K = 128 and H = 64 spill kilobytes a thread and compile a minute
)
LISTS = 16  # inverted lists a program of the join takes

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def encode(unit: torch.Tensor, index: torch.Tensor, k1: int, k2: int, memory_mb: int) -> Encoding:
    """METHOD 3.3–3.5 from the neighbours (N, k) int32: V after query expansion, by dense blocks of totals."""
    # A row of V sums to `one` / k2 and a row after query expansion to `one`, which must stay below 2**31.
    scale = (1 << SIMILARITY_BITS) // k2
    v = _expanded(unit, index, k1, scale, memory_mb)
    n, stride = index.shape

    def block(first: int, last: int) -> Sparse:
        total = torch.zeros((last - first, n), dtype=torch.int32, device=unit.device)
        grid = (last - first, k2)
        kernels.launch(kernels.query_expand, grid, index, *v, total, first, stride, n, BLOCK=64)
        row, column, weight = _at_least(total, 1)
        return row + first, column, weight

    return Encoding(*_sparse(by_rows(n, 24 * n, memory_mb, block), n), scale * k2)


def join(encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
    """METHOD 3.6: every pair with Jaccard distance ≤ eps, by inverted lists into dense blocks of totals."""
    indptr, columns, weights = encoding.indptr, encoding.columns, encoding.weights
    n, entries = len(indptr) - 1, len(columns)
    owner = torch.repeat_interleave(
        torch.arange(n, device=indptr.device, dtype=torch.int32), indptr.diff(), output_size=entries
    )
    order = torch.argsort(columns, stable=True)
    slot = torch.empty_like(order)
    slot[order] = torch.arange(entries, device=order.device)
    start = torch.zeros_like(indptr)
    start[1:] = torch.bincount(columns, minlength=n).cumsum(0)
    lists = (owner[order], weights[order])
    least = smallest_overlap(eps, encoding.one)

    def block(first: int, last: int) -> Edges:
        total = torch.zeros((last - first, n), dtype=torch.int32, device=indptr.device)
        begin, end = (int(indptr[row]) for row in (first, last))
        parts = (owner, columns, weights, slot, start, *lists, total)
        grid = (-(-(end - begin) // LISTS),)
        kernels.launch(kernels.join, grid, *parts, begin, end, first, n, LISTS=LISTS, BLOCK=32)
        row, col, overlap = _at_least(total, least)
        m = overlap.double() / encoding.one
        return Edges((row + first).int(), col.int(), (1 - m / (2 - m)).clamp_min(0).float())

    return by_rows(n, 24 * n, memory_mb, block)


def _expanded(unit: torch.Tensor, index: torch.Tensor, k1: int, scale: int, memory_mb: int) -> Sparse:
    """METHOD 3.3–3.4: V before query expansion as (indptr, columns, weights); a row's weights sum to `scale`."""
    n, stride = index.shape
    half = half_set(k1)
    widths = {"K": triton.next_power_of_2(k1), "H": triton.next_power_of_2(half)}
    flags = torch.empty((n, k1), dtype=torch.int32, device=index.device)
    grid = (-(-n // ROWS),)
    kernels.launch(kernels.reciprocal, grid, index, flags, n, stride, k1, half, ROWS=ROWS, K=widths["K"])

    def block(first: int, last: int) -> Sparse:
        found = torch.empty((last - first, k1 * (1 + half)), dtype=torch.int32, device=index.device)
        grid = (-(-(last - first) // EXPANDED),)
        kernels.launch(
            kernels.expand, grid, index, flags, found, first, last, stride, k1, half, ROWS=EXPANDED, **widths
        )
        found = found.sort(1).values
        fresh = found >= 0
        fresh[:, 1:] &= found[:, 1:] != found[:, :-1]
        row, place = fresh.nonzero().T
        column = found[row, place].long()
        dots = fixed_dots(unit, row + first, column)
        near = torch.where(column == row + first, 1 << SIMILARITY_BITS, dots)
        # exp(−d) as an integer, so that its sum over a row is exact in any order
        soft = torch.exp(2 * (near.double() / ONE - 1)).mul(2.0**40).long()
        total = torch.zeros(last - first, dtype=torch.int64, device=index.device).index_add_(0, row, soft)
        return row + first, column, (soft.double() / total[row] * scale).round()

    return _sparse(by_rows(n, 64 * k1 * (1 + half), memory_mb, block), n)


def _at_least(total: torch.Tensor, least: int) -> Sparse:
    row, column = (total >= least).nonzero().T
    return row, column, total[row, column]


def _sparse(parts: Iterator[Sparse], n: int) -> Sparse:
    """Blocks of (row, column, weight), rows ascending, as (indptr, columns, weights)."""
    # Narrowed as they come: rows and columns as int64 would take as much again.
    row, column, weight = (
        torch.cat(part) for part in zip(*((r.int(), c.int(), w.int()) for r, c, w in parts), strict=True)
    )
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=row.device)
    indptr[1:] = torch.bincount(row, minlength=n).cumsum(0)
    return indptr, column, weight
