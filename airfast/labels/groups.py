"""Neighbours within and across groups (cameras, actions, people): the sets of CA-Jaccard, exact and sparse.

Where recordings of one camera resemble each other, a row's nearest neighbours are of its own camera. Here every row has
two lists, the nearest of its group and the nearest of all others, each with reciprocity of its own; their union is
encoded as it is (no expansion), and query expansion averages over the heads of both lists. Plain torch, the same on
every device.

Source: Chen et al., CVPR 2024 (CA-Jaccard: CKRNNs and CLQE). Its public code counts a row beside its k: its k1 of 5
within and 20 across are 6 and 21 here, where a row is the first of its own group's list. Its lists of small groups run
on into the others; here they end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airfast.errors import InputError
from airfast.labels.cpu.products import exact_settings
from airfast.labels.cuda.blocks import by_rows
from airfast.labels.seam import LOW, SIMILARITY_BITS, Backend, Edges, Encoding, error_bound, soft_weights, starts

RUN = 16  # columns of which the largest is taken
Pair = tuple[int, int]
Lists = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Groups:
    """What is known of the samples beside their features.

    Attributes:
        codes: (N,) int64, the group of each.
        k1: neighbours within (the row itself is the first) and across; None where lists are drawn from all alike.
        k2: of query expansion, likewise.
        apart: whether two samples of one group are never within eps of each other.
    """

    codes: Tensor
    k1: Pair | None
    k2: Pair | None
    apart: bool

    def notes(self) -> list[str]:
        """What is to be said of groups that are smaller than their lists."""
        assert self.k1 is not None
        size = torch.bincount(self.codes)
        small = int((size < self.k1[0]).sum())
        said = f"k1: {small} of {len(size)} groups have fewer than the {self.k1[0]} samples of a list within"
        return [said] if small else []


def checked_groups(
    groups: Any, k1: int | Pair, k2: int | Pair, cannot_link: bool, metric: str, knn: str, n: int, device: torch.device
) -> Groups | None:
    """The groups as the label stage reads them, or None without any.

    Raises:
        InputError: not a value a sample, nothing that reads them, pairs of k without them, or not exact Jaccard.
    """
    drawn = isinstance(k1, tuple) or isinstance(k2, tuple)
    if groups is None:
        if drawn or cannot_link:
            raise InputError("groups: expected, since " + ("cannot_link" if cannot_link else "k1=(within, across)"))
        return None
    values = members(groups)
    if values.shape != (n,) or values.dtype.kind not in "iubUSO":
        raise InputError(f"groups: expected ({n},) integers or names, found {values.shape} {values.dtype}")
    if not drawn and not cannot_link:
        raise InputError("groups: nothing reads them; give k1=(within, across) and k2 likewise, or cannot_link=True")
    _, codes = np.unique(values.astype(str) if values.dtype.kind == "O" else values, return_inverse=True)
    placed = torch.from_numpy(codes).to(device)
    if not drawn:
        return Groups(placed, None, None, cannot_link)
    if metric != "jaccard" or knn != "exact":
        raise InputError(f"k1: (within, across) is for metric jaccard and knn exact, found {metric} and {knn}")
    pairs = []
    for name, value in (("k1", k1), ("k2", k2)):
        if not isinstance(value, tuple) or len(value) != 2:
            raise InputError(f"{name}: expected (within, across) as the other, found {value}")
        if value[0] < 1 or value[1] < 0:
            raise InputError(f"{name}: expected at least 1 within, the sample itself, and 0 across, found {value}")
        pairs.append(value)
    (within, across), expansion = pairs
    return Groups(placed, (within, across), (min(expansion[0], within), min(expansion[1], across)), cannot_link)


def one_or_pair(text: str, name: str) -> int | Pair:
    """``30`` to a number, ``6,21`` to a pair (within, across)."""
    parts = text.split(",")
    if len(parts) > 2 or not all(each.strip().isdigit() for each in parts):
        raise InputError(f"{name} {text}: expected a number, or within,across")
    first, *others = map(int, parts)
    return (first, *others) if others else first  # type: ignore[return-value]


def members(groups: Any) -> NDArray[Any]:
    """The group of each sample as NumPy."""
    return groups.cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)


def allowed(edges: Iterator[Edges], groups: Groups | None) -> Iterator[Edges]:
    """Pairs without those that may not be linked."""
    if groups is None or not groups.apart:
        yield from edges
        return
    for block in edges:
        yield block.where(groups.codes[block.row.long()] != groups.codes[block.col.long()])


def encode_groups(unit: Tensor, lists: Lists, groups: Groups, memory_mb: int) -> Encoding:
    """V after query expansion, from lists within and across groups.

    Args:
        unit: (N, D) float32 unit rows.
        lists: of :func:`grouped_neighbours`.
        groups: with k1 and k2.
        memory_mb: bound of the working memory.
    """
    assert groups.k1 is not None
    assert groups.k2 is not None
    (within, across), k2 = groups.k1, groups.k2
    index, similarity = lists
    n, width = index.shape
    scale = (1 << SIMILARITY_BITS) // sum(k2)  # a row after query expansion sums to `one`, which must stay below 2**31

    def weigh(first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        row, place = reciprocal(index, first, last, within).nonzero().T
        weight = soft_weights(row, similarity[row + first, place], last - first, scale)
        return row + first, index[row + first, place], weight.long()

    parts = by_rows(n, 40 * width * max(within, across, 1), memory_mb, weigh)
    row, column, weight = (torch.cat(each) for each in zip(*parts, strict=True))
    indptr = starts(row, n)
    heads = torch.cat([index[:, : k2[0]], index[:, within : within + k2[1]]], dim=1)

    def expand(first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
        return expanded(heads[first:last], first, indptr, column, weight, n)

    most = int(indptr.diff().max())
    parts = by_rows(n, 64 * sum(k2) * most, memory_mb, expand)
    row, column, weight = (torch.cat(each) for each in zip(*parts, strict=True))
    return Encoding(starts(row, n), column.int(), weight.int(), scale * sum(k2))


def grouped_neighbours(unit: Tensor, groups: Groups, device: Backend, memory_mb: int) -> Lists:
    """The nearest of a row's own group, itself first, and beside them the nearest of the others; ties by index.

    Args:
        unit: (N, D) float32 unit rows.
        groups: with k1, the lengths of the two lists.
        device: measures candidates in integers.
        memory_mb: bound of the working memory.

    Returns:
        (N, within + across) int64 rows, -1 where there are no more, and their fixed-point similarities.
    """
    assert groups.k1 is not None
    codes, (within, across) = groups.codes, groups.k1
    n, d = unit.shape
    order = torch.argsort(codes, stable=True)  # a group is a run of columns then
    rows, sorted_codes = unit[order], codes[order]
    begins = starts(sorted_codes, int(codes.max()) + 1)
    slack = 2.002 * error_bound(d)

    def found_at(first: int, low: int, row: Tensor, column: Tensor) -> Lists:
        """What columns of a block are called, and their fixed-point products with its rows."""
        return order[column + low], device.dots(rows, row + first, column + low)

    def block(first: int, last: int) -> Lists:
        near = rows[first:last] @ rows.T
        theirs = sorted_codes[first:last, None] != sorted_codes
        here = torch.arange(last - first, device=unit.device)
        itself = torch.full_like(here, 1 << SIMILARITY_BITS)
        low, high = int(begins[sorted_codes[first]]), int(begins[sorted_codes[last - 1] + 1])
        own = near[:, low:high].masked_fill(theirs[:, low:high], -torch.inf)
        own[here, here + first - low] = -torch.inf
        close = nearest(own, within - 1, slack, partial(found_at, first, low))
        far = nearest(near.masked_fill_(~theirs, -torch.inf), across, slack, partial(found_at, first, 0))
        index = torch.cat([order[first:last, None], close[0], far[0]], dim=1)
        return index, torch.cat([itself[:, None], close[1], far[1]], dim=1)

    with exact_settings(), torch.autocast(unit.device.type, enabled=False):
        found = [torch.cat(each) for each in zip(*by_rows(n, 24 * n, memory_mb, block), strict=True)]
    index, similarity = (torch.empty_like(each) for each in found)
    index[order], similarity[order] = found
    return index, similarity


def nearest(near: Tensor, k: int, slack: float, found_at: Callable[[Tensor, Tensor], Lists]) -> Lists:
    """The k best of some rows' products with some columns, measured again in integers.

    Args:
        near: (R, C) float32 products, -inf for columns that do not count.
        k: how many.
        slack: twice what a product can be off.
        found_at: places (P,) and (P,) in ``near`` to the names of the columns and the fixed-point products.

    Returns:
        (R, k) int64 names, -1 where there are no more, and fixed-point similarities.
    """
    index = torch.full((len(near), k), -1, device=near.device)
    similarity = torch.zeros_like(index)
    if not k or not near.shape[1]:
        return index, similarity
    row, column = (near >= (kth_at_most(near, k) - slack).clamp_min(-2)).nonzero().T  # none is as little as -2
    name, dots = found_at(row, column)
    key, by = ((dots << 32) + (LOW - name)).sort(descending=True)
    row, back = row[by].sort(stable=True)
    key = key[back]
    place = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
    kept = place < k
    index[row[kept], place[kept]] = LOW - (key[kept] & 0xFFFFFFFF)
    similarity[row[kept], place[kept]] = key[kept] >> 32
    return index, similarity


def kth_at_most(near: Tensor, k: int) -> Tensor:
    """No more than the k-th largest of each row, and hardly less: (R, 1); so many runs of columns reach it."""
    runs = near.shape[1] // RUN
    if runs < 2 * k:
        return near.topk(min(k, near.shape[1]), dim=1).values[:, -1:]
    tops = near[:, : runs * RUN].view(len(near), runs, RUN).amax(dim=2)
    least: Tensor = tops.topk(k, dim=1).values[:, -1:]
    return least


def reciprocal(index: Tensor, first: int, last: int, within: int) -> Tensor:
    """Which entries of some rows' lists have the row in their own list of the same kind: (R, K) bool."""
    some = index[first:last]
    rows = torch.arange(first, last, device=index.device)[:, None, None]
    halves = [
        (index[some[:, part].clamp_min(0), part] == rows).any(dim=2)
        for part in (slice(0, within), slice(within, index.shape[1]))
    ]
    return torch.cat(halves, dim=1) & (some >= 0)


def expanded(
    heads: Tensor, first: int, indptr: Tensor, column: Tensor, weight: Tensor, n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of V over the heads of both lists, those that there are, as (row, column, weight), rows rising."""
    row, place = (heads >= 0).nonzero().T
    member = heads[row, place]
    lengths = indptr[member + 1] - indptr[member]
    entry = torch.repeat_interleave(indptr[member] - (lengths.cumsum(0) - lengths), lengths)
    entry += torch.arange(len(entry), device=entry.device)
    key, place = torch.unique(
        torch.repeat_interleave(row, lengths) * n + column[entry], sorted=True, return_inverse=True
    )
    total = torch.zeros(len(key), dtype=torch.int64, device=key.device).index_add_(0, place, weight[entry])
    row = torch.div(key, n, rounding_mode="floor")
    there = (heads >= 0).sum(dim=1)[row]
    mean = torch.div(2 * total * heads.shape[1] + there, 2 * there, rounding_mode="floor")  # rounded, of all alike
    return row + first, key % n, mean
