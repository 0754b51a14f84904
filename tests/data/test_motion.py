import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from airfast.data import motion as room
from airfast.data.motion import MotionSet, check_target
from airfast.errors import InputError
from airfast.record import sealed
from airfast.skeletons.layout import load_layout


def small(**changes):
    layout = load_layout("gait16")
    values = {
        "positions": np.random.default_rng(0).normal(size=(9, 16, 3)).astype(np.float32),
        "lengths": np.array([2, 4, 3]),
        "fps": np.array([30, 30, 60], dtype=np.float32),
        "names": ("a", "b/ü.bvh", "c"),
        "labels": np.array([1, -1, 0]),
        "classes": ("happy", "sad"),
        "subjects": ("p1", "p2", ""),
        "groups": ("walk", "", "run"),
        "layout": layout,
        "info": {"name": "small", "synthetic": False, "sources": []},
    }
    return MotionSet(**(values | changes))


def same(a, b):
    for field in dataclasses.fields(MotionSet):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


def test_clips_lie_one_after_another():
    motion = small()
    assert len(motion) == 3
    assert motion.offsets.tolist() == [0, 2, 6]
    np.testing.assert_array_equal(motion.clip(1), motion.positions[2:6])


def test_select_keeps_order_and_classes():
    motion = small()
    chosen = motion.select([2, 0])
    chosen.check("chosen")
    assert (chosen.names, chosen.labels.tolist(), chosen.classes) == (("c", "a"), [0, 1], ("happy", "sad"))
    np.testing.assert_array_equal(chosen.clip(0), motion.clip(2))
    assert len(motion.select([])) == 0


def test_save_and_load(tmp_path):
    motion = small()
    motion.save(tmp_path / "deep" / "set")
    same(MotionSet.load(tmp_path / "deep" / "set"), motion)
    same(MotionSet.load(str(tmp_path / "deep" / "set")), motion)  # as README writes it
    assert np.load(tmp_path / "deep" / "set" / "positions.npy", mmap_mode="r").shape == (9, 16, 3)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set"]  # nothing half-written is left


def test_an_older_set_is_replaced(tmp_path):
    small().save(tmp_path / "set")
    small(names=("x", "y", "z")).save(tmp_path / "set")
    assert MotionSet.load(tmp_path / "set").names == ("x", "y", "z")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match=r"expected nothing or a prepared set to replace, found also thesis\.txt"):
        small().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_runs_kept_in_the_folder_of_a_set_are_not_lost(tmp_path):
    small().save(tmp_path)
    (tmp_path / "run1").mkdir()
    with pytest.raises(InputError, match="found also run1"):
        small().save(tmp_path)
    assert MotionSet.load(tmp_path).names == small().names


def test_targets_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="expected a folder to write to, found a file"):
        check_target(file)
    with pytest.raises(InputError, match=r"below: cannot be written: no folder can be created in .*file"):
        check_target(file / "below")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, where nobody may create a folder")
def test_a_target_where_nobody_may_write():
    with pytest.raises(InputError, match=r"set: cannot be written: no folder can be created in /proc"):
        check_target(Path("/proc/deep/set"))


def test_a_failing_write_leaves_the_old_set(tmp_path, monkeypatch):
    small().save(tmp_path / "set")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match="set: cannot be written: No space left on device"):
        small(names=("x", "y", "z")).save(tmp_path / "set")
    assert MotionSet.load(tmp_path / "set").names == small().names
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def damage_positions(folder):
    raw = bytearray((folder / "positions.npy").read_bytes())
    raw[-1] ^= 1
    (folder / "positions.npy").write_bytes(raw)


def change(key, value):
    def edit(folder):
        rest = json.loads((folder / "prepared.json").read_text())
        rest[key] = value
        kept = {k: v for k, v in rest.items() if v is not None and k != "seal"}
        (folder / "prepared.json").write_text(sealed(kept))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_positions, r"positions\.npy: damaged, expected SHA-256 \w+…, found \w+…"),
        (lambda folder: (folder / "clips.parquet").unlink(), r"clips\.parquet: damaged set, the file is missing"),
        (lambda folder: (folder / "prepared.json").unlink(), "expected a prepared set .* found none"),
        (lambda folder: (folder / "prepared.json").write_text("{"), r"prepared\.json:1: not JSON"),
        (change("version", 99), "expected format airfast-prepared version 1, found airfast-prepared version 99"),
        (change("layout", None), "damaged or foreign, layout: Field required"),
        (change("layout", {}), "damaged, 'sha256' or 'layout' is not complete"),
        (change("sha256", {}), "damaged, 'sha256' or 'layout' is not complete"),
        (lambda folder: (folder / "prepared.json").write_text("[]"), "expected an object, found list"),
        (change("classes", []), r"labels must lie in -1 \.\. -1"),
    ],
)
def test_damaged_sets_are_refused(tmp_path, damage, message):
    small().save(tmp_path / "set")
    damage(tmp_path / "set")
    with pytest.raises(InputError, match=message):
        MotionSet.load(tmp_path / "set")


def test_a_set_is_opened_without_a_look_at_its_frames(tmp_path):
    small().save(tmp_path / "set")
    same(MotionSet.open(tmp_path / "set"), small())
    damage_positions(tmp_path / "set")
    wrong = MotionSet.open(tmp_path / "set")  # which load refuses, above
    assert (wrong.positions != small().positions).sum() == 1
    wrong.positions[:] = 0  # in memory alone
    assert MotionSet.open(tmp_path / "set").positions.any()
    whole = (tmp_path / "set" / "positions.npy").read_bytes()
    (tmp_path / "set" / "positions.npy").write_bytes(whole[:-4])
    with pytest.raises(InputError, match=r"set: damaged \(its header promises \(9, 16, 3\) float32"):
        MotionSet.open(tmp_path / "set")
    (tmp_path / "set" / "positions.npy").write_bytes(whole)
    raw = bytearray((tmp_path / "set" / "clips.parquet").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "set" / "clips.parquet").write_bytes(raw)
    with pytest.raises(InputError, match=r"clips\.parquet: damaged, expected SHA-256"):
        MotionSet.open(tmp_path / "set")


def test_positions_of_a_set_lie_in_its_file(tmp_path):
    small().save(tmp_path / "set")
    for motion in (MotionSet.load(tmp_path / "set"), MotionSet.open(tmp_path / "set")):
        assert isinstance(motion.positions.base, np.memmap)


def test_positions_are_looked_at_to_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "FRAMES", 2)
    odd = small()
    odd.positions[8, 15, 2] = np.nan
    with pytest.raises(InputError, match="positions are not all finite"):
        odd.check("here")
    small().check("here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": np.array([2, 4, 4])}, r"positions: expected \(10, 16, 3\) float32, found \(9, 16, 3\) float32"),
        ({"positions": np.zeros((9, 16, 3))}, "found .* float64"),
        ({"names": ("a",)}, "expected 3 fps, names, labels, subjects and groups, found 3, 1, 3, 3, 3"),
        ({"lengths": np.array([2, 7, 0])}, "clip 'c' has no frames"),
        ({"fps": np.array([30, 0, 30], dtype=np.float32)}, "frame rates must be positive"),
        ({"labels": np.array([0, 2, 0])}, r"labels must lie in -1 \.\. 1"),
        ({"positions": np.full((9, 16, 3), np.nan, dtype=np.float32)}, "positions are not all finite"),
    ],
)
def test_arrays_that_disagree(changes, message):
    with pytest.raises(InputError, match="here: .*" + message):
        small(**changes).check("here")
