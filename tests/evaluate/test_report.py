import json

import numpy as np
import pytest

from airfast.errors import InputError
from airfast.evaluate.report import evaluate
from airfast.pretrain import pretrain


@pytest.fixture
def run(walkers, tiny, tmp_path):
    walkers.save(tmp_path / "set")
    return pretrain(tmp_path / "set", tiny("train.epochs=2", "train.warmup=1"), tmp_path / "run", "cpu")


def test_table_has_the_baselines_and_is_saved(run):
    rows = evaluate(run, "linear", seeds=2, device="cpu")
    assert [(row.features, row.probe) for row in rows] == [
        ("majority", "–"),
        ("hand-made", "linear"),
        ("hand-made", "linear, best"),
        ("untrained", "linear"),
        ("untrained", "linear, best"),
        ("pre-trained", "linear"),
        ("pre-trained", "linear, best"),
    ]
    record = json.loads((run / "evaluate-linear.json").read_text())
    assert record["synthetic"] is True
    last = record["rows"][-2]
    assert last["accuracy"]["mean"] == pytest.approx(np.mean([each["accuracy"] for each in last["scores"]]))
    assert len(last["scores"]) == 2


def test_knn_and_an_explicit_set_use_the_runs_split(run):
    own = evaluate(run, "knn", device="cpu")
    named = evaluate(run, "knn", data=run.parent / "set", device="cpu")
    assert [row.scores for row in own] == [row.scores for row in named]
    assert (run / "evaluate-knn-set.json").exists()


def test_wrong_inputs(run, walkers, tmp_path):
    with pytest.raises(InputError, match="expected linear or knn"):
        evaluate(run, "liner")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no such file"):
        evaluate(tmp_path, "knn")
    one_class = walkers.select(np.flatnonzero(walkers.labels == 0))
    one_class.save(tmp_path / "one")
    with pytest.raises(InputError, match="at least two classes"):
        evaluate(run, "knn", data=tmp_path / "one")
