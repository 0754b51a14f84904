"""The learning rate as the paper sets it (Section IV-C)."""

import torch

from airfast.config import Train


def learning_rate(settings: Train, epoch: int) -> float:
    """The rate of an epoch (counted from 0): ``lr``, then ``lr_late`` (5e-4 to 5e-5 at epoch 350 of 450)."""
    return settings.lr if epoch < round(settings.lr_drop * settings.epochs) else settings.lr_late


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The same rate for every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate
