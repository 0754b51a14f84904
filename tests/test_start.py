"""What the command imports before it knows what to do: help is not worth a second of torch."""

import subprocess
import sys

import pytest

import airfast

HEAVY = ("torch", "numba", "sklearn", "matplotlib", "pandas")
COMMANDS = ["pretrain", "train-supervised", "evaluate", "ablate", "report", "label", "bench", "export", "doctor"]
COMMANDS += ["data", "data prepare", "data describe", "plot", "plot embeddings", "plot skeleton"]

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


@pytest.mark.parametrize("first", ["airfast.evaluate.report", "airfast.training.pretrain", "airfast.labels"])
def test_public_names_are_what_they_say_whatever_is_imported_first(first):
    code = f"import {first}, airfast; print(*(type(getattr(airfast, n)).__name__ for n in ('evaluate', 'pretrain')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["function", "function"]


def test_every_public_name_is_there():
    assert all(getattr(airfast, name) is not None for name in airfast.__all__)
    assert set(airfast.__all__) <= set(dir(airfast))
    assert not hasattr(airfast, "nothing")
