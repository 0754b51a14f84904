"""What the command imports before it knows what to do: help is not worth a second of torch."""

import subprocess
import sys

import numpy as np

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


FIRST = """
import sys
for first in ("airfast.evaluate.report", "airfast.training.pretrain", "airfast.labels"):
    for name in [name for name in sys.modules if name.partition(".")[0] == "airfast"]:
        del sys.modules[name]
    __import__(first)
    import airfast
    print(*(type(getattr(airfast, name)).__name__ for name in ("evaluate", "pretrain")))
"""


def test_public_names_are_what_they_say_whatever_is_imported_first():
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["function"] * 6


def test_every_public_name_is_there():
    assert all(getattr(airfast, name) is not None for name in airfast.__all__)
    assert set(airfast.__all__) <= set(dir(airfast))
    assert not hasattr(airfast, "nothing")
