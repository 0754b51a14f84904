"""Training with labels: it learns, resumes to the same result, and refuses what it cannot learn from."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from airfast.config import load_config
from airfast.data.dataset import DeviceClips
from airfast.errors import InputError, Note
from airfast.evaluate.metrics import score
from airfast.evaluate.supervised import from_log, labelled, to_log, train_supervised
from airfast.models.classifier import Classifier
from airfast.runs.checkpoint import BEFORE, STATE, read
from airfast.runs.folder import read_metrics, read_split
from airfast.training.pretrain import choose_split, pretrain
from airfast.training.supervised import MODEL, begin, load_classifier, predict, train_epoch

SHORT = ("inputs.frames=8", "model.hidden=16", "train.batch_size=16", "train.checkpoint_every=3", "split.kind=random")


def config(method, *overrides):
    return load_config("small", overrides=(*SHORT, *overrides), method=method)


def lines(run):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in read_metrics(run)]


@pytest.fixture(scope="module")
def finished(walkers, tmp_path_factory):
    run = tmp_path_factory.mktemp("supervised")
    return run, train_supervised(walkers, config("st-gcn", "train.epochs=6"), run, "cpu")


def test_a_run_folder_holds_everything(finished):
    run, (_, last, best) = finished[0], finished[1].rows
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "split.json",
        "environment.json",
        "metrics.jsonl",
        MODEL,
        STATE,
        BEFORE,
        "evaluate-supervised.json",
    }
    assert best.mean("accuracy") >= last.mean("accuracy")
    record = json.loads((run / "evaluate-supervised.json").read_text())
    assert [row["probe"].split(",")[0] for row in record["rows"]] == ["–", "last epoch", "best epoch"]


@pytest.mark.parametrize(
    ("method", "overrides"),
    [("agcn", ("train.lr=0.02", "train.drops=[1]", "train.epochs=14")), ("air", ("train.lr=0.002", "train.epochs=40"))],
)
def test_it_learns_the_synthetic_walkers(walkers, tmp_path, method, overrides):
    settings = config(method, "split.test_fraction=0.3", *overrides)
    common, last, _ = train_supervised(walkers, settings, tmp_path, "cpu").rows
    chance = common.mean("accuracy")
    assert lines(tmp_path)[-1]["accuracy"] > chance + 0.15  # on augmented views
    assert last.mean("balanced_accuracy") > common.mean("balanced_accuracy") + 0.1  # a fifth: of five classes


def test_two_classes_are_enough(walkers):
    two = walkers.select(np.flatnonzero(walkers.labels < 2))
    assert set(two.labels[labelled(two, config("agcn")).train].tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["actor02", "actor03"])
def test_who_is_named_is_tested_on(walkers, name):
    task = labelled(walkers, config("agcn", "split.kind=subject", f"split.held_out={name}"))
    assert {walkers.subjects[i] for i in task.test} == {name}
    assert name not in {walkers.subjects[i] for i in task.train}


def test_steps_are_sgd_with_nesterov_momentum_and_decay(walkers):
    settings = config("agcn", "train.batch_size=60", "train.weight_decay=0.1", "train.lr=0.05")
    clips = DeviceClips.from_motion(walkers, settings.inputs, "cpu")
    state = begin(settings, walkers.layout, 5, clips)
    weight, speed = state.model.streams[0].network.classify.weight, 0
    expected = weight.detach().clone()
    for epoch in range(3):  # a step an epoch
        train_epoch(state, clips, torch.from_numpy(walkers.labels), epoch)
        slope = weight.grad + 0.1 * expected
        speed = 0.9 * speed + slope
        expected = expected - 0.05 * (slope + 0.9 * speed)
        torch.testing.assert_close(weight.detach(), expected)


def test_the_split_is_that_of_pre_training(finished, walkers):
    run, _ = finished
    _, test = choose_split(walkers, config("air"))
    assert read_split(run)["test"] == [walkers.names[index] for index in test]


def test_the_saved_model_predicts_what_was_reported(finished, walkers):
    run, (_, last, _) = finished[0], finished[1].rows
    model, layout, classes = load_classifier(run)
    assert (layout.joints, classes) == (walkers.layout.joints, walkers.classes)
    side = read_split(run)["test"]
    test = walkers.select([walkers.names.index(name) for name in side])
    predicted = predict(model, DeviceClips.from_motion(test, model.config.inputs, "cpu"))
    assert (predicted == test.labels).mean() == pytest.approx(last.mean("accuracy"))


def test_resumed_run_equals_the_uninterrupted_one(finished, walkers, tmp_path):
    class Interrupted(Exception):
        pass

    def stop_after_four(line):  # one epoch past the state saved at epoch 3
        if line["epoch"] == 4:
            raise Interrupted

    settings = config("st-gcn", "train.epochs=6")
    with pytest.raises(Interrupted):
        train_supervised(walkers, settings, tmp_path, "cpu", report=stop_after_four)
    assert read(tmp_path / STATE)[1]["epoch"] == 3
    found = train_supervised(walkers, settings, tmp_path, "cpu")
    assert lines(tmp_path) == lines(finished[0])
    assert found.rows == finished[1].rows
    ours, theirs = (read(run / STATE)[0] for run in (tmp_path, finished[0]))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("method", "overrides", "streams"),
    [
        ("agcn", ("modalities=[joint,bone]",), 2),  # 2s-AGCN
        ("st-gcn", ("modalities=[motion]", "inputs=paper", "inputs.frames=8"), 1),
        ("air", (), 1),
    ],
)
def test_every_model_trains(walkers, tmp_path, method, overrides, streams):
    settings = config(method, "train.epochs=1", *overrides)
    found = train_supervised(walkers, settings, tmp_path, "cpu")
    assert found.rows[1].features == method
    assert len(load_classifier(tmp_path)[0].streams) == streams


def test_logged_scores_come_back():
    scores = score(np.array([0, 0, 2, 2, 1]), np.array([0, 1, 2, 2, 2]), 4)  # no clip is of class 3: its recall is nan
    back = from_log(json.loads(json.dumps(to_log(scores), allow_nan=False)))
    assert to_log(back) == to_log(scores)
    np.testing.assert_equal(back.recall, scores.recall)


def test_scores_are_the_mean_of_the_streams(walkers):
    model = Classifier(config("agcn", "modalities=[joint,bone]"), walkers.layout, 4).eval()
    clips = torch.randn(3, 6, 8, len(walkers.layout.joints))
    expected = sum(torch.softmax(stream(clips), dim=1) for stream in model.streams) / 2
    torch.testing.assert_close(model.scores(clips), expected)


def test_sets_it_cannot_learn_from(walkers, tmp_path):
    unlabelled = dataclasses.replace(walkers, labels=np.full(len(walkers), -1))
    one_class = walkers.select(np.flatnonzero(walkers.labels == 0))
    for motion, overrides, message in (
        (unlabelled, (), "expected labelled clips, found none"),
        (one_class, (), "of one class"),
        (walkers, ("split.kind=none",), "needs test clips"),
    ):
        with pytest.raises(InputError, match=message):
            train_supervised(motion, config("st-gcn", *overrides), tmp_path / "run", "cpu")
    with pytest.raises(InputError, match=r"--model cage: expected st-gcn, agcn, air"):
        train_supervised(walkers, config("cage"), tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


def test_the_folder_of_another_kind_of_run_is_refused(walkers, tmp_path):
    settings = config("air", "train.epochs=1")
    train_supervised(walkers, settings, tmp_path, "cpu")
    with pytest.raises(InputError, match="another kind or version of run"):
        pretrain(walkers, settings, tmp_path, "cpu")


def test_a_torn_log_is_repaired_and_one_that_misses_epochs_is_refused(finished, walkers, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    settings = config("st-gcn", "train.epochs=6")
    log = run / "metrics.jsonl"
    whole = log.read_text()
    log.write_text(whole + whole[:30])
    with pytest.warns(Note, match="line 7 was not written to its end"):
        found = train_supervised(walkers, settings, run, "cpu")
    assert log.read_text() == whole
    assert [row.record() for row in found.rows] == [row.record() for row in finished[1].rows]
    log.write_text("")
    with pytest.raises(InputError, match="6 of the 6 epochs that the state has behind it are not in the log"):
        train_supervised(walkers, settings, run, "cpu")
    with (
        pytest.warns(Note, match="not in the log"),
        pytest.raises(InputError, match="the last epoch is not in the log"),
    ):
        train_supervised(walkers, settings, run, "cpu", resume=str(run / STATE))


def test_the_best_epoch_is_called_by_its_number_where_the_log_misses_some(finished, walkers, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    log = run / "metrics.jsonl"
    rows = log.read_text().splitlines(keepends=True)
    log.write_text("".join(rows[3:]))
    with pytest.warns(Note, match="3 of the 6 epochs"):
        found = train_supervised(walkers, config("st-gcn", "train.epochs=6"), run, "cpu", resume=str(run / STATE))
    accuracy = {row["epoch"]: row["test"]["accuracy"] for row in map(json.loads, rows[3:])}
    assert found.rows[2].probe == f"best epoch, {max(accuracy, key=accuracy.get)}"


def test_a_run_folder_has_one_run_at_a_time(walkers, tmp_path):
    settings = config("st-gcn", "train.epochs=1")

    def second(_):
        with pytest.raises(InputError, match="is at work there"):
            train_supervised(walkers, settings, tmp_path, "cpu")

    train_supervised(walkers, settings, tmp_path, "cpu", report=second)
    assert [row["epoch"] for row in lines(tmp_path)] == [1]
