"""Frames on standard input, and files that appear, get the answers that the same motion as a file gets."""

import io
import json
import shutil
import sys

import numpy as np
import pytest

from airfast import Predictor
from airfast.cli import live
from airfast.deploy import watch
from airfast.deploy.stream import Stream
from airfast.errors import InputError
from airfast.evaluate.head import fit_head
from tests.cli.test_app import fails, run  # noqa: F401


@pytest.fixture(scope="module")
def encoder(finished_run, tmp_path_factory):
    folder = shutil.copytree(finished_run, tmp_path_factory.mktemp("stream") / "run")
    fit_head(folder, device="cpu")
    return folder


def lines(motion, index=0):
    return [json.dumps(frame.tolist()) for frame in motion.clip(index)]


def test_rows_are_the_predictors(encoder, hostile):
    one = hostile.select([3])
    fps = float(one.fps[0])
    made = Stream(encoder, fps, 0.6, 0.2)
    rows = list(made.predict(lines(one)))
    wanted = Predictor(encoder, "cpu").predict(one, 0.6, 0.2)
    assert [row["label"] for row in rows] == list(wanted.label)
    for name in ("start", "end", "probability", "second_probability", "distance"):
        np.testing.assert_allclose([row[name] for row in rows], wanted[name], atol=1e-4, err_msg=name)
    assert [(row["unsure"], row["unlike"]) for row in rows] == list(zip(wanted.unsure, wanted.unlike, strict=True))
    assert all(row["latency_ms"] > 0 and row["lost"] == 0 for row in rows)
    assert made.counts.frames == len(one.positions)
    assert "latency" in made.counts.told()


def test_a_stream_goes_on_after_bad_frames_and_counts_them(encoder, hostile):
    said = []
    made = Stream(encoder, float(hostile.fps[0]), 0.6, 0.2, say=said.append)
    given = lines(hostile)
    given[3:3] = ["{", "[[1, 2, 3]]", "{"]
    rows = list(made.predict(given))
    assert made.counts.bad == 3
    assert len([line for line in said if line.startswith("passed over")]) == 2  # each fault once
    assert rows[0]["lost"] == pytest.approx(3 / made.windows.size)  # each was a tick


def test_what_is_odd_is_said_once(encoder, hostile):
    said = []
    list(Stream(encoder, 30, 0.6, 0.2, unit="cm", say=said.append).predict(lines(hostile)))
    assert len([line for line in said if "body size" in line]) == 1


def streamed(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_the_command_reads_frames(encoder, hostile, run, monkeypatch):  # noqa: F811
    streamed(monkeypatch, "\n".join(lines(hostile)))
    status, out, err = run("predict", encoder, "--stream", "--fps", "25", "--window", "0.6")
    assert status == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows
    assert rows[0]["end"] - rows[0]["start"] == pytest.approx(0.6)
    assert rows[1]["start"] - rows[0]["start"] == pytest.approx(round(0.25 * 25) / 25)
    assert f"{hostile.lengths[0]} frames, 0 lines that could not be read, {len(rows)} predictions" in err
    streamed(monkeypatch, "what\nis\nthis")
    status, out, err = run("predict", encoder, "--stream", "--fps", "25")
    assert (status, out) == (2, "")
    assert "error: the stream ended without a frame that could be read" in err


def test_files_that_appear(encoder, hostile, run, monkeypatch, tmp_path):  # noqa: F811
    np.save(tmp_path / "before.npy", hostile.clip(0))

    def steps():
        np.save(tmp_path / "new.npy", hostile.clip(1))
        (tmp_path / "bad.bvh").write_text("HIERARCHY")
        yield
        yield
        yield
        raise KeyboardInterrupt

    looks = steps()
    monkeypatch.setattr(watch, "time", type("time", (), {"sleep": lambda _: next(looks)}))
    status, out, err = run("predict", encoder, "--watch", tmp_path, "--fps", "25", "--device", "cpu")
    assert status == 0
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert (row["file"], row["name"]) == ("new.npy", "new.npy")
    assert "passed over" in err
    assert "1 files, 1 that could not be read" in err


def test_a_file_is_taken_when_it_has_stopped_growing_and_again_when_it_is_replaced(tmp_path):
    path = tmp_path / "a.npy"
    contents = iter([b"1", b"12", b"12", b"12", b"123", b"123", b"123"])
    seen = watch.appearing(tmp_path, lambda: path.write_bytes(now) if (now := next(contents)) != held() else None)

    def held():
        return path.read_bytes() if path.exists() else b""

    assert next(seen) == path
    assert held() == b"12"
    assert next(seen) == path
    assert held() == b"123"


def test_wrong_flags(encoder, run, tmp_path):  # noqa: F811
    fails(run("predict", encoder), "expected one of CLIPS, --stream and --watch FOLDER")
    fails(run("predict", encoder, tmp_path, "--stream"), "expected one of CLIPS, --stream and --watch FOLDER")
    fails(run("predict", encoder, "--stream"), "--stream: expected --fps")
    fails(run("predict", encoder, "--stream", "--fps", "25", "--out", "x.csv"), "--out: predictions of what comes go")
    fails(run("predict", encoder, "--stream", "--fps", "25", "--device", "cuda"), "a stream is computed on the CPU")
    fails(run("predict", encoder, "--stream", "--fps", "25", "--hop", "3"), "expected 0 < hop ≤ window")
    fails(run("predict", encoder, "--watch", tmp_path / "none"), "expected a folder to watch, found nothing")
    with pytest.raises(InputError, match="no head to predict with"):
        Stream(tmp_path, 25)
    assert live.LONGEST > 100 * 33 * 3 * 20  # a hundred people fit into a line
