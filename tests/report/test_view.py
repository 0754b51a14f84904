"""The page on which clips move: what is in it is the run's, and a real browser draws, seeks and plays it."""

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from airfast.data.windows import cut
from airfast.deploy.embed import Embedder
from airfast.deploy.head import load_head
from airfast.errors import InputError
from airfast.evaluate.head import fit_head
from airfast.plots.part_agreement import part_agreement
from airfast.plots.run_features import features_of, open_run_clips
from airfast.report import clips
from airfast.report.view import build
from airfast.report.view.build import MOST, agreement_of, build_view, joined, serving
from tests.cli.test_app import fails, run  # noqa: F401
from tests.report.test_build import Page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def ours(finished_run, tmp_path_factory):
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("view") / "run")
    fit_head(folder, device="cpu")
    return folder


@pytest.fixture(scope="module")
def page(ours, hostile):
    return build_view(ours, names=[hostile.names[3], "7"], window=0.6, hop=0.2, device="cpu")


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def test_positions_windows_and_names_are_the_clips(ours, page, hostile):
    first, second = data_of(page)["clips"]
    for record, index in ((first, 3), (second, 7)):
        given = np.array(record["frames"]).reshape(-1, 24, 3) / 1000
        np.testing.assert_allclose(given, hostile.clip(index), atol=0.51e-3)
        assert record["fps"] == pytest.approx(float(hostile.fps[index]))
    windows = cut(hostile.select([3]), 0.6, 0.2)
    rows = load_head(ours).probability(torch.from_numpy(Embedder(ours, "cpu").transform(windows.motion)))
    np.testing.assert_allclose([each["probability"] for each in first["windows"]], rows, atol=1e-4)
    ends = (windows.first + windows.motion.lengths - 1) / windows.motion.fps
    starts = windows.first / windows.motion.fps
    np.testing.assert_allclose([each["middle"] for each in first["windows"]], (starts + ends) / 2, atol=1e-3)
    assert [each["name"] for each in data_of(page)["classes"]] == list(hostile.classes)


def test_the_agreement_is_that_of_the_runs_clips(ours):
    encoder, known = open_run_clips(ours)
    wanted = part_agreement(encoder, features_of(encoder, known, "cpu"), "cpu").numpy()
    np.testing.assert_array_equal(agreement_of(ours, known.select([4, 2]), "cpu", None), wanted[[4, 2]])
    other = known.select([1])
    other = replace(other, names=("stranger",), positions=other.positions + np.float32(0.01) * known.clip(0).std())
    beside = joined(known, other)
    among = part_agreement(encoder, features_of(encoder, beside, "cpu"), "cpu").numpy()
    np.testing.assert_array_equal(agreement_of(ours, other, "cpu", None), among[-1:])


def test_a_person_who_was_not_trained_on_has_no_agreement(ours):
    _, known = open_run_clips(ours)
    other = replace(known.select([1]), names=("stranger",), subjects=("nobody",), groups=("nothing",))
    with pytest.raises(InputError, match="features are read without their subject, and that of stranger was not"):
        agreement_of(ours, other, "cpu", None)


def test_colours_follow_the_agreement():
    scores = np.array([[0.0, 0.4, 0.8]], np.float32)
    ((low, middle, high),) = build.colours_of(scores, 1, 3)
    green = [int(each[3:5], 16) for each in (low, middle, high)]
    assert green[0] > green[1] > green[2]


def test_the_page_is_well_formed_and_loads_nothing(page):
    text = page.read_text(encoding="utf-8")
    scripts = re.compile(r"<script.*?</script>", re.DOTALL)
    parsed = Page(scripts.sub("", text))
    for _, attributes in parsed.elements:
        for name in ("src", "href", "srcset"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "@import" not in text
    assert "Agreement with the whole body" in parsed.text
    assert "synthetic" in parsed.text
    ours_alone = [each for each in scripts.findall(text) if "three.js" not in each[:200]]
    assert not any("http" in each.replace("http://www.w3.org/2000/svg", "") for each in ours_alone)


def test_without_a_head_and_without_parts_the_page_says_so(finished_run, hostile, tmp_path, monkeypatch):
    def refuse(*_):
        raise InputError("pre-trained by another method")

    monkeypatch.setattr(build, "agreement_of", refuse)
    text = build_view(finished_run, hostile.select([0]), out=tmp_path / "a.html", device="cpu").read_text()
    assert "the run has no head" in text
    assert "cannot be told: pre-trained by another method" in text
    (clip,) = data_of(tmp_path / "a.html")["clips"]
    assert clip["windows"] is None
    assert len(set(clip["colours"])) == 5


def test_the_report_links_a_page_that_lies_beside_it(ours, page, hostile, tmp_path):
    assert page == ours / "view.html"
    features = {"pre-trained": SimpleNamespace(motion=hostile.select([0]))}
    assert 'href="view.html"' in clips.clip(features, ours, ours / "report.html")
    elsewhere = clips.clip(features, ours, tmp_path / "report.html")
    assert 'href="view.html"' not in elsewhere
    assert "airfast view" in elsewhere


def test_a_server_shows_the_page_and_nothing_else(page):
    with serving(page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{base}/") as answer:
            assert answer.read() == page.read_bytes()
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"{base}/config.yaml")
        server.shutdown()


def test_wrong_wishes(ours, run, tmp_path):  # noqa: F811
    fails(run("view", ours, "--clip", "nobody"), "--clip nobody: no such clip")
    fails(run("view", ours, *(word for i in range(MOST + 1) for word in ("--clip", i))), f"expected {MOST} at most")
    fails(run("view", ours, "--out", tmp_path / "x.txt"), "expected a name that ends in .html")
    fails(run("view", tmp_path), "not a run folder")
    fails(run("view", ours, tmp_path / "nowhere"), "expected a folder or a motion file")


def browse(*words):
    command = [BROWSER, "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    done = subprocess.run([*command, "--window-size=1000,800", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@needs_a_browser
def test_a_browser_seeks_and_plays(page):
    still = browse("--virtual-time-budget=1500", "--dump-dom", f"{page.as_uri()}#t=0.5")
    assert 'data-ready="true"' in still
    assert re.search(r'id="now"[^>]*>0\.50 s of', still)

    def played(budget):  # the clip starts over at its end, so that one moment may be its first
        moving = browse(f"--virtual-time-budget={budget}", "--dump-dom", f"{page.as_uri()}#play")
        return float(re.search(r'id="now"[^>]*>([0-9.]+) s of', moving)[1])

    assert any(played(budget) > 0.1 for budget in (500, 800, 1500))
    top = re.search(r"<output>([^<]*)</output>", still)[1]
    windows = data_of(page)["clips"][0]["windows"]
    near = min(windows, key=lambda each: abs(each["middle"] - 0.5))
    assert top.endswith(f"{max(near['probability']):.2f}")


@needs_a_browser
def test_a_browser_draws_the_skeleton_where_it_is(page, tmp_path):
    pictures = []
    for moment in (0, 1):
        out = tmp_path / f"{moment}.png"
        browse("--virtual-time-budget=1500", f"--screenshot={out}", f"{page.as_uri()}#t={moment}")
        pictures.append(np.asarray(Image.open(out).convert("RGB")).astype(int))
    for picture in pictures:
        assert ((picture == [0x4C, 0x4C, 0x54]).all(axis=2)).sum() > 50_000  # the stage
        red = (picture[:, :, 0] > picture[:, :, 2] + 40) & (picture[:, :, 0] > 90)
        assert red.sum() > 500  # limbs
    assert (np.abs(pictures[0] - pictures[1]).max(axis=2) > 40).sum() > 300  # it has moved
