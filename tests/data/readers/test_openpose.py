"""OpenPose's frames, a file each: takes are put together, what was not seen is lost, people are told apart as said."""

import json

import numpy as np
import pytest

from airfast.data.prepare import read_clips
from airfast.data.readers.choose import read_file
from airfast.data.readers.openpose import NOT_TRACKED, one_a_take
from airfast.deploy.watch import state
from airfast.errors import InputError
from tests.data.readers.formats import openpose_frame, walk, write_openpose


def confident(positions):
    return np.concatenate([positions, np.ones((*positions.shape[:-1], 1))], axis=-1)


def test_takes_of_a_folder_are_a_clip_each(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    given = {"deep/a": walk(25), "deep/b": walk(25, 9, seed=1)}
    for name, positions in given.items():
        write_openpose(deep, positions, name.rpartition("/")[2])
    motion = read_clips(tmp_path, None, fps=30).motion
    assert motion.names == tuple(given)
    for index, positions in enumerate(given.values()):
        np.testing.assert_allclose(motion.clip(index)[:, 0], positions[:, 8] * [1, -1, -1], atol=1e-4)
    assert len(motion.info["sources"]) == 12 + 9  # every frame is vouched for


def test_frames_are_in_the_order_of_their_numbers_and_a_missing_one_is_a_gap(tmp_path):
    given = walk(25, 12)
    first = write_openpose(tmp_path, given)
    for number in range(12):  # as other tools number them: 9 before 10
        (tmp_path / f"take_{number:012d}_keypoints.json").rename(tmp_path / f"take_{number}_keypoints.json")
    (tmp_path / "take_5_keypoints.json").unlink()
    assert [path.name for path in one_a_take(sorted(tmp_path.iterdir()))] == ["take_0_keypoints.json"]
    (clip,) = read_file(tmp_path / "take_0_keypoints.json", first.name)
    assert np.isnan(clip.positions[5]).all()
    np.testing.assert_allclose(np.delete(clip.positions, 5, 0), np.delete(given, 5, 0))
    (tmp_path / "take_5000_keypoints.json").write_text(openpose_frame(confident(given[0])))
    with pytest.raises(InputError, match="expected frames one after another, found 12 between 0 and 5000"):
        read_file(tmp_path / "take_0_keypoints.json", "x")


def test_points_that_were_not_reconstructed_are_lost(tmp_path):
    seen = confident(walk(25, 1))[0]
    seen[7, 3] = 0
    (tmp_path / "000_keypoints.json").write_text(openpose_frame(seen))
    (clip,) = read_file(tmp_path / "000_keypoints.json", "000_keypoints.json")
    assert np.flatnonzero(np.isnan(clip.positions[0]).any(axis=1)).tolist() == [7]
    assert clip.name == tmp_path.name  # frames without a name of their own are called by their folder


def test_people_are_told_apart_by_number_or_it_is_said_that_they_are_not(tmp_path):
    one, two = confident(walk(25, 3)), confident(walk(25, 3, seed=1))
    for number in range(3):
        (tmp_path / f"{number}_keypoints.json").write_text(openpose_frame(one[number], two[number]))
    first, second = read_file(tmp_path / "0_keypoints.json", "0_keypoints.json")
    assert first.notes == second.notes == (NOT_TRACKED,)
    np.testing.assert_allclose(second.positions, two[:, :, :3])
    for number in range(3):
        said = json.loads(openpose_frame(*([one[number], two[number]] if number != 1 else [two[number], one[number]])))
        for row, person in zip(said["people"], (4, 9) if number != 1 else (9, 4), strict=True):
            row["person_id"] = [person]
        (tmp_path / f"{number}_keypoints.json").write_text(json.dumps(said))
    first, second = read_file(tmp_path / "0_keypoints.json", "0_keypoints.json")
    assert first.notes == second.notes == ()
    np.testing.assert_allclose(first.positions, one[:, :, :3])
    np.testing.assert_allclose(second.positions, two[:, :, :3])


def test_counts_of_points_that_change_are_refused(tmp_path):
    for number, points in enumerate((25, 18)):
        (tmp_path / f"{number}_keypoints.json").write_text(openpose_frame(confident(walk(points, 1))[0]))
    with pytest.raises(InputError, match=r"expected one count of points, found \[18, 25\]"):
        read_file(tmp_path / "0_keypoints.json", "x")


def test_frames_that_are_a_file_each_are_not_watched_for(tmp_path):
    write_openpose(tmp_path, walk(25))
    (tmp_path / "a.jsonl").write_text("[[0, 1, 2]]\n")
    assert [path.name for path in state(tmp_path)] == ["a.jsonl"]
