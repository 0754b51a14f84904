"""Protocols that leave the encoder as it is: features once, probes on top (METHOD 7)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from airfast.data.motion import MotionSet
from airfast.deploy.embed import encode
from airfast.errors import InputError
from airfast.evaluate.baselines import forest, hand_made, logistic, majority
from airfast.evaluate.knn import knn_predict
from airfast.evaluate.linear import linear_probe, standardise
from airfast.evaluate.metrics import Integers
from airfast.evaluate.semi import draw_few
from airfast.evaluate.table import Row
from airfast.evaluate.task import Task
from airfast.methods.choose import build_deployed
from airfast.models.deployed import Deployed
from airfast.training.pretrain import initial

NEIGHBOURS = (1, 20)
Nuisance = Literal["none", "group", "subject"]


def untrained_like(encoder: Deployed) -> Deployed:
    """The same network with the weights its run began with, on the same inputs: what training is measured against."""
    fresh = build_deployed(encoder.config, encoder.layout, encoder.scales)
    begun = initial(encoder.config, encoder.layout).deployed.state_dict()
    fresh.load_state_dict({name: begun[name] for name in fresh.state_dict()})
    fresh.take_statistics(encoder)
    return fresh.eval()


def frozen_features(encoder: Deployed, motion: MotionSet, device: torch.device) -> dict[str, Tensor]:
    """Features (N, D) of a set by hand, by the untrained twin, and by the encoder."""
    return {
        "hand-made": hand_made(motion),
        "untrained": encode(untrained_like(encoder), motion, device),
        "pre-trained": encode(encoder, motion, device),
    }


def told(sources: dict[str, Tensor], motion: MotionSet, nuisance: Nuisance, train: Integers) -> dict[str, Tensor]:
    """Every source without what tells the training clips' actions, or people, apart in the mean: equal knowledge.

    Features are standardised by the training side, and the directions between the means of its groups (or subjects)
    projected out: what `air.nuisance` tells AIR, any features can be told.

    Raises:
        InputError: the group or subject of a training clip is not known, or all are one.
    """
    if nuisance == "none":
        return sources
    names = motion.groups if nuisance == "group" else motion.subjects
    unknown = [motion.names[i] for i in train if not names[i]]
    if unknown:
        raise InputError(f"--nuisance {nuisance}: the {nuisance} of clip {unknown[0]} is not known")
    kinds = np.unique([names[i] for i in train], return_inverse=True)[1]
    if not kinds.any():
        raise InputError(f"--nuisance {nuisance}: all training clips are of one {nuisance}")
    return {name: without_means(features, torch.from_numpy(kinds), train) for name, features in sources.items()}


def without_means(features: Tensor, kinds: Tensor, train: Integers) -> Tensor:
    """Features (N, D), standardised, less their part in the span of the means of the training clips' kinds."""
    learnt, everything = standardise(features[train], features)
    means = torch.stack([learnt[kinds == kind].mean(dim=0) for kind in range(int(kinds.max()) + 1)])
    _, sizes, directions = torch.linalg.svd(means, full_matrices=False)
    directions = directions[sizes > 1e-4 * sizes[0]]
    explained: Tensor = everything @ directions.T @ directions
    return everything - explained


def majority_row(task: Task) -> Row:
    """The commonest class of the training side."""
    return Row("majority", "–", (task.score(majority(task.motion.labels[task.train], len(task.test))),))


def linear_rows(sources: dict[str, Tensor], task: Task, seeds: int, first: int = 0) -> list[Row]:
    """The linear protocol on every source: the last epoch, and the best test epoch beside it, labelled."""
    rows = [majority_row(task)]
    for name, features in sources.items():
        train, test = features[task.train], features[task.test]
        labels, answers = task.labels(task.train), task.labels(task.test)
        probe = linear_probe(train, labels, test, answers, task.classes, seeds, first)
        last, best = (tuple(map(task.score, each.numpy())) for each in (probe.last, probe.best))
        rows += [Row(name, "linear", last), Row(name, "linear, best", best)]
    return rows


def hand_made_rows(features: Tensor, task: Task, seeds: int, first: int = 0) -> list[Row]:
    """Statistics made by hand under the two classifiers that suit them best."""
    train, test = features[task.train].numpy(), features[task.test].numpy()
    labels = task.motion.labels[task.train]
    trees = [forest(train, labels, test, seed) for seed in range(first, first + seeds)]
    return [
        Row("hand-made", "logistic", (task.score(logistic(train, labels, test)),)),
        Row("hand-made", "forest", tuple(map(task.score, trees))),
    ]


def knn_rows(sources: dict[str, Tensor], task: Task) -> list[Row]:
    """1-NN and 20-NN on standardised features of every source; nothing in them is random."""
    rows = [majority_row(task)]
    for name, features in sources.items():
        train, test = standardise(features[task.train], features[task.test])
        labels = task.labels(task.train)
        for k in NEIGHBOURS:
            predicted = knn_predict(train, labels, test, k, task.classes)
            rows.append(Row(name, f"{k}-NN", (task.score(np.asarray(predicted)),)))
    return rows


def few_rows(sources: dict[str, Tensor], task: Task, counts: Sequence[int], seeds: int, first: int = 0) -> list[Row]:
    """Logistic regression from a few labelled clips of every class, on features standardised by all training clips.

    What is standardised by needs no labels, and a handful of clips would say little of it.

    Args:
        sources: features (N, D) by name.
        task: clips and labels.
        counts: labelled clips a class; all there are of a smaller class.
        seeds: draws of the labelled clips; a draw is the same for every source.
        first: seed of the first draw.
    """
    labels = task.motion.labels[task.train]
    rows = [majority_row(task)]
    drawn = {count: [draw_few(labels, count, seed) for seed in range(first, first + seeds)] for count in counts}
    for name, features in sources.items():
        train, test = (each.numpy() for each in standardise(features[task.train], features[task.test]))
        for count, draws in drawn.items():
            fitted = (LogisticRegression(C=1.0, max_iter=5000).fit(train[kept], labels[kept]) for kept in draws)
            scores = tuple(task.score(model.predict(test)) for model in fitted)
            clips = float(np.mean([len(kept) for kept in draws]))
            rows.append(Row(name, "logistic", scores, clips=clips, each=count))
    return rows
