"""Exact nearest neighbours on a CUDA device, whoever finds the candidates.

A search (cuda_candidates.py) hands out more candidates than are wanted, with similarities that are wrong by at most a
known bound. One path for all of them then measures the candidates on the fixed-point grid, in float64, and orders them,
ties by index. A row is certain when its k-th best beats its last candidate by more than the bound: no row that was not
fetched can belong to the answer. Rows that are not certain are searched again, in float32 if that was in float16, in
the end in full. So the answer is the same to the last index for every search, and that of the CPU backend.
"""

import torch

from airfast.labels import kernels
from airfast.labels.backend import SIMILARITY_BITS, Neighbours, error_bound
from airfast.labels.cuda_blocks import by_rows
from airfast.labels.cuda_candidates import COLUMNS, Search, products, searches

ONE = float(1 << SIMILARITY_BITS)
LOW = 0x7FFFFFFF
NOTHING = torch.iinfo(torch.int64).min


def exact_knn(unit: torch.Tensor, k: int, source: str, half: bool, memory_mb: int) -> Neighbours:
    """The k ≤ N nearest rows of (N, D) float32 unit rows, as of cpu_knn.exact_knn.

    source: faiss, cuvs or torch finds the candidates. half: from float16 products on tensor cores first.
    """
    n = len(unit)
    best = torch.empty((n, k), dtype=torch.int64, device=unit.device)
    doubtful = torch.arange(n, device=unit.device)
    for search in searches(source, unit, half, memory_mb):
        certain = _attempt(unit, doubtful, search, best, memory_mb)
        doubtful = doubtful[~certain]
        if not len(doubtful):
            break
    for start, stop in by_rows(len(doubtful), 48 * n, memory_mb, lambda first, last: (first, last)):
        rows = doubtful[start:stop]
        best[rows] = search_again(unit, rows, best[rows, -1], k)
    return Neighbours((LOW - (best & 0xFFFFFFFF)).int(), (best >> 32).int())


def _attempt(
    unit: torch.Tensor, rows: torch.Tensor, search: Search, best: torch.Tensor, memory_mb: int
) -> torch.Tensor:
    """Fill `best` for some rows from the candidates of a search; says which of the rows are certain, (R,) bool."""
    n, d = unit.shape
    k = best.shape[1]
    fetch = min(n, k + max(k // 2, 16))

    def block(first: int, last: int) -> torch.Tensor:
        some = rows[first:last]
        near, found = search.find(some, fetch)
        dots = fixed_dots(unit, some.repeat_interleave(fetch), found.flatten()).view(found.shape)
        best[some] = ranked(some, found, dots, k)
        bound = search.bound[some]
        exact = dots.double() / ONE
        # The bound is checked where it can be: on the candidates. Arithmetic that is worse than thought is found out.
        kept_its_word = ((near.double() - exact).abs() <= bound[:, None]).all(1)
        if fetch == n:
            return torch.ones_like(kept_its_word)
        return kept_its_word & ((best[some, -1] >> 32).double() / ONE > near.amin(1).double() + bound)

    row_bytes = 8 * min(n, COLUMNS) + 6 * d + 64 * fetch
    return torch.cat(list(by_rows(len(rows), row_bytes, memory_mb, block)))


def fixed_dots(unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Fixed-point inner products of (P,) pairs of rows, (P,) int32."""
    out = torch.empty(len(left), dtype=torch.int32, device=unit.device)
    if len(left):
        grid = (-(-len(left) // 32),)
        kernels.fixed_dots[grid](unit, left, right, out, len(left), unit.shape[1], ONE, PAIRS=32, COLUMNS=64)
    return out


def ranked(rows: torch.Tensor, candidates: torch.Tensor, dots: torch.Tensor, k: int) -> torch.Tensor:
    """The rows themselves, then the largest keys, (R, k) int64; a key is similarity above, negated index below."""
    key = (dots.long() << 32) | (LOW - candidates)
    key = key.masked_fill(candidates == rows[:, None], NOTHING)
    itself = (1 << (SIMILARITY_BITS + 32)) | (LOW - rows[:, None])
    return torch.cat((itself, key.topk(k - 1).values), 1)


def search_again(unit: torch.Tensor, rows: torch.Tensor, least: torch.Tensor, k: int) -> torch.Tensor:
    """As `ranked`, over every row whose float32 similarity can reach that of the keys `least` (R,)."""
    floor = (least >> 32).double() / ONE - error_bound(unit.shape[1])
    row, column = (products(unit[rows], unit) >= floor[:, None]).nonzero().T
    key = torch.full((len(rows), len(unit)), NOTHING, device=unit.device)
    key[row, column] = (fixed_dots(unit, rows[row], column).long() << 32) | (LOW - column)
    key[torch.arange(len(rows), device=unit.device), rows] = torch.iinfo(torch.int64).max
    best = key.topk(k).values
    best[:, 0] = (1 << (SIMILARITY_BITS + 32)) | (LOW - rows)
    return best
