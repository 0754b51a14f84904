"""A batch that ranks share: each takes some rows through a network, and all have the features of all of them.

What follows, losses over the whole batch, BatchNorm and all, every rank computes for itself, from the same bits: it is
little beside the network, and needs no statistics that are synchronised. Without ranks, nothing here does anything.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from airfast.ranks import Ranks


def own_rows(ranks: Ranks | None, batch: Tensor) -> Tensor:
    """This rank's rows of a batch (B, …), where there are ranks."""
    return batch if ranks is None else batch[slice(*ranks.shards(len(batch))[ranks.rank])]


def all_rows(ranks: Ranks | None, own: Tensor, count: int) -> Tensor:
    """The rows of all ranks (count, …), of which each has its own."""
    if ranks is None:
        return own
    whole: Tensor = _Whole.apply(own, ranks, count)  # type: ignore[no-untyped-call]
    return whole


def average_gradients(ranks: Ranks, parameters: Iterable[Tensor]) -> None:
    """The means over ranks, in place; as one array, for there are many and most are short."""
    found = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([each.flatten() for each in found])
    ranks.total(flat.numpy())
    flat /= ranks.count
    for each, mean in zip(found, torch.split(flat, [each.numel() for each in found]), strict=True):
        each.copy_(mean.view_as(each))


class _Whole(torch.autograd.Function):
    """Rows of all ranks out of one's own.

    Every rank computes the same loss from the whole, so that the gradient of a row is known where the row is. It is
    taken times the ranks, since gradients are averaged: of a network before this the sum over rows is wanted, of what
    comes after it every rank has all.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks, count: int) -> Tensor:
        shards = ranks.shards(count)
        ctx.ranks, ctx.rows = ranks.count, slice(*shards[ranks.rank])
        whole = own.new_empty(count, *own.shape[1:])
        whole[ctx.rows] = own
        for rank, (first, last) in enumerate(shards):
            ranks.tell(whole[first:last], rank)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0][ctx.rows] * ctx.ranks, None, None
