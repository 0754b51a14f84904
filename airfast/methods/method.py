"""The seam: what pre-training asks of a method, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from airfast.config import Config
from airfast.data.dataset import DeviceClips
from airfast.data.motion import MotionSet
from airfast.models.deployed import Deployed
from airfast.ranks import Ranks

View = Callable[[DeviceClips, Tensor, Generator], Tensor]


def plain(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """The ordinary view of each clip of a batch (B,), as ``inputs.augmentation`` says: (B, C, T, J)."""
    return clips.view(batch, generator)


@dataclass(frozen=True)
class Epoch:
    """What a method has decided before an epoch.

    Attributes:
        clips: (n,) int64, the clips to train on, in full batches; None for all of them.
        facts: what the log is to say of it beside the losses.
        seconds: what it took, by stage.
        table: a pandas or cuDF frame, a row a clip, kept with the run; None for nothing.
    """

    clips: Tensor | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    table: Any = None


class Method(nn.Module, ABC):
    """A way to pre-train: what it trains are its parameters, what else a resumed run needs its buffers.

    A step of training draws ``views`` of a batch, sums :meth:`losses`, lets the optimiser step, and calls
    :meth:`after_step`. On a GPU it is recorded once and replayed: nothing in it may be read by the host, and what the
    recording holds as a constant has to show in ``stage``.

    Attributes:
        config: the run's configuration.
        deployed: clips to features, what every probe, export and fine-tuning reads; trained within the method.
        views: makes of the views that a step needs.
        stage: a constant of the epoch; where it changes, a step is recorded anew.
        ranks: who shares a batch, its features and its labels; None for a process alone.
    """

    config: Config
    deployed: Deployed
    views: tuple[View, ...]
    stage: int = 0
    ranks: Ranks | None = None

    def meet(self, motion: MotionSet, clips: DeviceClips) -> None:
        """See the training clips once, before the first epoch or before a saved state is taken over.

        Args:
            motion: the N clips with what is known of them; class labels may be measured against, never learnt from.
            clips: the same on the device.

        Raises:
            InputError: clips that this method cannot train on.
        """

    def begin_epoch(self, epoch: int, clips: DeviceClips, optimiser: torch.optim.Optimizer) -> Epoch:
        """What is to be done between steps, before epoch ``epoch`` (counted from 0): new labels, another stage."""
        return Epoch()

    @abstractmethod
    def losses(self, views: Sequence[Tensor], batch: Tensor) -> dict[str, Tensor]:
        """The named terms of the loss, weighted: their sum is minimised.

        Args:
            views: (B, C, T, J) each, in the order of ``views``.
            batch: (B,) int64, the clips that they are of.
        """

    def after_step(self) -> None:
        """What follows the optimiser within a step: momentum, queues. No gradient is recorded."""

    @abstractmethod
    def optimiser(self) -> torch.optim.Optimizer:
        """The optimiser over the parameters as they are now."""

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch (counted from 0)."""
        return self.config.train.rate(epoch)

    def autocast(self, clips: Tensor) -> torch.autocast:
        """Where products are made in the precision of training; losses are computed outside, in float32."""
        precision = self.config.train.precision
        half = precision == "bf16" or (precision == "auto" and clips.is_cuda)
        return torch.autocast(clips.device.type, torch.bfloat16, enabled=half)
