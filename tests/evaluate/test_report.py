import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from airfast.config import load_config
from airfast.deploy.embed import encode
from airfast.errors import InputError
from airfast.evaluate import finetune, report
from airfast.evaluate.frozen import few_rows, told, untrained_like
from airfast.evaluate.linear import standardise
from airfast.evaluate.report import evaluate, evaluate_frozen
from airfast.evaluate.semi import draw_few
from airfast.evaluate.task import Task
from airfast.runs.checkpoint import load_encoder
from airfast.training.pretrain import pretrain
from tests.conftest import TINY, on_layout


@pytest.fixture(scope="module")
def run(walkers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    walkers.save(folder / "set")
    config = load_config("demo", overrides=(*TINY, "train.epochs=2", "air.warmup=1"))
    return pretrain(folder / "set", config, folder / "run", "cpu")


@pytest.fixture
def quick(monkeypatch):
    """Fine-tuning in two epochs of two steps: these tests are about the tables."""
    for name, value in (("EPOCHS", 2), ("DROP", 1), ("FEWEST_STEPS", 2)):
        monkeypatch.setattr(finetune, name, value)


def names(found):
    return [(row.features, row.probe) for row in found.rows]


def read(path):
    return json.loads(path.read_text())


def test_linear_has_every_baseline_and_is_saved(run):
    found = evaluate(run, "linear", seeds=2, device="cpu")
    assert names(found) == [
        ("majority", "–"),
        ("hand-made", "logistic"),
        ("hand-made", "forest"),
        ("hand-made", "linear"),
        ("hand-made", "linear, best"),
        ("untrained", "linear"),
        ("untrained", "linear, best"),
        ("pre-trained", "linear"),
        ("pre-trained", "linear, best"),
    ]
    record = read(run / "evaluate-linear.json")
    assert record["synthetic"] is True
    last = record["rows"][-2]
    assert last["accuracy"]["mean"] == pytest.approx(np.mean([each["accuracy"] for each in last["scores"]]))
    assert len(last["scores"]) == 2
    assert np.sum(last["confusion"]) == 2 * record["test_clips"]


def test_every_row_may_be_told_who_moves(run):
    plain = {kind: evaluate(run, kind, seeds=2, device="cpu") for kind in ("linear", "knn")}
    for kind, before in plain.items():
        found = evaluate(run, kind, seeds=2, device="cpu", nuisance="subject")
        assert names(found) == names(before)
        assert found.notes[-1].startswith("every row: directions between the means of the training clips' subjects")
        others = {row.features for row, was in zip(found.rows, before.rows, strict=True) if row.scores != was.scores}
        assert others == {"hand-made", "untrained", "pre-trained"}
        assert read(run / f"evaluate-{kind}-without-subject.json")["notes"][-1] == found.notes[-1]


def test_what_is_told_is_what_the_training_clips_tell(walkers):
    train, kinds = np.arange(10, 50), np.array([walkers.subjects[i] for i in range(10, 50)])
    features = torch.randn(60, 30, generator=torch.Generator().manual_seed(0))
    blind = told({"x": features}, walkers, "subject", train)["x"]
    plain = standardise(features[train], features)[1]
    means = torch.stack([plain[train[kinds == kind]].mean(dim=0) for kind in np.unique(kinds)])
    # By least squares, row by row: what is left of each clip once the means have explained what they can.
    weights = np.linalg.lstsq(means.T.numpy(), plain.T.numpy(), rcond=1e-4)[0]
    np.testing.assert_allclose(blind, plain.numpy() - weights.T @ means.numpy(), atol=1e-4)
    assert torch.equal(told({"x": features}, walkers, "none", train)["x"], features)


@pytest.mark.parametrize(
    ("protocol", "nuisance", "message"),
    [
        ("linear", "action", "--nuisance action: expected none, group or subject"),
        ("semi", "subject", "--nuisance subject: of linear, knn and few"),
        ("knn", "group", "--nuisance group: the group of clip actor"),
    ],
)
def test_a_nuisance_that_cannot_be_told(run, protocol, nuisance, message):
    with pytest.raises(InputError, match=message):
        evaluate(run, protocol, device="cpu", nuisance=nuisance)


def test_a_frozen_encoder_is_left_as_it_is(run, walkers):
    encoder = load_encoder(run)
    for frozen in (encoder, untrained_like(encoder)):
        before = {name: value.clone() for name, value in frozen.state_dict().items()}
        features = encode(frozen.train(), walkers, torch.device("cpu"))
        assert not frozen.training
        assert not features.requires_grad
        after = frozen.state_dict()  # weights, input statistics and every other buffer
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert all(each.grad is None for each in frozen.parameters())


def test_one_encoding_gives_the_tables_of_the_frozen_protocols(run):
    together = evaluate_frozen(run, "cpu", seeds=2)
    linear = [row for row in evaluate(run, "linear", seeds=2).rows if row.probe not in ("logistic", "forest")]
    apart = [*linear, *evaluate(run, "knn").rows[1:], *evaluate(run, "few", each=(1, 5)).rows[1:]]
    assert list(together.rows) == apart


def test_an_explicit_set_uses_the_runs_split(run):
    own = evaluate(run, "knn", device="cpu")
    named = evaluate(run, "knn", data=run.parent / "set", device="cpu")
    assert own.rows == named.rows
    assert (run / "evaluate-knn-set.json").exists()


def test_a_split_for_every_seed_says_what_pre_training_has_seen(run):
    found = evaluate(run, "knn", seeds=3, split="subject", device="cpu")
    assert [len(row.scores) for row in found.rows] == [3] * len(found.rows)
    assert found.varies == "the split"
    known = set(read(run / "split.json")["train"])
    assert any(note.startswith("transductive: pre-training has seen") for note in found.notes)
    assert known
    assert read(run / "evaluate-knn-subject.json")["notes"] == list(found.notes)
    linear = evaluate(run, "linear", seeds=2, split="random", device="cpu")
    assert [len(row.scores) for row in linear.rows] == [2] * len(linear.rows)
    assert [row.shared for row in linear.rows] == pytest.approx(
        [12 / 48] * len(linear.rows)
    )  # splits of the same clips overlap
    assert any(note.startswith("split of seed 0: ") and "subjects are on both sides" in note for note in linear.notes)
    assert not any("subjects are on both sides" in note for note in found.notes)
    assert {row.shared for row in evaluate(run, "knn", device="cpu").rows} == {0}  # one split, the run's


def test_a_few_labels_of_every_class(run):
    found = evaluate(run, "few", each=(3, 1, 30), device="cpu")
    told = ["hand-made", "untrained", "pre-trained"]
    assert [(row.features, row.each) for row in found.rows[1:]] == [
        (name, count) for name in told for count in (1, 3, 30)
    ]
    assert [row.clips for row in found.rows[1:4]] == [5, 15, 48]
    assert [len(row.scores) for row in found.rows[1:]] == [20] * 9
    assert found.notes[-1] == "fewer than 30 training clips of angry, fearful, happy, neutral, sad: all of them"
    assert len(set(found.rows[-1].values("accuracy"))) == 1  # all labels: nothing is drawn
    assert found.rows[1].mean("accuracy") < found.rows[3].mean("accuracy")
    record = read(run / "evaluate-few.json")["rows"][1]
    assert (record["features"], record["each"], record["clips"]) == ("hand-made", 1, 5)
    drawn = evaluate(run, "few", seeds=2, each=(1,), split="subject", device="cpu", nuisance="subject")
    assert [len(row.scores) for row in drawn.rows] == [2] * 4
    assert drawn.rows[1].shared > 0


def test_few_labels_are_standardised_by_all_training_clips(walkers):
    task = Task(walkers, np.arange(40), np.arange(40, 60))
    features = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)) * 50 + 10
    (row,) = few_rows({"x": features}, task, (2,), 1, first=3)[1:]
    labels, (train, test) = walkers.labels[:40], standardise(features[:40], features[40:])
    kept = draw_few(labels, 2, 3)
    model = LogisticRegression(max_iter=5000).fit(train[kept], labels[kept])
    assert row.scores[0].accuracy == np.mean(model.predict(test) == walkers.labels[40:])


def test_fine_tuning_has_its_baselines(run, quick):
    seen = []
    found = evaluate(run, "finetune", seeds=2, device="cpu", progress=lambda *state: seen.append(state))
    assert names(found) == [
        ("majority", "–"),
        ("hand-made", "logistic"),
        ("untrained", "fine-tuned"),
        ("untrained", "fine-tuned, best"),
        ("pre-trained", "fine-tuned"),
        ("pre-trained", "fine-tuned, best"),
    ]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(len(row.scores) == 2 for row in found.rows)


def test_few_labels_are_counted(run, quick):
    found = evaluate(run, "semi", seeds=2, fractions=(0.5, 0.01), device="cpu")
    assert [row.fraction for row in found.rows] == [0.01] * 6 + [0.5] * 6
    assert found.notes[1] == "1 % of 48 labels: 5 clips, 10.4 % (one of each of the 5 classes at least)"
    row = read(run / "evaluate-semi.json")["rows"][-1]
    assert (row["fraction"], row["clips"]) == (0.5, found.rows[-1].clips)


def test_equal_draws_are_trained_on_once(run, quick, monkeypatch):
    calls = []
    monkeypatch.setattr(report, "fine_tune", lambda *given: calls.append(given) or finetune.fine_tune(*given))
    found = evaluate(run, "semi", seeds=1, fractions=(0.01, 0.05), device="cpu")
    assert len(calls) == 2  # untrained and pre-trained; 5 clips are 1 % and 5 % alike
    assert found.rows[4].scores == found.rows[10].scores


def test_transfer_to_another_skeleton(run, walkers, quick, tmp_path):
    on_layout(walkers, "kinect25").save(tmp_path / "kinect")
    found = evaluate(run, "transfer", data=tmp_path / "kinect", seeds=1, device="cpu")
    assert names(found)[-1] == ("pre-trained", "fine-tuned, best")
    assert found.notes[0] == "the set lacks spine1, left_collar, right_collar: placed between or on their neighbours"
    assert (run / "evaluate-transfer-kinect.json").exists()


def test_transfer_from_a_native_skeleton(walkers, tiny, quick, tmp_path):
    on_layout(walkers, "gait16").save(tmp_path / "gait")
    on_layout(walkers, "kinect25").save(tmp_path / "kinect")
    short = ("train.epochs=1", "air.warmup=1")
    native = pretrain(tmp_path / "gait", tiny(*short), tmp_path / "native", "cpu")
    with pytest.raises(InputError, match=r"airfast pretrain SET -o inputs\.joints=canonical"):
        evaluate(native, "transfer", data=tmp_path / "kinect", device="cpu")
    shared = pretrain(tmp_path / "gait", tiny(*short, "inputs.joints=canonical"), tmp_path / "shared", "cpu")
    found = evaluate(shared, "transfer", data=tmp_path / "kinect", seeds=1, device="cpu")
    assert "the set of pre-training lacks spine1, spine3, " in found.notes[1]
    assert evaluate(shared, "knn", device="cpu").rows  # its own set is mapped too


def test_wrong_inputs(run, walkers, tmp_path):
    with pytest.raises(InputError, match="--protocol liner: expected linear, knn, few, finetune, semi or transfer"):
        evaluate(run, "liner")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"--fraction 0,0\.5: expected shares above 0"):
        evaluate(run, "semi", fractions=(0, 0.5))
    with pytest.raises(InputError, match=r"--each 0,2: expected numbers of clips, 1 or more"):
        evaluate(run, "few", each=(0, 2))
    with pytest.raises(InputError, match=r"--each one: expected whole numbers with commas between"):
        report.parse_each("one")
    with pytest.raises(InputError, match="--split actor: expected random, subject, group or family"):
        evaluate(run, "knn", split="actor")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="say with --to"):
        evaluate(run, "transfer")
    with pytest.raises(InputError, match="no such file"):
        evaluate(tmp_path, "knn")
    one_class = walkers.select(np.flatnonzero(walkers.labels == 0))
    one_class.save(tmp_path / "one")
    with pytest.raises(InputError, match="at least two classes"):
        evaluate(run, "knn", data=tmp_path / "one")
