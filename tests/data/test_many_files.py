"""Many files: by several processes the set is that of one; long ones are cut into clips that no split parts."""

import numpy as np
import pytest

from airfast.data import collect as room
from airfast.data.gate import copies, leaking
from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare, read_clips
from airfast.data.splits import recordings, split
from airfast.data.windows import into_clips
from airfast.errors import InputError


@pytest.fixture
def folder(walkers, tmp_path):
    place = tmp_path / "files"
    place.mkdir()
    for i in range(9):
        np.save(place / f"{i}.npy", walkers.clip(i))
    return place


def test_several_processes_make_the_set_of_one(folder, monkeypatch):
    alone = read_clips(folder, "canonical", fps=25).motion
    monkeypatch.setattr(room, "SHARED", 0)
    monkeypatch.setattr(room.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    steps = []
    report = read_clips(folder, "canonical", fps=25, progress=lambda *step: steps.append(step))
    np.testing.assert_array_equal(report.motion.positions, alone.positions)
    assert report.motion.names == alone.names
    assert report.motion.info == alone.info
    assert steps == [(i, 9) for i in range(1, 10)]
    (folder / "4.npy").write_bytes(b"no")
    with pytest.raises(InputError, match=r"4\.npy: cannot be read as \.npy"):
        read_clips(folder, "canonical", fps=25)
    skipped = read_clips(folder, "canonical", fps=25, skip=True)
    assert [name for name, _ in skipped.skipped] == ["4.npy"]
    assert len(skipped.motion) == 8


def test_findings_of_every_process_are_kept(folder, monkeypatch, walkers):
    np.save(folder / "8.npy", 100 * walkers.clip(8))
    np.save(folder / "3.npy", walkers.clip(2))
    found = {}
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(room, "SHARED", 0)
        monkeypatch.setattr(room.os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        found[len(cores)] = read_clips(folder, "canonical", fps=25).findings
    assert found[1] == found[2]
    assert ("copy", "3.npy", "number for number 2.npy") in [(each.kind, each.clip, each.seen) for each in found[1]]
    assert "body size" in [each.kind for each in found[1]]


def test_long_recordings_become_clips_of_one_length(folder, walkers, tmp_path):
    motion = prepare(folder, "canonical", tmp_path / "set", fps=25, window=0.8, hop=0.4).motion
    assert set(motion.lengths.tolist()) == {20}
    of = motion.info["recordings"]
    assert len(motion) == len(of)
    for i, name in enumerate(motion.names):
        recording, _, start = name.rpartition("@")
        assert of[name] == recording
        first = round(float(start[:-1]) * 25)
        whole = walkers.clip(int(recording[0]))
        np.testing.assert_array_equal(motion.clip(i), whole[first : first + 20])
    assert MotionSet.load(tmp_path / "set").info["recordings"] == of
    with pytest.raises(InputError, match="--hop: belongs to a --window"):
        prepare(folder, "canonical", tmp_path / "other", fps=25, hop=0.4)


def test_no_split_parts_a_recording(walkers):
    motion = into_clips(walkers, 0.5, 0.25)
    first, of = recordings(motion)
    assert len(first) == len(walkers)
    sides = [set(of[side].tolist()) for side in split(motion, "random", seed=3)]
    assert not sides[0] & sides[1]
    counted = [len(side) for side in sides]
    alone = [len(side) for side in split(walkers, "random", seed=3)]
    assert counted == alone  # recordings are held out as clips would be
    declared = motion.info | {"split": dict.fromkeys(motion.names, "train")}
    again = into_clips(MotionSet(**vars(walkers) | {"info": {"split": dict.fromkeys(walkers.names, "test")}}), 0.5)
    assert set(again.info["split"].values()) == {"test"}
    assert set(again.info["split"]) == set(again.names)
    assert declared


def test_a_declared_split_that_leaks_is_a_finding(walkers):
    twice = walkers.select([0, 1, 0])
    names = ("a", "b", "c")
    sides = {"a": "train", "b": "train", "c": "test"}
    motion = MotionSet(**vars(twice) | {"names": names, "info": {"split": sides}})
    assert [(each.clip, each.seen) for each in copies(motion)] == [("c", "number for number a")]
    lines = [each.seen for each in leaking(motion)]
    assert any("occur, number for number, on the training side" in line for line in lines)
    assert {each.clip for each in leaking(motion)} == {"c"}
    assert leaking(walkers) == []
