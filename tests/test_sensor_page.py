"""Every line of "From a sensor to predictions" does what it says, in an empty folder."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="ONNX is not installed (pip install 'airfast[onnx]')")

from airfast.data.synthetic import synthetic_walkers
from tests.cli.test_app import run  # noqa: F401

PAGE = (Path(__file__).parent.parent / "docs" / "sensor.md").read_text(encoding="utf-8")
PYTHON = "python\n"


def blocks():
    """Fenced blocks in order: their language and their text."""
    return [block.split("\n", 1) for block in re.findall(r"^```(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with recordings, all but the first, which the page writes itself."""
    motion = synthetic_walkers(clips=24)
    monkeypatch.chdir(tmp_path)
    Path("recordings").mkdir()
    rows = ["file,label,subject"]
    for i in range(len(motion)):
        frames = [
            {"time": t / float(motion.fps[i]), "joints": dict(zip(motion.layout.joints, frame.tolist(), strict=True))}
            for t, frame in enumerate(motion.clip(i))
        ]
        if i:
            text = "\n".join(map(json.dumps, frames))
            Path(f"recordings/take{i:02d}.jsonl").write_text(text)
        else:
            first = [(frame["time"], frame["joints"]) for frame in frames]
        rows.append(f"take{i:02d}.jsonl,{motion.classes[motion.labels[i]]},{motion.subjects[i]}")
    Path("labels.csv").write_text("\n".join(rows))
    return first


def test_the_page(place, run, monkeypatch, capsys):  # noqa: F811
    said = {}
    shown = {"sensor": lambda: place}
    for language, text in blocks():
        if language == "python":
            exec(compile(text, "sensor.md", "exec"), shown)
            capsys.readouterr()  # what it printed
            continue
        for line in text.splitlines():
            command, _, note = line.partition("  #")
            command = command.strip()
            if not command or note.strip().startswith("not run"):
                continue
            if command.startswith("cat "):
                source, command = command.removeprefix("cat ").split(" | ")
                monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(source).read_bytes())))
            assert command.startswith("airfast "), line
            words = [each.strip('"') for each in re.findall(r'"[^"]*"|\S+', command)][1:]
            status, out, error = run(*words)
            assert status == 0, (line, error)
            said[command] = out
    streamed = [json.loads(row) for key, out in said.items() if "--stream" in key for row in out.splitlines()]
    assert len({row["start"] for row in streamed}) > 1
    files = said["airfast predict run recordings"], said["airfast predict handed-on recordings"]
    assert files[0] == files[1]
    assert len(shown["found"]) >= 24
    assert Path("take00.html").stat().st_size > 500_000
    assert np.isfinite(shown["found"].probability).all()
