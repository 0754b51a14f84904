"""k-reciprocal encoding and the Jaccard join on a CUDA device (METHOD 3.3–3.6).

Totals of pairs of rows are added up in dense blocks, of which only the cells that a pair touches are ever looked at: a
kernel adds and counts what reaches the bar, then goes the same way again, takes that out and leaves zeros. CPU twins:
cpu_jaccard.py, cpu_join.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import triton

from airfast.labels import kernels
from airfast.labels.backend import SIMILARITY_BITS, Edges, Encoding, Neighbours, half_set, smallest_overlap
from airfast.labels.cuda_blocks import by_rows
from airfast.labels.cuda_knn import ONE, fixed_dots

ROWS = 8  # rows a program of `reciprocal` takes
EXPANDED = (
    2  # rows a program of `expand` takes: with 8, K = 128 and H = 64 spill kilobytes a thread and compile a minute
)
LISTS = 16  # inverted lists a program of the join takes
BESIDE = 1 << 16  # bytes of a row beside its totals: a few hundred entries and what is computed of them

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def encode(unit: torch.Tensor, neighbours: Neighbours, k1: int, k2: int, memory_mb: int) -> Encoding:
    """METHOD 3.3–3.5 from the neighbours: V after query expansion, by dense blocks of totals."""
    # A row of V sums to `one` / k2 and a row after query expansion to `one`, which must stay below 2**31.
    scale = (1 << SIMILARITY_BITS) // k2
    v = _expanded(unit, neighbours, k1, scale, memory_mb)
    index = neighbours.index
    n, stride = index.shape
    zeros = Zeros(n, unit.device)

    def block(first: int, last: int) -> Sparse:
        def visit(total: torch.Tensor, *out: torch.Tensor, take: bool) -> None:
            arguments = (index, *v, total, *out, first, stride, n, 1)
            kernels.launch(kernels.query_expand, (last - first, k2), *arguments, TAKE=take, BLOCK=64)

        row, column, weight = _reached(zeros, last - first, visit)
        return row + first, column, weight

    return Encoding(*_sparse(by_rows(n, 4 * n + BESIDE, memory_mb, block), n), scale * k2)


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
    lists = (owner, columns, weights, slot, start, owner[order], weights[order])
    least = smallest_overlap(eps, encoding.one)
    zeros = Zeros(n, indptr.device)

    def block(first: int, last: int) -> Edges:
        begin, end = (int(indptr[row]) for row in (first, last))

        def visit(total: torch.Tensor, *out: torch.Tensor, take: bool) -> None:
            arguments = (*lists, total, *out, begin, end, first, n, least)
            kernels.launch(kernels.join, (-(-(end - begin) // LISTS),), *arguments, TAKE=take, LISTS=LISTS, BLOCK=32)

        row, col, overlap = _reached(zeros, last - first, visit)
        m = overlap.double() / encoding.one
        return Edges((row + first).int(), col, (1 - m / (2 - m)).clamp_min(0).float())

    return by_rows(n, 4 * n + BESIDE, memory_mb, block)


class Zeros:
    """(rows, n) int32 zeros for who leaves zeros behind; who fails gives nothing back, and the next gets others."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.n, self.device = n, device
        self.kept: torch.Tensor | None = None

    def take(self, rows: int) -> torch.Tensor:
        """At least so many rows."""
        kept, self.kept = self.kept, None
        if kept is None or len(kept) < rows:
            del kept  # before the larger ones are there
            kept = torch.zeros((rows, self.n), dtype=torch.int32, device=self.device)
        return kept


def _reached(zeros: Zeros, rows: int, visit: Callable[..., None]) -> Sparse:
    """Totals of some rows that reach the bar, as (row, column, total), rows ascending.

    visit(total, cursor, column, total of each, take): adds and counts them a row, then takes them out.
    """
    total = zeros.take(rows)
    nothing = torch.empty(0, dtype=torch.int32, device=total.device)
    count = torch.zeros(rows, dtype=torch.int64, device=total.device)
    visit(total, count, nothing, nothing, take=False)
    end = count.cumsum(0)
    size = int(end[-1])
    column, value = (torch.empty(size, dtype=torch.int32, device=total.device) for _ in range(2))
    visit(total, end - count, column, value, take=True)
    zeros.kept = total
    every = torch.arange(rows, device=total.device)
    return torch.repeat_interleave(every, count, output_size=size), column, value


def _expanded(unit: torch.Tensor, neighbours: Neighbours, k1: int, scale: int, memory_mb: int) -> Sparse:
    """METHOD 3.3–3.4: V before query expansion as (indptr, columns, weights); a row's weights sum to `scale`."""
    index, similarity = neighbours.index, neighbours.similarity
    n, stride = index.shape
    half = half_set(k1)
    widths: dict[str, Any] = {"K": triton.next_power_of_2(k1), "H": triton.next_power_of_2(half)}
    flags = torch.empty((n, k1), dtype=torch.int32, device=index.device)
    grid = (-(-n // ROWS),)
    kernels.launch(kernels.reciprocal, grid, index, flags, n, stride, k1, half, ROWS=ROWS, K=widths["K"])
    zeros = Zeros(n, index.device)

    def block(first: int, last: int) -> Sparse:
        found = torch.empty((last - first, k1 * (1 + half)), dtype=torch.int32, device=index.device)
        marks = zeros.take(last - first)
        arguments = (index, flags, marks, found, first, last, stride, n, k1, half)
        kernels.launch(kernels.expand, (-(-(last - first) // EXPANDED),), *arguments, ROWS=EXPANDED, **widths)
        row, place = (found >= 0).nonzero().T
        column = found[row, place].long()
        marks[row, column] = 0
        zeros.kept = marks
        near = similarity[row + first, place.clamp_max(k1 - 1)]  # of neighbours; who came by expansion is measured
        came = (place >= k1).nonzero().flatten()
        dots = fixed_dots(unit, row[came] + first, column[came])
        near[came] = torch.where(column[came] == row[came] + first, 1 << SIMILARITY_BITS, dots)
        # exp(−d) as an integer, so that its sum over a row is exact in any order
        soft = torch.exp(2 * (near.double() / ONE - 1)).mul(2.0**40).long()
        total = torch.zeros(last - first, dtype=torch.int64, device=index.device).index_add_(0, row, soft)
        return row + first, column, (soft.double() / total[row] * scale).round()

    return _sparse(by_rows(n, 4 * n + 16 * k1 * (1 + half) + BESIDE, memory_mb, block), n)


def _sparse(parts: Iterator[Sparse], n: int) -> Sparse:
    """Blocks of (row, column, weight), rows ascending, as (indptr, columns, weights)."""
    # Narrowed as they come: rows and columns as int64 would take as much again.
    row, column, weight = (
        torch.cat(part) for part in zip(*((r.int(), c.int(), w.int()) for r, c, w in parts), strict=True)
    )
    indptr = torch.zeros(n + 1, dtype=torch.int64, device=row.device)
    indptr[1:] = torch.bincount(row, minlength=n).cumsum(0)
    return indptr, column, weight
