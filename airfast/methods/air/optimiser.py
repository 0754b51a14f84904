"""Adam as the paper sets it (Section IV-C), and what the cluster heads' restarts ask of it."""

from typing import Any

import torch
from torch import nn

from airfast.config import Train
from airfast.models.heads import ClusterHead


def adam(method: nn.Module, heads: nn.ModuleDict, settings: Train) -> torch.optim.Optimizer:
    """Adam with coupled weight decay (Section IV-C); the rows of the cluster heads are a group of their own."""
    rows = head_rows(heads)
    rest = {id(row) for row in rows}
    body = [each for each in method.parameters() if each.requires_grad and id(each) not in rest]
    groups: list[dict[str, Any]] = [{"params": body}, {"params": rows}]
    return torch.optim.Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def head_rows(heads: nn.ModuleDict) -> list[nn.Parameter]:
    """The weights that restart with every epoch's clusters."""
    return [head.weight for head in heads.values() if isinstance(head, ClusterHead)]


def refresh_heads(heads: nn.ModuleDict, optimiser: torch.optim.Optimizer) -> None:
    """Forget the moments of the head rows and take the rows as they are now: they restart every epoch.

    Rows that did not move keep the memory of their moments, which a captured step has the address of.
    """
    rows = head_rows(heads)
    for old in optimiser.param_groups[1]["params"]:
        if any(old is each for each in rows):
            for moment in optimiser.state[old].values():
                moment.zero_()
        else:
            optimiser.state.pop(old, None)
    optimiser.param_groups[1]["params"] = rows
