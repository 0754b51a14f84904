"""The Jaccard join on a CUDA device (METHOD 3.6); CPU twin: ../cpu/join.py."""

from collections.abc import Iterator

import torch

from airfast.labels.cuda import kernels
from airfast.labels.cuda.blocks import by_rows
from airfast.labels.cuda.totals import BESIDE, Zeros, reached
from airfast.labels.seam import Edges, Encoding, smallest_overlap

LISTS = 16  # inverted lists a program of the join takes


def edges(encoding: Encoding, eps: float, memory_mb: int) -> Iterator[Edges]:
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

        row, col, overlap = reached(zeros, last - first, visit)
        m = overlap.double() / encoding.one
        return Edges((row + first).int(), col, (1 - m / (2 - m)).clamp_min(0).float(), overlap)

    return by_rows(n, 4 * n + BESIDE, memory_mb, block)
