"""A whole run beside the same run in plain loops: what connects the equations, by its values."""

import numpy as np
import pandas as pd
import pytest

from airfast.runs.checkpoint import load_encoder
from airfast.runs.folder import read_metrics, read_split
from airfast.training.pretrain import initial, pretrain
from tests.reference.training import Training

OVERRIDES = (
    "inputs.frames=8",
    "train.epochs=4",
    "train.drops=[0.75]",
    "air.warmup=1",
    "air.nuisance=subject",
    "air.cluster.eps=0.5",
    "train.checkpoint_every=4",
    "train.weight_decay=0.02",  # large enough to tell Adam's decay from AdamW's
    "seed=3",
)
TERMS = {"intra", "inter", "vcreg", "class_x", "class_ha", "loss", "lr"}


@pytest.mark.parametrize("outliers", ["mask", "drop", "singleton"])
def test_a_run_is_that_of_the_loops(walkers, tiny, tmp_path, outliers):
    config = tiny(*OVERRIDES, f"air.cluster.outliers={outliers}")
    run = pretrain(walkers, config, tmp_path, "cpu")
    sides = read_split(run)
    train = walkers.select([walkers.names.index(name) for name in sides["train"]])
    assert len(sides["test"]) > 5  # statistics and labels are of the training clips alone
    reference = Training(train, config)
    for epoch, (ours, theirs) in enumerate(zip(read_metrics(run), reference.run(), strict=True), start=1):
        terms = theirs.keys() - {"labels", "agreement"}
        assert terms == {name for name in ours if name in TERMS}
        for name in terms:
            assert ours[name] == pytest.approx(theirs[name], rel=5e-3), (epoch, name)
        if "labels" in theirs:
            frame = pd.read_parquet(run / "labels" / f"epoch_{epoch:04d}.parquet")
            assert list(frame["label"]) == list(theirs["labels"]), epoch
            np.testing.assert_allclose(frame["agreement"], theirs["agreement"], atol=1e-6)
            assert 0 < (frame["label"] < 0).mean() < 0.7  # noise, so that what becomes of it shows
    start = initial(config, walkers.layout).deployed.state_dict()
    weights = reference.network.deployed.state_dict()
    for name, ours in load_encoder(run, ("x", "la", "ha")).state_dict().items():
        if name.startswith("inputs.mean"):
            np.testing.assert_allclose(ours, reference.mean[name.rpartition("_")[2]], atol=1e-5)
        elif ours.ndim == 2:  # a bias whose effect BatchNorm takes away again follows rounding alone
            apart, moved = (ours - weights[name]).norm(), (weights[name] - start[name]).norm()
            assert apart < 0.05 * moved, name
