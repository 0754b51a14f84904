"""Totals of pairs of rows, in dense blocks of which only the cells that a pair touches are ever looked at.

A kernel adds, and counts what reaches the bar; then it goes the same way again, takes that out and leaves zeros.
"""

from collections.abc import Callable

import torch

BESIDE = 1 << 16  # bytes of a row beside its totals: a few hundred entries and what is computed of them

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


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


def reached(zeros: Zeros, rows: int, visit: Callable[..., None]) -> Sparse:
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
