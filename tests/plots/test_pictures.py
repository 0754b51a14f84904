"""Every picture of a run: it is drawn, its texts do not overlap, and its numbers are those of the run."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from airfast.config import load_config
from airfast.errors import InputError
from airfast.methods.air.amdl import label_quality
from airfast.plots import canvas, relevance
from airfast.plots.confusion import draw_confusion, row_shares
from airfast.plots.curves import draw_clusters, draw_losses, plot_clusters
from airfast.plots.embeddings import draw_embeddings, drawn_clips, in_the_plane
from airfast.plots.eps import Accuracy, accuracy_by_eps, draw_eps, label_quality_by_eps, plot_eps
from airfast.plots.relevance import plot_relevance, scored_run
from airfast.plots.run_features import PRE_TRAINED, UNTRAINED, read_features
from airfast.plots.stability import draw_stability, plot_stability
from airfast.runs.folder import read_evaluation, read_metrics
from airfast.training.pretrain import pretrain
from tests.conftest import TINY
from tests.plots.overlap import overlapping


@pytest.fixture(scope="module")
def features(finished_run):
    return read_features(finished_run, device="cpu")


@pytest.fixture(scope="module")
def evaluation(finished_run):
    return read_evaluation(finished_run / "evaluate-linear.json")


def test_features_are_those_of_the_training_clips(finished_run, features, hostile):
    sides = json.loads((finished_run / "split.json").read_text())
    assert list(features[PRE_TRAINED].motion.names) == sides["train"]
    assert features[PRE_TRAINED].scales.keys() == {"x", "la", "ha"}
    assert not np.allclose(features[PRE_TRAINED].scales["ha"], features[UNTRAINED].scales["ha"])


def test_embeddings(features):
    assert overlapping(draw_embeddings(features)) == ([], [])
    index = drawn_clips(10_000)
    assert (len(index), index[0], index[-1]) == (4000, 0, 9999)
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert in_the_plane(rows).shape == (4, 2)  # the smallest set that trains


def test_curves(finished_run):
    metrics = read_metrics(finished_run)
    assert overlapping(draw_clusters(metrics)) == ([], [])
    assert overlapping(draw_losses(metrics)) == ([], [])
    long = [metrics[0] | {"epoch": 1 + i} for i in range(50)] + [metrics[-1] | {"epoch": 51 + i} for i in range(400)]
    assert overlapping(draw_clusters(long)) == ([], [])


def test_confusion(evaluation):
    assert overlapping(draw_confusion(evaluation)) == ([], [])
    shares = row_shares(evaluation, PRE_TRAINED)
    assert shares.sum(axis=1) == pytest.approx(np.full(5, 100))
    many = {"classes": [f"a class named {i}" for i in range(20)], "test_clips": 20}
    scores = [{"confusion": np.roll(np.eye(20, dtype=int), seed, axis=1).tolist()} for seed in range(2)]
    scores[0]["confusion"][3] = scores[1]["confusion"][3] = [0] * 20
    many["rows"] = [{"features": each, "probe": "linear", "scores": scores} for each in (PRE_TRAINED, UNTRAINED)]
    assert overlapping(draw_confusion(many)) == ([], [])
    shares = row_shares(many, PRE_TRAINED)
    assert shares[0, 0] == shares[0, 1] == 50  # two seeds that disagree
    assert np.isnan(shares[3]).all()


def test_eps(finished_run, features):
    quality = label_quality_by_eps(features[PRE_TRAINED], (0.4, 0.6))
    found = features[PRE_TRAINED].labels()
    assert quality[1] == {"eps": 0.6} | label_quality(found, features[PRE_TRAINED].motion)  # 0.6: the run's own
    assert overlapping(draw_eps(quality, 0.6, [])) == ([], [])
    accuracies = [Accuracy(eps, 50 + eps, 40) for eps in (0.4, 0.5, 0.5, 0.6)]
    assert overlapping(draw_eps(quality, 0.6, accuracies)) == ([], [])
    with pytest.raises(InputError, match=r"2 runs, all with air\.cluster\.eps = 0\.6"):
        plot_eps([finished_run, finished_run])


def test_accuracy_comes_from_the_evaluations(finished_run, evaluation, tmp_path):
    for name in ("config.yaml", "evaluate-linear.json"):
        text = (finished_run / name).read_text()
        (tmp_path / name).write_text(text.replace("eps: 0.6", "eps: 0.5"))
    low, high = accuracy_by_eps([finished_run, tmp_path])
    assert (low.eps, high.eps) == (0.5, 0.6)
    mean = next(r for r in evaluation["rows"] if (r["features"], r["probe"]) == (UNTRAINED, "linear"))["accuracy"][
        "mean"
    ]
    assert low.untrained == pytest.approx(100 * mean)


def test_relevance(finished_run):
    scored = scored_run(finished_run, None, "cpu")
    kinds = relevance.kinds_of(scored.features, None)
    assert overlapping(relevance.draw_relevance(scored, kinds)) == ([], [])
    assert overlapping(relevance.draw_relevance(scored, ["<script>"])) == ([], [])
    assert overlapping(relevance.draw_comparison(scored, scored, "$fear$")) == ([], [])
    with pytest.raises(InputError, match=r"--class neutra: .*did you mean 'neutral'"):
        relevance.kinds_of(scored.features, "neutra")


def test_files_by_suffix_and_default_names(finished_run, tmp_path):
    assert plot_clusters(finished_run) == finished_run / "clusters.png"
    with Image.open(finished_run / "clusters.png") as picture:
        assert picture.size == (1290, 780)  # 8.6 by 5.2 inches at 150 dots
    first, second = (plot_clusters(finished_run, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert first == second
    (finished_run / "clusters.png").unlink()


def test_a_run_without_labels_or_parts_or_set(walkers, tmp_path):
    config = load_config("demo", overrides=(*TINY, "train.epochs=1", "air.asp=false"))
    run = pretrain(walkers, config, tmp_path / "run", "cpu")
    with pytest.raises(InputError, match="no labels in its 1 epochs"):
        plot_clusters(run)
    with pytest.raises(InputError, match="trained on a set in memory"):
        read_features(run)
    with pytest.raises(InputError, match="without part skeletons"):
        plot_relevance(run, data=walkers, device="cpu")
    with pytest.raises(InputError, match="trained on other clips"):
        read_features(run, walkers.select(range(5)))
    with pytest.raises(InputError, match=r"no config\.yaml"):
        plot_clusters(tmp_path)


def test_categories_and_names():
    assert len({canvas.category(i) for i in range(56)}) == 56
    assert canvas.plain("$a$") == r"\$a\$"
    assert canvas.plain("_a") == " a"
    assert canvas.plain("x" * 40) == "x" * 15 + "…"


def test_the_check_of_overlaps_finds_them():
    figure = canvas.new_figure(3, 2)
    axes = figure.subplots()
    axes.text(0.5, 0.5, "here")
    axes.text(0.52, 0.5, "and here")
    axes.text(3.0, 0.5, "far outside").set_in_layout(False)
    pairs, outside = overlapping(figure)
    assert pairs == [("here", "and here")]
    assert outside == ["far outside"]


def test_eps_of_any_features(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, 8))[rng.integers(0, 4, 60)] + 0.3 * rng.normal(size=(60, 8))
    np.save(tmp_path / "mine.npy", rows.astype(np.float32))
    path, found = plot_stability(tmp_path / "mine.npy")
    assert path == tmp_path / "mine-eps.png"
    with Image.open(path) as picture:
        assert picture.size[0] > 1000
    assert overlapping(draw_stability(found)) == ([], [])
