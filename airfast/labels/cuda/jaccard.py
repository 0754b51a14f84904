"""k-reciprocal encoding on a CUDA device (METHOD 3.3–3.5); CPU twin: ../cpu/jaccard.py."""

from collections.abc import Iterator
from typing import Any

import torch
import triton

from airfast.labels.cuda import kernels
from airfast.labels.cuda.blocks import by_rows
from airfast.labels.cuda.knn import fixed_dots
from airfast.labels.cuda.totals import BESIDE, Sparse, Zeros, reached
from airfast.labels.seam import SIMILARITY_BITS, Encoding, Neighbours, half_set, soft_weights, starts

ROWS = 8  # rows a program of `reciprocal` takes
EXPANDED = (
    2  # rows a program of `expand` takes: with 8, K = 128 and H = 64 spill kilobytes a thread and compile a minute
)


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

        row, column, weight = reached(zeros, last - first, visit)
        return row + first, column, weight

    return Encoding(*_sparse(by_rows(n, 4 * n + BESIDE, memory_mb, block), n), scale * k2)


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
        return row + first, column, soft_weights(row, near, last - first, scale)

    return _sparse(by_rows(n, 4 * n + 16 * k1 * (1 + half) + BESIDE, memory_mb, block), n)


def _sparse(parts: Iterator[Sparse], n: int) -> Sparse:
    """Blocks of (row, column, weight), rows ascending, as (indptr, columns, weights)."""
    # Narrowed as they come: rows and columns as int64 would take as much again.
    row, column, weight = (
        torch.cat(part) for part in zip(*((r.int(), c.int(), w.int()) for r, c, w in parts), strict=True)
    )
    return starts(row, n), column, weight
