import json

import numpy as np
import pytest

from airfast.data.readers.arrays import read_arrays
from airfast.errors import InputError

CLIP = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)  # 4 frames, 2 joints


def save(folder, array=None, notes=None, notes_name="clip.json", **arrays):
    path = folder / ("clip.npz" if arrays else "clip.npy")
    if arrays:
        np.savez(path, **arrays)
    else:
        np.save(path, CLIP if array is None else array)
    if notes is not None:
        (folder / notes_name).write_text(notes if isinstance(notes, str) else json.dumps(notes))
    return path


def test_one_clip(tmp_path):
    (clip,) = read_arrays(save(tmp_path), "a/clip.npy")
    assert (clip.name, clip.joints, clip.fps, clip.unit, clip.layout) == ("a/clip.npy", None, None, None, None)
    np.testing.assert_array_equal(clip.positions, CLIP)


@pytest.mark.parametrize("notes_name", ["clip.json", "dataset.json"])
def test_the_json_beside_describes_the_array(tmp_path, notes_name):
    notes = {"layout": "bandai", "fps": 25, "unit": "mm", "joints": ["a", "b"]}
    (clip,) = read_arrays(save(tmp_path, notes=notes, notes_name=notes_name), "x")
    assert (clip.layout, clip.fps, clip.unit, clip.joints) == ("bandai", 25, "mm", ("a", "b"))


def test_clips_of_equal_length(tmp_path):
    clips = read_arrays(save(tmp_path, np.stack([CLIP, CLIP + 1])), "x.npy")
    assert [clip.name for clip in clips] == ["x.npy#0", "x.npy#1"]
    np.testing.assert_array_equal(clips[1].positions, CLIP + 1)


def test_npz_with_lengths_names_and_rate(tmp_path):
    path = save(tmp_path, positions=CLIP, lengths=[3, 1], names=["one", "two"], fps=60.0, joints=["a", "b"], other=[1])
    one, two = read_arrays(path, "x")
    assert (one.name, two.name, one.fps, one.joints) == ("one", "two", 60.0, ("a", "b"))
    np.testing.assert_array_equal(two.positions, CLIP[3:])


def test_the_json_wins_over_the_npz(tmp_path):
    path = save(tmp_path, positions=CLIP, fps=60.0, notes={"fps": 30})
    assert read_arrays(path, "x")[0].fps == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"array": CLIP[0]}, r"expected \(frames, joints, 3\) or \(clips, frames, joints, 3\) numbers, found \(2, 3\)"),
        ({"array": CLIP[..., :2]}, r"found \(4, 2, 2\) float32"),
        ({"array": CLIP.astype(str)}, r"found \(4, 2, 3\) <U"),
        ({"array": np.array([None, {}])}, r"clip\.npy: cannot be read as \.npy"),
        ({"poses": CLIP, "trans": CLIP}, r"clip\.npz: expected an array 'positions', found poses, trans"),
        ({"positions": CLIP, "lengths": [3, 2]}, "expected whole lengths that sum to 4 frames, found 5"),
        ({"positions": CLIP, "lengths": [5, -1]}, "expected whole lengths"),
        ({"positions": CLIP, "lengths": [3, 1], "names": ["a"]}, r"expected 2 names \(one a clip\), found 1"),
        ({"notes": {"joints": ["a"]}}, "expected 2 joint names, found 1"),
        ({"notes": {"names": [["a"]]}}, r"names: expected names, found \['a'\]"),
        ({"notes": {"joints": [{"a": 1}, "b"]}}, r"joints: expected names, found \{'a': 1\}"),
        ({"positions": CLIP, "names": "abcd"}, "names: expected a list, found 'abcd'"),
        ({"positions": CLIP, "names": np.array([["a"]])}, r"names: expected names, found \['a'\]"),
        ({"positions": CLIP, "names": np.array([1.5])}, r"names: expected names, found 1\.5"),
        ({"notes": {"fsp": 30}}, r"clip\.json: unknown key 'fsp', did you mean 'fps'"),
        ({"notes": {"zzz": 30}}, r"unknown key 'zzz', known are layout, fps"),
        ({"notes": {"unit": ["m"]}}, r"clip\.json: unit: expected a text, found \['m'\]"),
        ({"notes": {"fps": "30"}}, r"clip\.json: fps: expected a number, found '30'"),
        ({"notes": "[1]"}, r"expected an object with the keys layout.*found list"),
        ({"notes": '{"fps":\n\n}'}, r"clip\.json:3: not JSON"),
    ],
)
def test_bad_arrays_and_notes(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        read_arrays(save(tmp_path, **arguments), "x")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken"])
def test_files_that_are_no_arrays(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as"):
        read_arrays(path, "x")
