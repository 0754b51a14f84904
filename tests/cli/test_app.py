"""The command as a person types it: exit status, one line for a wrong input, nothing half-written."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from airfast.cli import app as cli
from tests.conftest import TINY


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command in this process; gives status, standard output and standard error."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["airfast", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    return call


def fails(result, *pieces):
    status, _, error = result
    assert status == 2
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    for piece in pieces:
        assert piece in error


@pytest.mark.parametrize("name", ["airfast", "airfast.cli"])  # the first is what torchrun -m starts
def test_the_installed_command_starts(name):
    done = subprocess.run([sys.executable, "-m", name, "--help"], capture_output=True, text=True, check=True)
    assert "pretrain" in done.stdout


def test_what_cannot_be_shared_is_refused_once_under_torchrun(run, tmp_path, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    words = ("train-supervised", "--out", tmp_path / "run")
    fails(run(*words), "airfast train-supervised: expected one process; label and pretrain alone run on several")
    monkeypatch.setenv("RANK", "1")
    assert run(*words) == (2, "", "")
    assert not (tmp_path / "run").exists()


def test_prepare_describe_pretrain_evaluate(run, walkers, tmp_path):
    walkers.save(tmp_path / "set")
    overrides = [word for each in (*TINY, "train.epochs=3") for word in ("-o", each)]
    status, out, _ = run("pretrain", tmp_path / "set", "--preset", "demo", "--out", tmp_path / "run", *overrides)
    assert status == 0
    assert "epoch 3/3" in out
    assert "no CUDA device" in out or "cuda" in out
    assert "so: the pre-trained encoder is, with 1 labelled clip a class " in " ".join(out.split())
    for name in ("majority", "untrained", "pre-trained", "20-NN"):
        assert name in out
    assert run("evaluate", tmp_path / "run", "--protocol", "knn")[0] == 0
    status, out, _ = run("data", "describe", tmp_path / "set")
    assert status == 0
    assert "actor01" in out


def test_a_seed_given_as_an_override_or_in_a_file_is_the_seed(run, walkers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walkers.save(tmp_path / "set")
    short = [word for each in (*TINY, "train.epochs=1", "air.warmup=1") for word in ("-o", each)]
    (tmp_path / "three.yaml").write_text("seed: 3\n")
    assert run("pretrain", "set", "--preset", "demo", *short, "-o", "seed=2")[0] == 0
    assert run("pretrain", "set", "--preset", "demo", *short, "--config", "three.yaml")[0] == 0
    assert run("pretrain", "set", "--preset", "demo", *short, "--config", "three.yaml", "--seed", "4")[0] == 0
    for seed in (2, 3, 4):
        assert f"seed: {seed}\n" in (tmp_path / "runs" / f"set-demo-seed{seed}" / "config.yaml").read_text()


def test_train_supervised_shows_a_table(run, walkers, tmp_path):
    walkers.save(tmp_path / "set")
    overrides = [word for each in ("inputs.frames=8", "split.kind=random") for word in ("-o", each)]
    words = ("train-supervised", tmp_path / "set", "--model", "st-gcn", "--epochs", 1, "--out", tmp_path / "run")
    status, out, _ = run(*words, *overrides)
    assert status == 0
    for piece in ("st-gcn on joint", "epoch 1/1", "majority", "last epoch"):
        assert piece in out


def test_label_writes_parquet(run, tmp_path):
    import pandas as pd

    rng = np.random.default_rng(0)
    features = (np.eye(12)[np.arange(60) % 3] + 0.05 * rng.normal(size=(60, 12))).astype(np.float32)
    np.save(tmp_path / "f.npy", features)
    status, out, _ = run("label", tmp_path / "f.npy", "--view", tmp_path / "f.npy", "--out", tmp_path / "l.parquet")
    assert status == 0
    assert "clusters" in out
    frame = pd.read_parquet(tmp_path / "l.parquet")
    assert list(frame.columns) == ["index", "label", "agreement", "core", "cluster_size"]
    assert frame["label"].tolist() == [0, 1, 2] * 20
    assert (frame["agreement"] == 1).all()


def test_doctor_passes_here(run):
    status, out, _ = run("doctor", "--full")
    assert status == 0
    assert re.search(r"labels +c", out)
    assert re.search(r"label test +passed", out)
    assert re.search(r"training test +passed", out)
    status, out, _ = run("doctor")
    assert status == 0
    assert "training" not in out


def test_a_quick_look_imports_and_computes_nothing(run, monkeypatch):
    from airfast.cli import doctor

    for name in ("version", "missing", "label_test", "training_test", "resolve"):
        monkeypatch.setattr(doctor, name, lambda *_: 1 / 0)
    status, out, _ = run("doctor", "--quick")
    assert status == 0
    assert "device" in out


def test_doctor_says_what_a_gpu_lacks(run, monkeypatch, tmp_path):
    """A card that is too old, on a machine without a C compiler and Python's headers."""
    from airfast.cli import doctor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GTX 1080")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda name: str(tmp_path))
    status, out, _ = run("doctor", "--quick")
    assert status == 1
    assert "not working: device, C compiler, Python headers" in out
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 9))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "Python.h").touch()
    assert run("doctor", "--quick")[0] == 0


def test_the_driver_is_asked_itself(monkeypatch):
    from airfast.cli import doctor

    class Library:
        def cuDriverGetVersion(self, number):
            number._obj.value = 13020
            return 0

    monkeypatch.setattr(doctor.ctypes, "CDLL", lambda name: Library())
    assert doctor.driver() == "up to CUDA 13.2"

    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(doctor.ctypes, "CDLL", absent)
    assert doctor.driver().startswith("none (")


def test_doctor_exits_with_1_where_something_is_broken(run, monkeypatch):
    from airfast.cli import doctor

    monkeypatch.setattr(doctor, "generate_labels", lambda features: 1 / 0)
    status, out, _ = run("doctor")
    assert status == 1
    assert "ZeroDivisionError" in out


def test_wrong_flag_is_status_2(run):
    assert run("pretrain", "--epohcs", "3")[0] == 2


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (("pretrain", "nowhere"), ("nowhere",)),
        (("pretrain", "--preset", "smal"), ("did you mean 'small'",)),
        (("pretrain", "-o", "air.alr.kk=3"), ("unknown key 'air.alr.kk'", "did you mean 'k'")),
        (("pretrain", "--method", "cgae"), ("did you mean 'cage'",)),
        (("pretrain", "--method", "agcn"), ("airfast train-supervised --model agcn",)),
        (("train-supervised", "--model", "stgcn"), ("expected st-gcn, agcn, air", "did you mean 'st-gcn'")),
        (("train-supervised", "nowhere"), ("nowhere",)),
        (("pretrain", "--device", "tpu"), ("expected auto, cpu or cuda",)),
        (("evaluate", "nowhere"), ("nowhere: no such file",)),
        (("evaluate", "nowhere", "--protocol", "semi", "--fraction", "1%"), ("--fraction 1%",)),
        (("evaluate", "nowhere", "--protocol", "transfer"), ("--to",)),
        (("evaluate", "nowhere", "--to", "b"), ("--to b: goes with --protocol transfer",)),
        (("ablate", "nowhere"), ("nowhere",)),
        (("ablate", "nowhere", "--tables", "vi"), ("did you mean 'v'",)),
        (("ablate", "nowhere", "--jobs", "0"), ("--jobs 0",)),
        (("label", "nowhere.npy"), ("nowhere.npy",)),
        (("data", "describe", "nowhere"), ("nowhere",)),
        (("data", "prepare", "nowhere", "--out", "o"), ("nowhere",)),
        (("data", "prepare", ".", "--layout", "bandia", "--out", "o"), ("did you mean 'bandai'",)),
        (("data", "prepare", ".", "--out", "o", "--on-bad-file", "panic"), ("expected stop or skip",)),
    ],
)
def test_wrong_inputs_are_one_line(run, tmp_path, monkeypatch, words, pieces):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bvh").write_text("HIERARCHY\n")
    fails(run(*words), *pieces)
    assert [each.name for each in tmp_path.iterdir()] == ["a.bvh"]


def test_one_class_only_is_trained_on_but_not_evaluated(run, walkers, tmp_path):
    walkers.select(np.flatnonzero(walkers.labels < 5)).save(tmp_path / "set")
    frame = json.loads((tmp_path / "set" / "prepared.json").read_text())
    assert frame["classes"]
    overrides = [word for each in (*TINY, "train.epochs=2", "split.kind=none") for word in ("-o", each)]
    status, out, _ = run("pretrain", tmp_path / "set", "--preset", "demo", "--out", tmp_path / "run", *overrides)
    assert status == 0
    assert "not evaluated" in out


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["airfast", "--debug", "evaluate", "nowhere"])
    with pytest.raises(cli.InputError):
        cli.main()
