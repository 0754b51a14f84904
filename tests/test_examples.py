"""The notebooks, cell by cell, in an empty folder; what they print is what they show."""

import contextlib
import io
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        source = "".join(cell["source"])
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, path.name, "exec"), names)
        shown = "".join("".join(each["text"]) for each in cell["outputs"] if each["output_type"] == "stream")
        # Figures may differ by a machine's rounding; the words do not.
        assert [line.split()[:1] for line in printed.getvalue().splitlines()] == [
            line.split()[:1] for line in shown.splitlines()
        ]


def test_there_are_three():
    assert len(NOTEBOOKS) == 3
