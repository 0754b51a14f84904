"""What a pre-trained encoder must beat: the majority class, and statistics made by hand."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from airfast.config import Inputs
from airfast.data.dataset import normalise
from airfast.data.motion import MotionSet
from airfast.evaluate.metrics import Integers


def majority(labels: Integers, tests: int) -> Integers:
    """The commonest training label, for every test clip."""
    return np.full(tests, np.bincount(labels).argmax(), dtype=np.int64)


def hand_made(motion: MotionSet) -> Tensor:
    """Mean, standard deviation, range and mean absolute velocity of every coordinate of every joint.

    Taken on the default inputs (root-centred, facing aligned once a clip, velocities in metres a second), each clip
    at its own length.

    Returns:
        (N, 4·3·J) float32.
    """
    frames = normalise(motion, Inputs())  # (F, 6, J)
    rows = []
    for start, length in zip(motion.offsets, motion.lengths, strict=True):
        position, velocity = np.split(frames[start : start + length].reshape(length, 2, -1), 2, axis=1)
        position, velocity = position[:, 0], velocity[:, 0]
        spread = [position.mean(0), position.std(0), np.ptp(position, axis=0), np.abs(velocity).mean(0)]
        rows.append(np.concatenate(spread))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def logistic(train: NDArray[np.float32], labels: Integers, test: NDArray[np.float32]) -> Integers:
    """Logistic regression (scikit-learn, C = 1) on features standardised by the training side: (m,) predictions."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=5000)).fit(train, labels)
    return np.asarray(model.predict(test), dtype=np.int64)


def forest(train: NDArray[np.float32], labels: Integers, test: NDArray[np.float32], seed: int) -> Integers:
    """A random forest of 500 trees (scikit-learn): (m,) predictions."""
    model = RandomForestClassifier(500, random_state=seed, n_jobs=torch.get_num_threads()).fit(train, labels)
    return np.asarray(model.predict(test), dtype=np.int64)
