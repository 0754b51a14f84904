"""Features of clips from wherever they lie are those of the encoder, and others read them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from airfast import Embedder, load_encoder, load_features
from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.deploy.embed import embed
from airfast.errors import InputError
from airfast.training.pretrain import pretrain
from tests.conftest import TINY, on_layout


def expected(run, motion):
    encoder = load_encoder(run)
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, "cpu")
    with torch.no_grad():
        return encoder(clips.whole(torch.arange(len(motion)))).numpy()


def test_features_are_the_encoders_from_memory_folder_and_files(finished_run, hostile, tmp_path):
    made = Embedder(finished_run, "cpu")
    wanted = expected(finished_run, hostile)
    np.testing.assert_allclose(made.transform(hostile), wanted, atol=1e-5)
    np.testing.assert_allclose(made.transform(finished_run.parent / "set"), wanted, atol=1e-5)
    files = tmp_path / "files"
    files.mkdir()
    for i in range(3):
        np.save(files / f"{i}.npy", hostile.clip(i))
    (files / "dataset.json").write_text(json.dumps({"fps": float(hostile.fps[0])}))
    np.testing.assert_allclose(Embedder(finished_run, "cpu").transform(files), wanted[:3], atol=1e-5)
    assert list(made.get_feature_names_out()) == [f"feature{i}" for i in range(wanted.shape[1])]


@pytest.mark.parametrize("ending", [".parquet", ".npz", ".npy"])
def test_what_is_written_is_read_again(finished_run, hostile, tmp_path, ending):
    out = tmp_path / f"features{ending}"
    motion, features = embed(Embedder(finished_run, "cpu"), hostile, out)
    np.testing.assert_array_equal(load_features(out).numpy(), features)
    names = {".parquet": lambda: list(pd.read_parquet(out)["name"]), ".npz": lambda: list(np.load(out)["names"])}
    assert ending == ".npy" or tuple(names[ending]()) == motion.names


def test_it_stands_in_a_pipeline(finished_run, hostile):
    pipe = make_pipeline(clone(Embedder(finished_run, "cpu")), LogisticRegression(max_iter=500))
    assert pipe.fit(hostile, hostile.labels).score(hostile, hostile.labels) > 0.5  # chance is a fifth


def test_a_run_on_canonical_joints_takes_every_layout(walkers, tmp_path):
    config = load_config("demo", overrides=(*TINY, "train.epochs=1", "air.warmup=1", "inputs.joints=canonical"))
    run = pretrain(walkers, config, tmp_path / "run", "cpu")
    there = on_layout(walkers.select(range(3)), "bandai")
    assert Embedder(run, "cpu").transform(there).shape == (3, load_encoder(run).width)


def test_wrong_inputs(finished_run, walkers, tmp_path):
    on_bandai = on_layout(walkers, "bandai")
    config = load_config("demo", overrides=(*TINY, "train.epochs=1", "air.warmup=1"))
    other = Embedder(pretrain(on_bandai, config, tmp_path / "run", "cpu"), "cpu")
    with pytest.raises(InputError, match=r"layout canonical, but .* was trained on bandai; -o inputs\.joints"):
        other.transform(walkers)
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet, \.npy, \.npz"):
        embed(other, on_bandai, tmp_path / "x.csv")
    with pytest.raises(InputError, match="no such file"):
        Embedder(tmp_path / "none").fit()
