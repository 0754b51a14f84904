"""Training with labels, an epoch at a time, and what it leaves behind; evaluate/supervised.py makes a run of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.nn import functional as F

from airfast.config import Config
from airfast.data.dataset import FEATURE_BATCH, DeviceClips
from airfast.data.motion import MotionSet
from airfast.errors import NonFinite
from airfast.models.classifier import Classifier
from airfast.runs.checkpoint import (
    Held,
    fill,
    held_state,
    load_network,
    load_rest,
    read,
    read_state,
    write,
    write_state,
)
from airfast.runs.folder import MODEL
from airfast.runs.older import as_recorded
from airfast.skeletons.layout import Layout, layout_from_record
from airfast.training.pretrain import epoch_batches

Metrics = dict[str, Any]


@dataclass(frozen=True)
class SupervisedState:
    """Everything the rest of a run depends on."""

    model: Classifier
    optimiser: torch.optim.Optimizer
    generator: Generator

    def save(self, run: Path, epoch: int) -> None:
        """Write the state after ``epoch`` epochs."""
        write_state(run, self.model, self.model.config, self.optimiser, self.generator, epoch)

    @property
    def config(self) -> Config:
        """Of the run."""
        return self.model.config

    def held(self, epoch: int) -> Held:
        """The state after ``epoch`` epochs, copied to the host."""
        return held_state(self.model, self.model.config, self.optimiser, self.generator, epoch)

    def load(self, path: Path) -> int:
        """Take over a saved state; returns the number of epochs it has behind it."""
        groups, epoch = read_state(path, self.model.config)
        load_network(groups, path, self.model)
        load_rest(groups, self.optimiser, self.generator)
        return epoch


def begin(config: Config, layout: Layout, classes: int, clips: DeviceClips) -> SupervisedState:
    """The state before the first epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = Classifier(config, layout, classes)
    model = model.to(clips.device)
    settings = config.train
    if config.method == "air":
        if config.inputs.standardise:
            model.streams[0][0].inputs.fit(clips.batches(FEATURE_BATCH))  # type: ignore[index]
        optimiser: torch.optim.Optimizer = torch.optim.Adam(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
        )
    else:
        optimiser = torch.optim.SGD(
            model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, momentum=0.9, nesterov=True
        )
    return SupervisedState(model, optimiser, Generator(device=clips.device).manual_seed(config.seed))


def train_epoch(
    state: SupervisedState, clips: DeviceClips, labels: Tensor, epoch: int, check: Callable[[], None] = lambda: None
) -> Metrics:
    """One pass over the clips; the mean loss of a stream and the share of clips that all streams together got right.

    Raises:
        NonFinite: with the epoch, the first batch (both counted from 1) and its clips.
        Stopped: raised by ``check``, which is called before every batch.
    """
    model, generator = state.model.train(), state.generator
    place = clips.device
    sums, seen = torch.zeros(2, device=place), 0
    batches = epoch_batches(len(clips), model.config.train.batch_size, generator)
    losses = []
    # Dropout knows only the global generator: seeded here, a resumed run drops what the uninterrupted one would.
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.manual_seed(state.model.config.seed * 100_003 + epoch)
        for batch in batches:
            check()
            logits = model(clips.view(batch, generator))  # (S, B, classes)
            wanted = labels[batch]
            loss = torch.stack([F.cross_entropy(each, wanted) for each in logits]).sum()
            state.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimiser.step()
            right = (logits.detach().softmax(dim=2).mean(dim=0).argmax(dim=1) == wanted).sum()
            sums += torch.stack([loss.detach() * len(batch) / len(logits), right])
            losses.append(loss.detach())
            seen += len(batch)
    mean_loss, accuracy = (sums / seen).tolist()
    if not np.isfinite(mean_loss):
        first = int(torch.stack(losses).isfinite().logical_not().nonzero()[0])
        raise NonFinite(f"epoch {epoch + 1}, batch {first + 1}: the loss is not finite", batches[first].tolist())
    return {"epoch": epoch + 1, "lr": state.optimiser.param_groups[0]["lr"], "loss": mean_loss, "accuracy": accuracy}


@torch.no_grad()
def predict(model: Classifier, clips: DeviceClips) -> NDArray[np.int64]:
    """The class of every clip, whole and not augmented: (N,) int64."""
    model.eval()
    scores = torch.cat([model.scores(each) for each in clips.batches(FEATURE_BATCH)])
    predicted: NDArray[np.int64] = scores.argmax(dim=1).cpu().numpy()
    return predicted


def save_model(run: Path, model: Classifier, motion: MotionSet, epoch: int) -> None:
    """The weights of the classifier with what rebuilds it."""
    about = {
        "config": model.config.record(),
        "layout": {"name": motion.layout.name, "record": motion.layout.record()},
        "classes": list(motion.classes),
        "epoch": epoch,
    }
    write(run / MODEL, model.state_dict(), about)


def load_classifier(run: Path | str) -> tuple[Classifier, Layout, tuple[str, ...]]:
    """The classifier of a supervised run, in eval mode on the CPU, its layout and the names of its classes.

    Raises:
        InputError: no such file, a damaged one, or one of an older network.
    """
    path = Path(run) / MODEL
    tensors, about = read(path, "config", "layout", "classes")
    layout = layout_from_record(about["layout"]["record"], about["layout"]["name"], str(path))
    model = Classifier(as_recorded(about["config"]), layout, len(about["classes"]))
    fill(model, tensors, path)
    return model.eval(), layout, tuple(about["classes"])
