"""A head says what a logistic regression says, is calibrated on clips it did not see, and knows what is foreign."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from airfast import Embedder, Predictor, fit_head
from airfast.deploy.head import load_head
from airfast.errors import InputError
from airfast.evaluate import finetune
from airfast.evaluate.head import best_temperature, held_out
from airfast.evaluate.metrics import calibration_error
from airfast.record import write_record
from airfast.runs.folder import read_split


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def sides(run, motion):
    known = read_split(run)
    at = {name: i for i, name in enumerate(motion.names)}
    return [np.array([at[name] for name in known[side]]) for side in ("train", "test")]


def test_it_is_a_logistic_regression_of_the_training_clips_with_a_temperature(run, hostile):
    report = fit_head(run, device="cpu")
    train, test = sides(run, hostile)
    features = Embedder(run, "cpu").transform(hostile)
    peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(
        features[train], hostile.labels[train]
    )
    logits = peer.decision_function(features)
    expected = torch.softmax(torch.from_numpy(logits) / report.temperature, dim=1).numpy()
    found = Predictor(run, "cpu").predict(hostile)
    np.testing.assert_allclose(found.probability, expected.max(axis=1), atol=2e-3)
    assert list(found.label) == [hostile.classes[i] for i in expected.argmax(axis=1)]
    assert list(found.second) == [hostile.classes[i] for i in np.argsort(expected)[:, -2]]
    assert (report.train, report.test) == (len(train), len(test))
    assert report.accuracy == pytest.approx((expected[test].argmax(axis=1) == hostile.labels[test]).mean())
    assert report.calibration_error[1] == pytest.approx(
        calibration_error(expected[test], hostile.labels[test]), abs=0.02
    )
    assert json.loads((run / "head" / "head.json").read_text())["temperature"] == report.temperature


def test_the_temperature_is_that_of_clips_the_classifier_did_not_see(run, hostile):
    report = fit_head(run, device="cpu")
    train, _ = sides(run, hostile)
    fitting, held = held_out(hostile, train, "random", 0)
    assert not set(fitting) & set(held)
    assert {*fitting, *held} == set(train)
    features = Embedder(run, "cpu").transform(hostile)
    peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    peer.fit(features[fitting], hostile.labels[fitting])
    logits, answers = torch.from_numpy(peer.decision_function(features[held])), torch.from_numpy(hostile.labels[held])
    loss = [float(F.cross_entropy(logits / t, answers)) for t in (0.8, 1.0, 1.25)]
    at = float(F.cross_entropy(logits / report.temperature, answers))
    assert at <= min(loss) + 1e-6
    assert report.temperature == pytest.approx(best_temperature(logits, answers), rel=0.02)


def test_whole_subjects_are_held_out_where_the_run_does_so(walkers):
    named = dataclasses.replace(walkers, subjects=tuple(f"p{i % 6}" for i in range(len(walkers))))
    fitting, held = held_out(named, np.arange(len(named)), "subject", 0)
    assert len(held)
    assert not {named.subjects[i] for i in fitting} & {named.subjects[i] for i in held}
    alone = dataclasses.replace(walkers, subjects=("p",) * len(walkers))
    assert len(held_out(alone, np.arange(len(alone)), "subject", 0)[1])  # one subject cannot be held out


def test_a_clip_unlike_the_training_clips_is_flagged(run, hostile):
    fit_head(run, device="cpu")
    train, _ = sides(run, hostile)
    predictor = Predictor(run, "cpu")
    fitting, held = held_out(hostile, train, "random", 0)
    features = Embedder(run, "cpu").transform(hostile)
    scaler = StandardScaler().fit(features[train])
    rows = scaler.transform(features)
    precision = np.linalg.inv(LedoitWolf(assume_centered=True).fit(rows[fitting]).covariance_)
    expected = np.sqrt(np.einsum("nd,de,ne->n", rows, precision, rows))
    expected /= np.quantile(expected[held], 0.99)
    seen = predictor.predict(hostile)
    np.testing.assert_allclose(seen.distance, expected, rtol=1e-2)
    assert list(seen.unlike) == list(seen.distance > 1)
    noise = np.random.default_rng(0).normal(size=hostile.positions.shape).astype(np.float32)
    foreign = predictor.predict(dataclasses.replace(hostile, positions=noise))
    assert foreign.unlike.mean() > 0.4 > seen.unlike.mean()


def test_labels_of_a_file_and_two_classes(run, hostile, tmp_path):
    walkers = dataclasses.replace(hostile, names=tuple(f"{i}.npy" for i in range(len(hostile))))
    known = read_split(run)
    at = {name: f"{i}.npy" for i, name in enumerate(hostile.names)}
    known |= {side: [at[name] for name in known[side]] for side in ("train", "test")}
    write_record(run / "split.json", known)
    rows = [f"{i}.npy,{'calm' if i % 2 else 'tense'}" for i in range(len(hostile))]
    (tmp_path / "labels.csv").write_text("file,mood\n" + "\n".join(rows[:-2]) + "\n")
    report = fit_head(run, tmp_path / "labels.csv", data=walkers, device="cpu", label_column="mood")
    assert report.classes == ("calm", "tense")
    assert report.train + report.test == len(hostile) - 2
    train, _ = sides(run, walkers)
    train = train[train < len(hostile) - 2]
    features = Embedder(run, "cpu").transform(hostile)
    peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(features[train], train % 2 == 0)
    found = Predictor(run, "cpu").predict(hostile)
    assert list(found.label == "tense") == list(peer.predict(features))


def test_finetuned_keeps_an_encoder_of_its_own(run, hostile, monkeypatch):
    monkeypatch.setattr(finetune, "EPOCHS", 4)
    before = (run / "encoder.safetensors").read_bytes()
    report = fit_head(run, model="finetuned", device="cpu")
    assert report.accuracy > 0.3  # chance is a fifth
    assert (run / "encoder.safetensors").read_bytes() == before
    tuned = Embedder(run / "head" / "encoder.safetensors", "cpu").transform(hostile)
    assert np.abs(tuned - Embedder(run, "cpu").transform(hostile)).max() > 1e-3
    _, test = sides(run, hostile)
    found = Predictor(run, "cpu").predict(hostile.select(test))
    hits = [hostile.classes.index(name) for name in found.label] == hostile.labels[test]
    assert hits.mean() == pytest.approx(report.accuracy)
    fit_head(run, device="cpu")
    assert not (run / "head" / "encoder.safetensors").exists()


def test_calibration_error_by_hand():
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [0.0, 1.0]])
    # bins of 1/15: 0.9 twice, right and wrong (|0.5 − 0.9|·2); 0.65 wrong; 1.0 right
    assert calibration_error(probability, np.array([0, 1, 0, 1])) == pytest.approx((0.8 + 0.65 + 0) / 4)


def test_wrong_inputs(run, finished_run, hostile, tmp_path):
    with pytest.raises(InputError, match="no head to predict with; fit one with: airfast fit-head"):
        Predictor(run, "cpu")
    with pytest.raises(InputError, match="--model tree: expected logistic or finetuned"):
        fit_head(run, model="tree")
    unlabelled = dataclasses.replace(hostile, labels=np.full(len(hostile), -1), classes=())
    with pytest.raises(InputError, match="0 labelled training clips; expected at least two classes"):
        fit_head(run, data=unlabelled, device="cpu")
    (tmp_path / "labels.csv").write_text("file,label\nnobody.bvh,happy\n")
    with pytest.raises(InputError, match=r"labels\.csv:2: no clip 'nobody\.bvh'"):
        fit_head(run, tmp_path / "labels.csv", device="cpu")
    fit_head(run, device="cpu")
    with pytest.raises(InputError, match="threshold: expected a probability"):
        Predictor(run, "cpu", threshold=2)
    with pytest.raises(InputError, match="hop: belongs to a window"):
        Predictor(run, "cpu").predict(hostile, hop=1.0)
    (run / "encoder.safetensors").write_bytes((run / "encoder.safetensors").read_bytes() + b" ")
    with pytest.raises(InputError, match="fitted on another encoder; fit it again with: airfast fit-head"):
        load_head(run)
    (run / "head" / "head.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_head(run)
