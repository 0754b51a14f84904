"""Small data sets that several rooms are tested on."""

import pytest

from airfast.config import load_config
from airfast.data.synthetic import synthetic_walkers

# The smallest network and schedule that still pass through every stage: warm-up, labels, refinement, a saved state.
TINY = (
    "inputs.frames=16",
    "model.hidden=16",
    "model.projection=16",
    "train.batch_size=16",
    "train.epochs=6",
    "train.warmup=2",
    "train.checkpoint_every=3",
    "cluster.k1=8",
    "alr.k=5",
    "split.kind=random",
)


@pytest.fixture(scope="session")
def walkers():
    return synthetic_walkers(clips=60, seed=0)


@pytest.fixture
def tiny():
    """A function from overrides to a tiny configuration."""
    return lambda *overrides: load_config("demo", overrides=(*TINY, *overrides))
