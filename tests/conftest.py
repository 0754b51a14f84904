"""Small data sets, and one run, that several rooms are tested on."""

import dataclasses
import os

# One thread, none that spins: the suite's matrices are small, and it is as quick beside other work as alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch

from airfast.config import load_config
from airfast.data.synthetic import synthetic_walkers
from airfast.evaluate.report import evaluate
from airfast.skeletons.layout import load_layout
from airfast.training.pretrain import pretrain

# The smallest network and schedule that still pass through every stage: warm-up, labels, refinement, a saved state.
TINY = (
    "inputs.frames=16",
    "model.hidden=16",
    "model.projection=16",
    "train.batch_size=16",
    "train.epochs=6",
    "air.warmup=2",
    "air.keep_every=1",
    "train.checkpoint_every=3",
    "air.cluster.k1=8",
    "air.alr.k=5",
    "split.kind=random",
)


@pytest.fixture(scope="session")
def walkers():
    return synthetic_walkers(clips=60, seed=0)


@pytest.fixture
def threads():
    """A function that sets how many threads torch has, until the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def tiny():
    """A function from overrides to a tiny configuration."""
    return lambda *overrides: load_config("demo", overrides=(*TINY, *overrides))


@pytest.fixture(scope="session")
def hostile(walkers):
    """The walkers with names that are markup, a formula, or what a legend would leave out."""
    names = ('<img src="http://example.org/x">', "$\\frac$ of a clip", *walkers.names[2:])
    return dataclasses.replace(walkers, names=names, classes=("<script>", "$fear$", "_happy", "neutral", "sad & blue"))


@pytest.fixture(scope="session")
def finished_run(hostile, tmp_path_factory):
    """A run of four epochs, two of them with labels, with its linear evaluation; its set lies beside it."""
    place = tmp_path_factory.mktemp("finished")
    hostile.save(place / "set")
    config = load_config("demo", overrides=(*TINY, "train.epochs=4"))
    run = pretrain(place / "set", config, place / "run", "cpu")
    evaluate(run, "linear", seeds=2, device="cpu")
    return run


def on_layout(motion, name):
    """A canonical set as a sensor of another layout would see it: joints by name, the rest on their parents."""
    layout = load_layout(name)
    source = [motion.layout.joints.index(each) if each else -1 for each in layout.canonical]
    for joint, parent in enumerate(layout.parents):
        source[joint] = source[parent] if source[joint] < 0 else source[joint]
    positions = np.ascontiguousarray(motion.positions[:, source])
    return dataclasses.replace(motion, positions=positions, layout=layout)
