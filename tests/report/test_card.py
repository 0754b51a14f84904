"""What is handed on can be used as the run was, and says where it comes from and what it cannot tell."""

import json
import shutil
from dataclasses import replace
from html import escape

import numpy as np
import pytest
import torch
import yaml

from airfast import Predictor, load_encoder
from airfast.data.motion import MotionSet, file_sha256
from airfast.errors import InputError
from airfast.evaluate.head import fit_head
from airfast.report.card import cannot_tell, results, trained_on, write_card
from tests.cli.test_app import fails, run  # noqa: F401


@pytest.fixture(scope="module")
def ours(finished_run, tmp_path_factory):
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("card") / "run")
    fit_head(folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def card(ours):
    return write_card(ours, ours.parent / "given", "cc-by-nc-4.0")


def front(folder):
    _, text, page = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(text), page


def test_the_folder_is_used_as_the_run_is(ours, card, hostile):
    for mine, theirs in zip(load_encoder(ours).parameters(), load_encoder(card).parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    here, there = (Predictor(place, "cpu").predict(hostile) for place in (ours, card))
    np.testing.assert_array_equal(here.probability, there.probability)


def test_it_holds_no_state_no_labels_and_no_path_of_this_machine(ours, card):
    names = {path.relative_to(card).as_posix() for path in card.rglob("*") if path.is_file()}
    assert {"config.yaml", "encoder.safetensors", "head/head.safetensors", "head/head.json", "README.md"} <= names
    assert {"split.json", "environment.json", "provenance.json"} <= names
    assert not {"state.safetensors", "report.html"} & names
    assert not any(name.startswith("labels/") for name in names)
    for path in card.rglob("*.*"):
        assert str(ours.parent).encode() not in path.read_bytes()
    known, told = (json.loads((place / "split.json").read_text()) for place in (ours, card))
    assert told["data"] is None
    assert (told["train"], told["test"]) == (known["train"], known["test"])


def test_the_hub_reads_the_front_and_a_person_the_rest(card, hostile):
    said, page = front(card)
    assert (said["license"], said["library_name"]) == ("cc-by-nc-4.0", "airfast")
    assert said["model-index"][0]["name"] == "given"
    for words in ("acted or perceived emotions, not felt ones", "Intended use", "Licence and attribution", "SHA-256"):
        assert words in page
    assert hostile.info["note"] in page
    assert all(escape(name, quote=False) in page for name in hostile.classes)
    assert "<script>" not in page
    assert "synthetic: no person was recorded" in page
    report = json.loads((card / "head" / "head.json").read_text())
    assert f"{100 * report['accuracy']:.1f} % accuracy" in page


def test_checksums_are_of_what_is_there(card):
    told = json.loads((card / "provenance.json").read_text())
    assert told["files"]["encoder.safetensors"] == file_sha256(card / "encoder.safetensors")
    assert told["files"]["head/head.safetensors"] == file_sha256(card / "head" / "head.safetensors")


def test_the_best_epoch_is_no_result():
    figure = {name: {"mean": 0.5, "sd": 0.1} for name in ("accuracy", "macro_f1", "balanced_accuracy")}
    rows = [
        {"features": "majority", "probe": "–"} | figure,
        {"features": "pre-trained", "probe": "linear"} | figure,
        {"features": "pre-trained", "probe": "linear, best"} | figure,
    ]
    (one,) = results({"evaluate-linear": {"protocol": "linear", "set": "mine", "rows": rows}})
    assert one["task"]["name"] == "linear protocol, linear"
    assert [each["value"] for each in one["metrics"]] == [50.0] * 3


def test_what_a_set_cannot_tell(walkers):
    known = {"train": list(walkers.names[:40]), "test": list(walkers.names[40:])}
    said = lambda subjects: " ".join(cannot_tell(known, replace(walkers, subjects=subjects)))  # noqa: E731
    count = len(walkers)
    assert "Who moved is not known" in said(("",) * count)
    assert "One person moved" in said(("a",) * count)
    assert "same people are trained on and tested on" in said(("a", "b") * (count // 2))
    apart = ("a",) * 40 + ("b",) * (count - 40)
    assert "people" not in said(apart)
    uneven = replace(walkers, subjects=apart, labels=np.where(np.arange(count) < 50, 0, 1))
    assert f"50 clips of {walkers.classes[0]}" in " ".join(cannot_tell(known, uneven))
    minutes = (walkers.lengths[:40] / walkers.fps[:40]).sum() / 60
    assert f"40 clips, {minutes:.1f} minutes" in next(trained_on(known, walkers))


def test_wrong_folders(ours, card, run, tmp_path):  # noqa: F811
    fails(run("card", ours, "--out", card), "expected a new or an empty folder, found something in it")
    fails(run("card", tmp_path, "--out", tmp_path / "x"), "not a run folder")
    fails(run("card", ours, "--out", tmp_path / "x", "--data", tmp_path), "")
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    status, out, _ = run("card", ours, "--out", tmp_path / "empty")
    assert status == 0
    assert "airfast predict" in out
    fails(run("predict", tmp_path / "empty" / "nowhere", "x"), "no head")


def test_a_set_keeps_its_licence(run, hostile, tmp_path):  # noqa: F811
    np.save(tmp_path / "a.npy", hostile.clip(0))
    done = run("data", "prepare", tmp_path / "a.npy", "--layout", "canonical", "--fps", "25", "--out", tmp_path / "set",
               "--note", "CC BY 4.0, by me")  # fmt: skip
    assert done[0] == 0
    assert MotionSet.load(tmp_path / "set").info["note"] == "CC BY 4.0, by me"


def test_a_card_of_what_is_no_run(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        write_card(tmp_path, tmp_path / "out")
