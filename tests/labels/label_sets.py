"""Where the label tests find their reference and the field's outputs."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for tests.reference, whatever the working directory

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # where the CUDA backend is tested
FIELD = ROOT.parent / "shared" / "reference"


def field_output(name):
    """The public dense pipeline's answer on one feature set, or a skip that says why."""
    path = FIELD / f"labels_{name}.npz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with np.load(path) as archive:
        return dict(archive)


def clustered(n, d, centres, spread, seed):
    """n points around random unit centres."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(centres, d)) / np.sqrt(d)
    return (means[rng.integers(0, centres, n)] + spread * rng.normal(size=(n, d)) / np.sqrt(d)).astype(np.float32)


def duplicates(n, copies, seed):
    """Every vector several times, shuffled: most similarities are exact ties."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(rng.normal(size=(n // copies, 16)), copies, axis=0)).astype(np.float32)


def lattice(n, seed):
    """Vectors of few small integers: many ties between vectors that differ."""
    return np.random.default_rng(seed).integers(1, 4, size=(n, 4)).astype(np.float32)


FEATURES = {
    "clustered": lambda: clustered(400, 32, 12, 0.6, 0),
    "weak": lambda: clustered(300, 64, 30, 3.0, 1),
    "noise only": lambda: np.random.default_rng(2).normal(size=(150, 128)).astype(np.float32),
    "duplicates": lambda: duplicates(240, 6, 3),
    "many duplicates": lambda: duplicates(200, 50, 4),
    "all the same": lambda: np.ones((120, 8), np.float32),
    "ties": lambda: lattice(250, 5),
    "one giant cluster": lambda: clustered(200, 8, 1, 0.2, 6),
    "two points": lambda: np.eye(2, 4, dtype=np.float32),
    "one point": lambda: np.ones((1, 3), np.float32),
    "fewer than k1": lambda: clustered(12, 8, 2, 0.3, 7),
    "one more than k1": lambda: clustered(31, 8, 2, 0.3, 8),
}


def border_graph(rng):
    """A random graph full of border points: n, min_samples, pairs (n, n) above the diagonal, scikit-learn's answer."""
    n, min_samples = int(rng.integers(2, 80)), int(rng.integers(1, 6))
    within = np.triu(rng.random((n, n)) < rng.uniform(0.5, 3.5) / n, 1)
    distance = np.where(within | within.T | np.eye(n, dtype=bool), 0.0, 1.0)
    return n, min_samples, within, DBSCAN(eps=0.5, min_samples=min_samples, metric="precomputed").fit(distance)
