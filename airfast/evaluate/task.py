"""What an evaluation is asked of: clips and labels of two sides, and what is to be known of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from airfast.data.motion import MotionSet
from airfast.data.skeleton import canonical
from airfast.data.source import Source
from airfast.data.splits import Drawn, leaks, split
from airfast.errors import InputError
from airfast.evaluate.metrics import Integers, Scores, score
from airfast.models.deployed import Deployed
from airfast.runs.folder import open_set, read_split
from airfast.skeletons.layout import load_layout


@dataclass(frozen=True)
class Task:
    """A labelled set, its two sides, and notes that belong beside every figure taken from it."""

    motion: MotionSet
    train: Integers
    test: Integers
    notes: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> int:
        """Number of classes of the set."""
        return len(self.motion.classes)

    def labels(self, side: Integers) -> Tensor:
        """(n,) int64 labels of one side."""
        return torch.from_numpy(self.motion.labels[side])

    def score(self, predicted: Tensor | Integers) -> Scores:
        """Scores of predictions for the test side."""
        return score(self.motion.labels[self.test], np.asarray(predicted), self.classes)


def open_task(run: Path, encoder: Deployed, data: Source = None) -> Task:
    """The labelled clips of both sides: the run's own split wherever the set holds the run's clips.

    On other data the split is drawn again, of the same kind; at random where that is for the source to declare and it
    does not.

    Raises:
        InputError: a set of another layout or without labels, nothing to test on.
    """
    known = read_split(run)
    motion = open_for(run, encoder, known, data)
    place = {name: index for index, name in enumerate(motion.names)}
    settings = encoder.config.split
    undeclared = settings.kind == "declared" and not motion.info.get("split")
    kind = "random" if settings.kind == "none" or undeclared else settings.kind
    if place.keys() >= {*known["train"], *known["test"]}:
        train, test = (np.array([place[name] for name in known[side]], dtype=np.int64) for side in ("train", "test"))
    elif data is None:  # of a run from before sets had a digest
        raise InputError(f"{known['data']}: not the clips that {run} was trained on any more")
    else:
        train, test = split(motion, kind, encoder.config.seed, settings.test_fraction, settings.held_out)
    shared = tuple(f"split: {line}" for line in leaks(motion, train, test))
    return checked(run, motion, train, test, joint_notes(motion, known) + shared)


def draw_tasks(run: Path, encoder: Deployed, data: Source, kind: Drawn, seeds: int) -> list[Task]:
    """The same clips split anew for every seed; what pre-training has seen of the test sides is noted.

    A test clip that was pre-trained on lent the encoder its motion but never its label: such a figure is called
    transductive, and says so.
    """
    known = read_split(run)
    motion = open_for(run, encoder, known, data)
    fraction = encoder.config.split.test_fraction
    sides = [split(motion, kind, seed, fraction) for seed in range(seeds)]
    seen = [sum(motion.names[index] in set(known["train"]) for index in test) for _, test in sides]
    notes = joint_notes(motion, known)
    notes += tuple(f"split of seed 0: {line}" for line in leaks(motion, *sides[0]))
    if any(seen):
        share = f"{sum(seen)} of {sum(len(test) for _, test in sides)} test clips (over {seeds} splits)"
        notes += (
            f"transductive: pre-training has seen {share}, without labels; no figure here is of wholly new motion",
        )
    return [checked(run, motion, train, test, notes) for train, test in sides]


def open_for(run: Path, encoder: Deployed, known: dict[str, Any], data: Source) -> MotionSet:
    """The set to evaluate on, on the encoder's joints."""
    motion = open_set(run, known, data, "evaluate on")
    if motion.layout.joints == encoder.layout.joints:
        return motion
    if encoder.layout.joints == load_layout("canonical").joints:
        return canonical(motion)
    name = motion.info.get("name", "the set in memory") if isinstance(data, MotionSet) else data or known["data"]
    raise InputError(
        f"{name}: layout {motion.layout.name}, but {run} was trained on {encoder.layout.name}; "
        "pre-train on the joints that all layouts share: airfast pretrain SET -o inputs.joints=canonical"
    )


def joint_notes(motion: MotionSet, known: dict[str, Any]) -> tuple[str, ...]:
    """A line for each of the two sets, of pre-training and of evaluation, that lacks canonical joints."""
    lacking = {"set": motion.info.get("lacking", []), "set of pre-training": known.get("lacking", [])}
    if lacking["set"] == lacking["set of pre-training"]:
        del lacking["set of pre-training"]
    return tuple(
        f"the {which} lacks {', '.join(joints)}: placed between or on their neighbours"
        for which, joints in lacking.items()
        if joints
    )


def checked(run: Path, motion: MotionSet, train: Integers, test: Integers, notes: tuple[str, ...]) -> Task:
    """The task of the labelled clips; InputError where there is nothing to learn or to test on."""
    train, test = (side[motion.labels[side] >= 0] for side in (train, test))
    if len(set(motion.labels[train].tolist())) < 2 or not len(test):
        raise InputError(
            f"{run}: nothing to evaluate, {len(train)} labelled clips to train on and {len(test)} to test on; "
            "at least two classes and one test clip are needed (--split draws a new split)"
        )
    return Task(motion, train, test, notes)
