"""Sets that are larger than memory: frames lie in a file, and every number is the one that memory would give."""

import os
import tempfile

import numpy as np
import pytest
import torch
from torch import Generator

from airfast.config import load_config
from airfast.data import dataset, room, skeleton
from airfast.data.dataset import DeviceClips
from airfast.data.skeleton import canonical
from airfast.errors import InputError
from airfast.runs.checkpoint import load_encoder
from airfast.training.pretrain import pretrain
from tests.conftest import on_layout

SETTINGS = ["inputs.frames=8", "model.hidden=8", "model.projection=8", "train.batch_size=16", "train.epochs=2"]
SETTINGS += ["air.warmup=1", "air.cluster.k1=8", "air.alr.k=5", "split.kind=random"]


@pytest.fixture
def no_room(monkeypatch):
    """Memory that has no room for any array."""
    monkeypatch.setattr(room, "SHARE", 0)


def test_an_array_lies_where_there_is_room(no_room, monkeypatch):
    held = room.room((3, 4))
    assert isinstance(held.base, np.memmap)
    assert (held.shape, held.dtype) == ((3, 4), np.float32)
    held[:] = 7
    assert (held == 7).all()
    monkeypatch.setattr(room, "SHARE", 0.25)
    assert room.room((3, 4)).base is None


def test_memory_is_asked_for_what_is_free(monkeypatch):
    assert room.free() > 1e6
    monkeypatch.setattr(room, "free", lambda: 4 * 4 * 100)
    assert room.room((100,)).base is None  # a quarter of what is free
    assert isinstance(room.room((101,)).base, np.memmap)


def test_no_room_anywhere_is_one_line_that_says_the_way_out(no_room, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no room for 4\.0 GB of frames, .*No space left.*TMPDIR"):
        room.room((10**9,))
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("airfast-")]


@pytest.mark.parametrize("facing", ["none", "clip", "first"])
def test_frames_in_a_file_are_those_in_memory(walkers, facing, monkeypatch):
    motion = on_layout(walkers, "bandai")
    inputs = load_config("small", None, (f"inputs.facing={facing}", "inputs.joints=canonical")).inputs
    made = []
    for share, block in ((0.25, 1 << 16), (0, 7)):
        monkeypatch.setattr(room, "SHARE", share)
        monkeypatch.setattr(skeleton, "FRAMES", block)
        clips = DeviceClips.from_motion(motion.select([3, 0, 5]), inputs, "cpu")
        view = clips.view(torch.tensor([2, 0, 1]), Generator().manual_seed(0))
        made.append((clips.frames, view, canonical(motion).positions))
    for memory, file in zip(*made, strict=True):
        assert np.asarray(memory).tobytes() == np.asarray(file).tobytes()


def test_a_run_on_frames_in_a_file_is_the_run_on_frames_in_memory(walkers, tmp_path, monkeypatch):
    config = load_config("demo", overrides=SETTINGS)
    states = []
    for name, share in (("memory", 0.25), ("file", 0)):
        monkeypatch.setattr(room, "SHARE", share)
        pretrain(walkers, config, tmp_path / name, "cpu")
        states.append(load_encoder(tmp_path / name).state_dict())
    memory, file = states
    assert all(torch.equal(memory[key], file[key]) for key in memory)


def test_frames_that_stay_on_the_host_make_batches_on_the_device(walkers, monkeypatch):
    """On the meta device, which has shapes and places alone: batches are there, frames are not."""
    monkeypatch.setattr(dataset, "fits", lambda *_: False)
    clips = DeviceClips.from_motion(walkers, load_config("demo").inputs, "meta")
    assert clips.frames.device.type == "cpu"
    assert clips.device.type == "meta"
    monkeypatch.setattr(dataset, "fits", lambda *_: True)
    assert DeviceClips.from_motion(walkers, load_config("demo").inputs, "meta").frames.device.type == "meta"


def test_a_device_is_asked_for_twice_the_room_of_the_frames(monkeypatch):
    frames = torch.zeros(100)
    assert dataset.fits(frames, torch.device("cpu"))
    for free, there in ((800, False), (801, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 10**9))
        assert dataset.fits(frames, torch.device("cuda")) is there
