"""Exact nearest neighbours on a CUDA device, whoever finds the candidates.

A search (candidates.py) hands out more candidates than are wanted, with similarities that are wrong by at most a
known bound, and what no other row's similarity exceeds. One path for all of them then measures the candidates on the
fixed-point grid, in integers, and orders them, ties by index. A row is certain when its k-th best beats what was not
handed out by more than the bound: none of that can belong to the answer. Rows that are not certain are searched again,
in float32 if that was in float16, in the end in full. So the answer is the same to the last index for every search, and
that of the CPU backend.
"""

import torch

from airfast.labels.cuda import kernels
from airfast.labels.cuda.blocks import by_rows
from airfast.labels.cuda.candidates import PADDED, Search, about, products, queries, searches, single_bound
from airfast.labels.seam import LOW, SIMILARITY_BITS, Neighbours

ONE = float(1 << SIMILARITY_BITS)
NOTHING = torch.iinfo(torch.int64).min


def exact_knn(unit: torch.Tensor, k: int, source: str, half: bool, memory_mb: int) -> Neighbours:
    """The k ≤ N nearest rows of (N, D) float32 unit rows, as of cpu/knn.exact_knn.

    source: faiss, cuvs or torch, who searches in float32. half: from float16 products on tensor cores first.
    """
    n = len(unit)
    best = torch.empty((n, k), dtype=torch.int64, device=unit.device)
    doubtful = torch.arange(n, device=unit.device)
    for search in searches(source, unit, k, half, memory_mb):
        certain = attempt(unit, doubtful, search, best, memory_mb)
        doubtful = doubtful[~certain]
        if not len(doubtful):
            break
    else:
        search_again(unit, doubtful, best, memory_mb)
    return Neighbours((LOW - (best & 0xFFFFFFFF)).int(), (best >> 32).int())


def attempt(unit: torch.Tensor, rows: torch.Tensor, search: Search, best: torch.Tensor, memory_mb: int) -> torch.Tensor:
    """Fill `best` for some rows from the candidates of a search; says which of the rows are certain, (R,) bool."""
    k = best.shape[1]

    def settle(some: torch.Tensor, near: torch.Tensor, found: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
        dots = fixed_dots(unit, some.repeat_interleave(found.shape[1]), found.flatten()).view(found.shape)
        best[some] = ranked(some, found, dots, k)
        bound = search.bound[some]
        # The bound is checked where it can be: on the candidates. Arithmetic that is worse than thought is found out.
        off = (near - dots.double() / ONE).abs().masked_fill(found == some[:, None], 0)
        return (off <= bound[:, None]).all(1) & ((best[some, -1] >> 32).double() / ONE > least + bound)

    def block(first: int, last: int) -> torch.Tensor:
        some = rows[first:last]
        near, found, least = search.find(some)
        parts = by_rows(
            len(some), 64 * found.shape[1], memory_mb, lambda i, j: settle(some[i:j], near[i:j], found[i:j], least[i:j])
        )
        return torch.cat(list(parts))

    return torch.cat(list(by_rows(len(rows), search.row_bytes, memory_mb, block, search.block_mb)))


def fixed_dots(unit: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Fixed-point inner products of (P,) pairs of rows, (P,) int32."""
    out = torch.empty(len(left), dtype=torch.int32, device=unit.device)
    if len(left):
        grid = (-(-len(left) // 32),)
        sizes = len(left), unit.shape[1]
        kernels.launch(kernels.fixed_dots, grid, unit, left, right, out, *sizes, ONE, PAIRS=32, COLUMNS=64)
    return out


def ranked(rows: torch.Tensor, candidates: torch.Tensor, dots: torch.Tensor, k: int) -> torch.Tensor:
    """The rows themselves, then the largest keys, (R, k) int64; a key is similarity above, negated index below."""
    key = (dots.long() << 32) | (LOW - candidates)
    key = key.masked_fill(candidates == rows[:, None], NOTHING)
    return torch.cat((itself(rows)[:, None], key.topk(k - 1).values), 1)


def itself(rows: torch.Tensor) -> torch.Tensor:
    """The key of each row's similarity with itself, (R,) int64."""
    return (1 << (SIMILARITY_BITS + 32)) | (LOW - rows)


def search_again(unit: torch.Tensor, rows: torch.Tensor, best: torch.Tensor, memory_mb: int) -> None:
    """Fill `best` (N, k) for some rows from every row whose float32 similarity can reach the k-th best so far."""
    n, d = unit.shape
    k = best.shape[1]
    keys = torch.zeros((n, d + PADDED), device=unit.device)
    centre, _ = about(unit, unit.sum(0, dtype=torch.float64).div(n).float(), keys)
    keys[:, d] = centre.shift
    bound, base = single_bound(centre, d), centre.base

    def block(first: int, last: int) -> None:
        some = rows[first:last]
        least = (best[some, -1] >> 32).double() / ONE - bound[some] - base[some]
        row, column = (products(queries(keys, d, some), keys) >= least[:, None]).nonzero().T
        row, column = (each[column != some[row]] for each in (row, column))
        key = (fixed_dots(unit, some[row], column).long() << 32) | (LOW - column)
        key, order = key.sort(descending=True)
        row, order = row[order].sort(stable=True)
        start = torch.searchsorted(row, torch.arange(last - first, device=row.device))
        best[some] = torch.cat(
            (itself(some)[:, None], key[order][start[:, None] + torch.arange(k - 1, device=row.device)]), 1
        )

    for _ in by_rows(len(rows), 96 * n, memory_mb, block):
        pass
