import dataclasses
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from airfast.errors import InputError
from airfast.plots import skeleton
from airfast.plots.skeleton import draw_strip, find_clip, plot_skeleton
from tests.plots.overlap import overlapping


@pytest.fixture
def short(walkers):
    """Five clips cut to 12 frames: an animation of 6."""
    positions = np.concatenate([walkers.clip(index)[:12] for index in range(5)])
    return dataclasses.replace(walkers.select(range(5)), positions=positions, lengths=np.full(5, 12))


def test_a_gif_runs_in_true_time(short, tmp_path):
    (path,) = plot_skeleton(short, "2", tmp_path / "clip.gif")
    with Image.open(path) as picture:
        durations = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            durations.append(picture.info["duration"])
        assert picture.info["loop"] == 0
    assert sum(durations) == 400  # ms: 12 frames at 30 a second
    assert set(durations) <= {60, 70}  # 15 a second in steps of 10 ms
    assert path.stat().st_size < 300_000


def test_both_kinds_by_default(short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = plot_skeleton(short)
    assert [path.suffix for path in paths] == [".gif", ".png"]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(path.name for path in paths)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_an_mp4_has_every_frame(short, tmp_path):
    (path,) = plot_skeleton(short, "0", tmp_path / "clip.mp4")
    counted = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    assert subprocess.run([*counted, path], capture_output=True, text=True, check=True).stdout.strip() == "6"


def test_wrong_inputs_leave_nothing(short, tmp_path, monkeypatch):
    monkeypatch.setattr(skeleton.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"needs ffmpeg, which is not installed; use \.gif"):
        plot_skeleton(short, None, tmp_path / "clip.mp4")
    with pytest.raises(InputError, match=r"ends in \.gif or \.mp4 or \.png or \.svg"):
        plot_skeleton(short, None, tmp_path / "clip.avi")
    with pytest.raises(InputError, match=r"--clip 5: no such clip; expected a name or 0 to 4"):
        find_clip(short, "5")
    with pytest.raises(InputError, match="did you mean"):
        find_clip(short, short.names[3][:-1])
    assert find_clip(short, short.names[3]) == 3
    assert not list(tmp_path.iterdir())


def test_the_strip_has_no_overlapping_text(hostile):
    assert overlapping(draw_strip(hostile, 0)) == ([], [])
    assert overlapping(draw_strip(hostile, 1)) == ([], [])
