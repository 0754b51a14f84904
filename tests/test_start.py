"""What the command imports before it knows what to do: help is not worth a second of torch."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import airfast

HEAVY = ("torch", "numba", "sklearn", "matplotlib", "pandas")
COMMANDS = ["pretrain", "train-supervised", "evaluate", "ablate", "report", "label", "bench", "export", "doctor"]
COMMANDS += ["embed", "fit-head", "predict", "card", "view"]
COMMANDS += ["data", "data prepare", "data describe", "data layout", "plot"]
COMMANDS += [f"plot {name}" for name in ("clusters", "confusion", "embeddings", "eps", "relevance", "skeleton")]

HELPS = f"""
import sys
from airfast.cli.app import app
for command in {["", *COMMANDS]!r}:
    try:
        app([*command.split(), "--help"])
    except SystemExit as left:
        assert left.code == 0, command
    heavy = sorted(set({HEAVY!r}) & sys.modules.keys())
    assert not heavy, (command, heavy)
"""


def test_no_help_imports_what_only_work_needs():
    done = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == 1 + len(COMMANDS)


def test_neither_preparing_nor_describing_a_set_imports_torch(tmp_path):
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).normal(size=(20, 24, 3)).astype(np.float32))
    prepare = ["data", "prepare", str(tmp_path), "--layout", "canonical", "--fps", "30", "--out", str(tmp_path / "set")]
    code = f"""
import sys
from airfast.cli.app import app
for words in ({prepare!r}, ["data", "describe", {str(tmp_path / "set")!r}]):
    app(words, standalone_mode=False)
    assert "torch" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 clips written" in done.stdout


def forget_airfast():
    """Take the package out of what is imported; what was there."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "airfast"}


@pytest.fixture
def forgotten():
    """No module of the package imported yet, until the test is over: a process of its own would import torch for it."""
    ours = forget_airfast()
    yield
    forget_airfast()
    sys.modules.update(ours)


@pytest.mark.parametrize("first", ["airfast.evaluate.report", "airfast.training.pretrain", "airfast.labels"])
def test_public_names_are_what_they_say_whatever_is_imported_first(forgotten, first):
    import_module(first)
    fresh = import_module("airfast")
    assert fresh is not airfast
    assert [type(getattr(fresh, name)).__name__ for name in ("evaluate", "pretrain")] == ["function"] * 2


def test_every_public_name_is_there():
    assert all(getattr(airfast, name) is not None for name in airfast.__all__)
    assert set(airfast.__all__) <= set(dir(airfast))
    assert not hasattr(airfast, "nothing")
