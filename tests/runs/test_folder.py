"""What a run goes on from, and what it refuses to go on from."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
import torch

from airfast.errors import InputError, Note
from airfast.evaluate.report import evaluate
from airfast.evaluate.task import open_task
from airfast.record import sealed
from airfast.runs.checkpoint import BEFORE, STATE, Damaged, load_encoder, read
from airfast.runs.folder import read_config, read_environment, read_evaluation, read_metrics, read_split
from tests.training.test_stopping import same_state

pretrain = sys.modules["airfast.training.pretrain"].pretrain


@pytest.fixture(scope="module")
def made(walkers, tmp_path_factory):
    """A set and a run of it, not to be changed."""
    from airfast.config import load_config
    from tests.conftest import TINY

    place = tmp_path_factory.mktemp("made")
    walkers.save(place / "set")
    pretrain(place / "set", load_config("demo", overrides=TINY), place / "run", "cpu")
    evaluate(place / "run", "knn", device="cpu")
    return place


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made / "run", tmp_path / "run")


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_the_last_two_states_are_kept(run):
    assert [read(run / each)[1]["epoch"] for each in (STATE, BEFORE)] == [6, 3]


@pytest.mark.parametrize("damage", ["flipped", "torn", "gone"])
def test_auto_passes_over_a_damaged_state(run, made, tiny, damage):
    state = run / STATE
    if damage == "gone":
        state.unlink()  # as between the two renames of a save
        pretrain(made / "set", tiny(), run, "cpu")
    else:
        flip(state) if damage == "flipped" else state.write_bytes(state.read_bytes()[:1000])
        with pytest.warns(Note, match=r"state\.safetensors: damaged.*; going on from the state before it"):
            pretrain(made / "set", tiny(), run, "cpu")
    same_state(made / "run", run)
    assert [line["epoch"] for line in read_metrics(run)] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_state_that_was_named_is_an_error_and_so_are_two(run, made, tiny):
    flip(run / STATE)
    with pytest.raises(Damaged, match="do not match their SHA-256"):
        pretrain(made / "set", tiny(), run, "cpu", resume=str(run / STATE))
    flip(run / BEFORE)
    with pytest.warns(Note, match="going on from"), pytest.raises(Damaged, match=r"before\.safetensors: damaged"):
        pretrain(made / "set", tiny(), run, "cpu")


def test_a_state_of_another_configuration_is_not_passed_over(run, made, tiny):
    with pytest.raises(InputError, match=r"train\.lr = 0\.001, not 0\.5"):
        pretrain(made / "set", tiny("train.lr=0.5"), run, "cpu")


PARTS = {
    "a coordinate": "positions",
    "a label": "labels",
    "a rate": "frame rates",
    "a subject": "subjects",
    "a group": "groups",
    "an alias": "layout",
}


def changed(walkers, what):
    """The walkers with one thing changed that no name tells of."""
    if what == "a coordinate":
        positions = walkers.positions.copy()
        positions[7, 3, 1] += np.float32(0.001)
        return dataclasses.replace(walkers, positions=positions)
    if what == "a label":
        labels = walkers.labels.copy()
        labels[0] = (labels[0] + 1) % len(walkers.classes)
        return dataclasses.replace(walkers, labels=labels)
    if what == "a rate":
        return dataclasses.replace(walkers, fps=walkers.fps * np.float32(2))
    if what == "a subject":
        return dataclasses.replace(walkers, subjects=("x", *walkers.subjects[1:]))
    if what == "a group":
        return dataclasses.replace(walkers, groups=("x", *walkers.groups[1:]))
    aliases = {**walkers.layout.aliases, "another": walkers.layout.joints[0]}
    return dataclasses.replace(walkers, layout=dataclasses.replace(walkers.layout, aliases=aliases))


def test_another_set_under_the_same_path_is_refused(run, made, walkers, tiny, tmp_path):
    known = read_split(run)
    other = tmp_path / "set"
    walkers.save(other)
    (run / "split.json").write_text(sealed(known | {"data": str(other)}))
    pretrain(other, tiny(), run, "cpu")  # it has moved, and is the same
    evaluate(run, "knn", device="cpu")
    for what, part in PARTS.items():
        changed(walkers, what).save(other)
        with pytest.raises(
            InputError, match=f"a run on other clips: {part} of the set have changed; use another --out"
        ):
            pretrain(other, tiny(), run, "cpu")
        with pytest.raises(InputError, match=f"was trained on any more, {part} have changed; --data .* takes it"):
            evaluate(run, "knn", device="cpu")
        assert len(open_task(run, load_encoder(run), other).motion) == len(walkers)


def test_a_digest_is_of_what_is_read_and_not_of_where_it_lies(walkers, tmp_path):
    walkers.save(tmp_path / "set")
    from airfast.data.motion import MotionSet

    whole = walkers.digest()
    assert MotionSet.load(tmp_path / "set").digest() == whole
    for what, part in PARTS.items():
        other = changed(walkers, what).digest()
        assert {each for each in whole if other[each] != whole[each]} == {part}
    assert dataclasses.replace(walkers, info={"name": "another"}).digest() == walkers.digest()


def test_a_split_with_a_clip_struck_is_refused_and_made_again(run, made, tiny):
    path = run / "split.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"test": whole["test"][1:]}))
    with pytest.raises(InputError, match=r"split\.json: damaged, its values do not match their seal"):
        evaluate(run, "knn", device="cpu")
    with pytest.warns(Note, match="do not match their seal; made again"):
        pretrain(made / "set", tiny(), run, "cpu")
    assert json.loads(path.read_text()) == whole


def test_a_changed_line_of_the_log_is_not_carried_on(run, made, tiny):
    log = run / "metrics.jsonl"
    log.write_text(log.read_text().replace('"lr": 0.001', '"lr": 0.002', 1))
    for use in (lambda: read_metrics(run), lambda: pretrain(made / "set", tiny(), run, "cpu")):
        with pytest.raises(InputError, match=r"metrics\.jsonl: line 1: damaged, its values do not match their seal"):
            use()


def test_a_log_of_which_some_lines_lost_their_seal(run):
    log = run / "metrics.jsonl"
    lines = log.read_text().splitlines()
    plain = [json.dumps({k: v for k, v in json.loads(line).items() if k != "seal"}) for line in lines]
    log.write_text("\n".join([plain[0], *lines[1:]]) + "\n")
    with pytest.raises(InputError, match="some of its lines have lost their seal"):
        read_metrics(run)
    log.write_text("\n".join(plain) + "\n")  # one from before there were seals
    assert [line["epoch"] for line in read_metrics(run)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("lost", [1, 6])
def test_a_log_that_ends_before_its_encoder_is_said(run, lost):
    log = run / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-lost]))
    with pytest.warns(Note, match=f"{lost} of the 6 epochs of the encoder are not in the log"):
        assert len(read_metrics(run)) == 6 - lost


def test_tables_of_epochs_that_are_run_again_are_tidied(run, made, tiny):
    names = [path.name for path in sorted((run / "labels").iterdir())]
    (run / "labels" / "epoch_0099.parquet").write_bytes(b"of nothing")
    (run / "labels" / ".epoch_0004.parquet.0123456789abcdef.part").write_bytes(b"left by a kill")
    (run / STATE).unlink()
    pretrain(made / "set", tiny(), run, "cpu")
    assert [path.name for path in sorted((run / "labels").iterdir())] == names
    for name in names:
        assert (run / "labels" / name).read_bytes() == (made / "run" / "labels" / name).read_bytes()


def test_settings_that_were_changed_after_the_training(run):
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(InputError, match=r"config\.yaml: changed since: seed = 1, but encoder\.safetensors .* with 0"):
        read_config(run)


def test_another_version_is_said_and_goes_on(run, made, tiny):
    known = read_environment(run)
    (run / "environment.json").write_text(sealed(known | {"torch": "2.10.0", "airfast": "0.0.9"}))
    with pytest.warns(Note, match=r"begun with airfast 0\.0\.9, now .*; torch 2\.10\.0, now .*: it goes on"):
        pretrain(made / "set", tiny(), run, "cpu")
    assert read_environment(run) == known


@pytest.mark.parametrize("read_one", [read_split, read_environment, read_metrics, read_config])
def test_a_folder_where_a_file_belongs(run, read_one):
    name = {
        read_split: "split.json",
        read_environment: "environment.json",
        read_metrics: "metrics.jsonl",
        read_config: "config.yaml",
    }[read_one]
    (run / name).unlink()
    (run / name).mkdir()
    with pytest.raises(InputError):
        read_one(run)


@pytest.mark.parametrize("value", ["0.3", 7, None, [], {"mean": "x"}, {"mean": 1}])
def test_an_evaluation_with_a_value_of_another_type(run, value):
    path = run / "evaluate-knn.json"
    record = read_evaluation(path)
    record["rows"][1]["accuracy"] = value
    path.write_text(sealed(record))
    with pytest.raises(InputError, match=r"evaluate-knn\.json: damaged or foreign, rows\.1\.accuracy"):
        read_evaluation(path)


def test_one_writer_in_a_run_at_a_time(run, made, tiny):
    from airfast.atomic import alone_in
    from airfast.evaluate.head import fit_head

    with alone_in(run):
        for use in (
            lambda: evaluate(run, "knn", device="cpu"),
            lambda: fit_head(run, device="cpu"),
            lambda: pretrain(made / "set", tiny(), run, "cpu"),
        ):
            with pytest.raises(InputError, match="is at work there"):
                use()
    evaluate(run, "knn", device="cpu")
    assert not list(run.glob(".*"))


def test_weights_are_what_they_were(run, made):
    ours, theirs = (load_encoder(each).state_dict() for each in (run, made / "run"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
