"""Predictions as a person asks for them: fit-head, then predict, as table, CSV and JSON lines."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from airfast import Predictor
from tests.cli.test_app import fails, run  # noqa: F401


@pytest.fixture(scope="module")
def folder(finished_run, tmp_path_factory):
    place = tmp_path_factory.mktemp("predict")
    return shutil.copytree(finished_run, place / "run"), finished_run.parent / "set"


def test_from_a_run_to_predictions(run, folder, hostile, tmp_path):  # noqa: F811
    encoder, clips = folder
    fails(run("predict", encoder, clips), "no head to predict with")
    status, out, _ = run("fit-head", encoder, "--device", "cpu")
    assert status == 0
    assert "calibration error" in out
    assert "accuracy" in out
    status, out, _ = run("predict", encoder, clips, "--device", "cpu")
    assert status == 0
    assert out.count("–") == len(hostile)  # from–to, a row a clip
    assert "…" not in out
    window = ("--window", "1", "--hop", "0.5", "--device", "cpu")
    for ending in ("csv", "jsonl"):
        assert run("predict", encoder, clips, *window, "--out", tmp_path / f"p.{ending}")[0] == 0
    table = pd.read_csv(tmp_path / "p.csv")
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    found = Predictor(encoder, "cpu").predict(clips, 1.0, 0.5)
    assert len(table) == len(lines) == len(found) > len(hostile)
    assert list(table.name) == [line["name"] for line in lines] == list(found.name)
    np.testing.assert_allclose(table.probability, found.probability, rtol=1e-5)
    np.testing.assert_allclose([line["start"] for line in lines], found.start, atol=1e-5)
    assert (found.end - found.start).round(3).max() == 1
    assert {type(lines[0][name]) for name in ("unsure", "unlike")} == {bool}


def test_unsure_is_below_the_threshold(folder, run):  # noqa: F811
    encoder, clips = folder
    run("fit-head", encoder, "--device", "cpu")
    found = Predictor(encoder, "cpu", threshold=0.7).predict(clips)
    assert 0 < found.unsure.sum() < len(found)
    assert list(found.unsure) == list(found.probability < 0.7)


def test_wrong_flags(folder, run, tmp_path):  # noqa: F811
    encoder, clips = folder
    run("fit-head", encoder, "--device", "cpu")
    fails(run("predict", encoder, clips, "--out", tmp_path / "x.txt"), "expected a name that ends in .csv or .jsonl")
    fails(run("predict", encoder, clips, "--window", "-1"), "expected 0 < hop ≤ window")
    fails(run("predict", encoder, tmp_path / "nowhere"), "expected a folder or a motion file")
    fails(run("predict", tmp_path, clips), "no head to predict with")
    np.save(tmp_path / "two.npy", np.zeros((1, 24, 3), np.float32))
    fails(run("predict", encoder, tmp_path / "two.npy", "--fps", "30"), "")
