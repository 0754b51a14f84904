"""The sweep on tiny runs: made once, resumed after a kill, told in a table and a plot."""

import json
import os
import signal
import subprocess

import pytest

from airfast.ablation import ablate as room
from airfast.ablation import sweep
from airfast.ablation.report import differences, mean_interval, table, write_study
from airfast.errors import InputError
from tests.conftest import TINY

EPOCHS = 6  # of TINY


@pytest.fixture(scope="module")
def folder(walkers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    walkers.save(folder / "set")
    return folder


def ablate(folder, tables, report=lambda state: None, overrides=()):
    return room.ablate(folder / "set", folder / "out", tables, 1, "demo", None, (*TINY, *overrides), 2, "cpu", report)


@pytest.fixture
def one_row(monkeypatch):
    """A study of one row in place of the paper's: each costs a process."""
    rows = (room.Variant("0.6", ("air.cluster.eps=0.6",)),)
    monkeypatch.setitem(room.STUDIES, "eps", room.Study("fig-5", "Fig. 5", "eps", rows, "0.6", ()))


def test_a_killed_run_is_resumed_and_a_finished_one_is_not_made_again(folder, one_row, monkeypatch):
    started, news = [], []
    start = sweep.start

    def remember(*given):
        process = start(*given)
        started.append((given[1].name, process))
        return process

    def kill_once(state):
        news.extend(state.news)
        job, process = started[0]
        done = folder / "out" / "runs" / job / "state.safetensors"
        if done.exists() and not any("killed" in line for line in news) and process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(sweep, "start", remember)
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.1)
    (record,) = ablate(folder, "eps", kill_once)
    victim = started[0][0]
    assert any(line.startswith("killed by signal 9 after") and victim in line for line in news)
    assert [name for name, _ in started].count(victim) == 2
    lines = (folder / "out" / "runs" / victim / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, EPOCHS + 1))
    assert all(row["seeds"][0]["linear accuracy"] > 0 for row in record["rows"])
    before = len(started)
    assert ablate(folder, "eps") == [record]
    assert len(started) == before
    write_study(record, folder / "out")
    assert (folder / "out" / "fig-5.png").stat().st_size > 10_000
    page = (folder / "out" / "fig-5.md").read_text()
    assert page.count("\n| ") == 1 + 1 + 3  # head, row, baselines
    with pytest.raises(InputError, match="holds a run of another configuration"):
        ablate(folder, "eps", overrides=("train.lr=0.002",))


def test_a_run_whose_table_cannot_be_read_is_not_finished(tmp_path, tiny):
    job = sweep.Job(tmp_path, tiny())
    figure = {"mean": 0.5, "sd": 0.1, "interval_95": None}
    row = {"features": "pre-trained", "probe": "1-NN", "scores": [], "recall": [], "confusion": []}
    row |= dict.fromkeys(("accuracy", "macro_f1", "balanced_accuracy"), figure)
    whole = json.dumps({"classes": [], "rows": [row]})
    for name in sweep.EVALUATIONS:
        assert not job.finished()
        (tmp_path / name).write_text(whole)
    assert job.finished()
    for damaged in ("", whole[:-4], "[]", '{"classes": [], "rows": []}'):
        (tmp_path / sweep.EVALUATIONS[1]).write_text(damaged)
        assert not job.finished(), damaged


def test_rows_share_their_runs():
    base = room.base_config("small", 8, ())
    assert (base.train.epochs, base.air.warmup) == (8, 4)  # 60 of the preset's 120 epochs
    runs = {
        (key, variant.name): room.job_of(room.Path("out"), base, "small", (), variant, 0)
        for key in room.PAPER_STUDIES.split(",")
        for variant in room.STUDIES[key].variants
    }
    full = runs["iv", "all"]
    assert full == runs["v", "LA + HA"] == runs["eps", "0.6"] == runs["parts", "appendages"]
    assert runs["iv", "+ AMDL"] == runs["v", "none"]
    assert runs["iv", "+ AMDL + ALR"] == runs["parts", "equal"]
    assert len({job.folder for job in runs.values()}) == 5 + 2 + 4 + 1
    assert len({job.config.to_yaml() for job in runs.values()}) == 5 + 2 + 4 + 1
    baseline = runs["iv", "baseline"].config
    assert (baseline.air.scales, baseline.air.classified) == (("x",), ())
    assert full.config == base


def test_wrong_inputs(folder, walkers, tmp_path):
    with pytest.raises(InputError, match=r"--tables 'epss': unknown \(did you mean 'eps'"):
        ablate(folder, "iv,epss")
    with pytest.raises(InputError, match="no labelled clips to test on"):
        ablate(folder, "iv", overrides=("split.kind=none",))
    with pytest.raises(InputError, match=r"unknown key 'air\.alr\.kk'"):
        ablate(folder, "iv", overrides=("air.alr.kk=3",))
    with sweep.locked(tmp_path), pytest.raises(InputError, match="another sweep"), sweep.locked(tmp_path):
        pass


def test_runs_that_fail_are_told_in_their_own_words(folder, tmp_path, monkeypatch):
    def pretend(status):
        def start(data, job, workers, device, lock):
            job.log().write_text("preset demo\nerror: what was wrong\n")
            return subprocess.Popen(["sh", "-c", f"exit {status}"])

        return start

    jobs = [sweep.Job(tmp_path / name, room.base_config("demo", None, TINY)) for name in ("one", "two")]
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(sweep, "start", pretend(1))
    lines = sweep.run_sweep(folder / "set", jobs, 1, "cpu", lambda state: None)
    assert lines == ["one: error: what was wrong", "two: error: what was wrong"]  # the others go on
    monkeypatch.setattr(sweep, "start", pretend(2))
    with pytest.raises(InputError, match="one: error: what was wrong"):  # a wrong input is wrong for all of them
        sweep.run_sweep(folder / "set", jobs, 1, "cpu", lambda state: None)


def test_table_compares_seed_by_seed_and_leaves_gaps():
    measured = [
        {"linear accuracy": a, "linear macro_f1": a, "1-NN accuracy": a, "20-NN accuracy": a} for a in (0.4, 0.6)
    ]
    better = [{key: value + 0.1 for key, value in each.items()} for each in measured]
    assert mean_interval(differences(better, measured)) == "+10.0 [+10.0, +10.0]"
    assert differences([None, better[1]], measured) == pytest.approx([10])
    rows = [
        {"name": "a", "paper": 45.87, "seeds": measured},
        {"name": "b", "paper": None, "seeds": [None, better[1]]},
        {"name": "c", "paper": None, "seeds": [None, None]},
    ]
    config = room.base_config("small", 8, ("split.test_fraction=0.5",)).record()
    record = {"axis": "x", "reference": "a", "rows": rows, "baselines": {"majority": measured}, "config": config}
    head, cells = table(record)
    assert head == ["x", "linear", "over a", "macro-F1", "1-NN", "20-NN", "paper, EGBM"]
    assert cells[0] == ["a", "50.0 ± 14.1", "", *["50.0 ± 14.1"] * 3, "45.87"]
    assert cells[1][:3] == ["b", "70.0", "+10.0"]
    assert cells[2][:3] == ["c", "–", "–"]
    apart = [
        {key: value + step for key, value in each.items()} for each, step in zip(measured, (0.1, 0.3), strict=True)
    ]
    rows[1]["seeds"] = apart
    half = (
        12.7062 * (2**0.5 * 10) * (1 / 2 + 1) ** 0.5
    )  # of 10 and 30: two splits, as many test clips as training clips
    assert table(record)[1][1][2] == f"+20.0 [{20 - half:+.1f}, {20 + half:+.1f}]"


def test_every_row_of_every_study_is_a_run_of_its_own_method():
    for study in room.STUDIES.values():
        jobs = []
        for variant in study.variants:
            base = room.base_config("small", 8, (), variant.method)
            job = room.job_of(room.Path("out"), base, "small", (), variant, 0)
            assert (job.config.method, job.config.train.epochs) == (variant.method, 8)
            jobs.append(job)
        if study.variants[0].method != "air":  # rows of AIR may be one run under some settings
            assert len({job.name for job in jobs}) == len(jobs)
            assert len({job.config.to_yaml() for job in jobs}) == len(jobs)
        assert study.reference in [variant.name for variant in study.variants]


def test_rows_of_siblings_say_what_they_change():
    def settings(study, name):
        variant = next(each for each in room.STUDIES[study].variants if each.name == name)
        return room.load_config("small", overrides=variant.overrides, method=variant.method)

    plain = settings("cage", "GE CLR").cage
    assert (plain.bank, plain.cross, plain.deploy) == ("plain", "none", "cartesian")
    assert settings("cage", "across systems").cage.cross == "guide"
    assert settings("cage-speed", "0.3").cage.speed == 0.3
    assert settings("cage-speed", "0.3").cage.bank == "hybrid"
    assert settings("crossclr", "never").crossclr.cross_from == 1
    assert settings("cmd", "alone").cmd.weight == 0
    assert settings("scd", "joints").scd.masks == "graph"
    assert settings("ssal", "no mask").ssal.strong == "jitter"
    assert settings("mgrl", "none").mgrl.merge == "none"
    assert settings("mgrl-share", "1").mgrl.share == 1
    family = {each.method for each in room.STUDIES["family"].variants}
    assert family == {"air", "cage", "crossclr", "cmd", "isc", "scd-net", "ssal", "mgrl"}
