"""A batch that ranks share: each takes some rows through a network, and all have the features of all of them.

What a network does over the rows of a batch it does over all ranks' (:func:`through`). What follows, losses over the
whole batch, queues and all, every rank computes for itself, from the same bits: it is little beside the network. Views
are drawn of the whole batch, from one generator, so that no random number knows of ranks. Without ranks, nothing here
does anything.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

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


def through(ranks: Ranks | None, network: Callable[..., Any], clips: Tensor, *given: Any) -> Any:
    """What a network that normalises over the batch, or drops features, makes of one.

    Args:
        ranks: who shares the batch.
        network: clips (B, …), and what else is given, to a tensor (B, D) or a dict or tuple of them.
        clips: (B, …), all of them.
        given: handed to the network as it is.

    Returns:
        As the network gives it, of all clips. BatchNorm has had the statistics of the whole batch, and dropout the
        random numbers of one process.
    """
    if ranks is None:
        return network(clips, *given)
    with _Norms(ranks, len(clips)), _Draws(ranks, len(clips)):
        made = network(own_rows(ranks, clips), *given)
    return tree_map(lambda each: all_rows(ranks, each, len(clips)), made)


def batch_mean(ranks: Ranks | None, own: Tensor) -> Tensor:
    """The mean of a batch's numbers (), of which each rank has its own rows (b, …); no gradient passes."""
    if ranks is None:
        return own.mean()
    told = torch.stack([own.detach().double().sum(), torch.tensor(own.numel()).double()])
    ranks.total(told.numpy())
    return (told[0] / told[1]).to(own.dtype)


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


class _Norms(TorchFunctionMode):
    """BatchNorm, as networks call it while they train, over the rows of all ranks."""

    def __init__(self, ranks: Ranks, count: int) -> None:
        super().__init__()
        self.ranks, self.count = ranks, count

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.batch_norm:
            return self._normed(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def _normed(
        self,
        own: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        if not training:
            return F.batch_norm(own, running_mean, running_variance, weight, bias, False, momentum, eps)
        n = self.count * own[0, 0].numel()
        mean, variance = self._statistics(own.detach(), n)
        running_mean.lerp_(mean, momentum)
        running_variance.lerp_(variance * n / (n - 1), momentum)
        normed: Tensor = _Normed.apply(own, mean, variance, weight, bias, eps, n, self.ranks)  # type: ignore[no-untyped-call]
        return normed

    def _statistics(self, own: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) over n numbers a channel, of which this rank has own (b, C, …); one exchange.

        Ranks tell their means and squared distances from these: sums of squares alone would cancel.
        """
        rows = own.float().transpose(0, 1).flatten(1)  # (C, b·…)
        squares, mean = torch.var_mean(rows, dim=1, correction=0)
        told = torch.zeros(self.ranks.count, 3, len(rows))
        told[self.ranks.rank] = torch.stack([torch.full_like(mean, rows.shape[1]), mean, squares])
        self.ranks.total(told.numpy())
        counts, means, variances = told.unbind(1)
        mean = (counts * means).sum(dim=0) / n
        return mean, (counts * (variances + (means - mean).square())).sum(dim=0) / n


class _Normed(torch.autograd.Function):
    """(x − mean)·(variance + ε)^−½·weight + bias, mean and variance being those of the n numbers of all ranks.

    What the statistics pass on to x, Σ dy and Σ dy·x̂, is summed over ranks as they were (Ioffe and Szegedy 2015).
    """

    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        n: int,
        ranks: Ranks,
    ) -> Tensor:
        ctx.save_for_backward(own, mean, variance, weight)
        ctx.eps, ctx.n, ctx.ranks = eps, n, ranks
        return F.batch_norm(own, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        own, mean, variance, weight = ctx.saved_tensors
        shape = (1, -1, *[1] * (own.ndim - 2))
        others = [0, *range(2, own.ndim)]
        scale = torch.rsqrt(variance + ctx.eps)
        unit, dy = (own.float() - mean.view(shape)) * scale.view(shape), gradients[0].float()
        of_weight, of_bias = (dy * unit).sum(dim=others), dy.sum(dim=others)
        told = torch.stack([of_weight, of_bias])
        ctx.ranks.total(told.numpy())
        through_scale, through_mean = (told / ctx.n).view(2, *shape).unbind()
        dx = (dy - through_mean - unit * through_scale) * (weight * scale).view(shape)
        return dx.to(own.dtype), None, None, of_weight, of_bias, None, None, None


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Random numbers for a rank's rows: drawn for the whole batch, in the order of one process, and the rows taken."""

    def __init__(self, ranks: Ranks, count: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.rows = count, slice(*ranks.shards(count)[ranks.rank])

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not torch.ops.aten.bernoulli_.float:  # all that dropout asks for on the CPU
            return function(*args, **(kwargs or {}))
        own, share = (*args, 0.5)[:2]  # torch leaves out what is the default
        return own.copy_(all_like(own, self.count).bernoulli_(share)[self.rows])


def all_like(own: Tensor, count: int) -> Tensor:
    """An empty tensor of ``count`` rows that lies in memory as that of some of them (b, …) does."""
    order = sorted(range(own.ndim), key=own.stride, reverse=True)
    shape = (count, *own.shape[1:])
    laid = own.new_empty([shape[each] for each in order])
    return laid.permute([order.index(each) for each in range(own.ndim)])
