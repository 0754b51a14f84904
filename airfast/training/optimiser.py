"""The learning rate of an epoch, for every group of an optimiser."""

import torch


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate
