"""Points of two dimensions: refused with the reason, or laid in a plane when that was asked for, and always said."""

import pickle

import numpy as np
import pytest

from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare, read_clips
from airfast.data.readers.choose import read_file
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout
from tests.data.readers import formats
from tests.data.readers.formats import walk


def write_pyskl(folder, positions):
    path = folder / "set.pkl"
    rows = [{"frame_dir": "one", "label": 3, "keypoint": positions[None, :, :, :2]}]
    path.write_bytes(pickle.dumps({"split": {}, "annotations": rows}))
    return path


WRITERS = {
    "imigue": (formats.write_imigue, 35, "imigue22"),
    "openpose": (lambda folder, positions: formats.write_openpose(folder, positions, numbers=2), 25, "openpose25"),
    "pyskl": (write_pyskl, 17, "coco17"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_two_dimensions_are_refused_or_asked_for_and_said(tmp_path, name):
    write, points, layout = WRITERS[name]
    given = walk(points)
    path = write(tmp_path, given)
    with pytest.raises(InputError, match=r"two dimensions; lift them to three first, or --flat lays them in a plane"):
        read_clips(path, None, fps=30)
    report = read_clips(path, None, fps=30, flat=True)
    known = load_layout(layout)
    assert report.motion.layout == known
    for joint, there in enumerate(known.joints):
        sources = [known.points.index(each) for each in known.derived.get(there, (there,))]
        wanted = given[:, sources, :2].mean(axis=1) * [1, -1]
        np.testing.assert_allclose(report.motion.clip(0)[:, joint, :2], wanted, atol=1e-4)
    assert not report.motion.positions[:, :, 2].any()
    told = [each for each in report.findings if each.kind == "flat"]
    assert [(each.clip, each.seen) for each in told] == [
        (report.motion.names[0], "its points have two dimensions: nothing is known of its depth")
    ]


def test_a_confidence_is_no_third_coordinate(tmp_path):
    """It is the third number of every point; 0 says that nothing was seen there."""
    path = formats.write_imigue(tmp_path, walk(35))
    table = np.loadtxt(path, delimiter=",")
    table[2, 1 + 3 * 4 + 2] = 0  # the right wrist, in frame 2
    np.savetxt(path, table, delimiter=",")
    (clip,) = read_file(path, "a")
    lost = np.argwhere(np.isnan(clip.positions).any(axis=2)).tolist()
    assert lost == [[2, 4]]
    assert np.nanmax(np.abs(clip.positions[:, :, 2])) == 0


def test_gestures_of_imigue_are_cut_where_its_labels_say(tmp_path):
    given = walk(35, 40)
    path = formats.write_imigue(tmp_path, given)
    (tmp_path / "0007_label.csv").write_text("3,0,9\n99,20,39\n")
    first, second = read_file(path, "s")
    np.testing.assert_allclose(first.positions[:, :, :2], given[:10, :, :2], atol=1e-6)
    np.testing.assert_allclose(second.positions[:, :, :2], given[20:, :, :2], atol=1e-6)
    assert [(clip.name, clip.said.label, clip.said.group) for clip in (first, second)] == [
        ("s#0", "3", "0007"),
        ("s#1", "32", "0007"),
    ]
    prepare(tmp_path, None, tmp_path / "out" / "set", fps=30, flat=True)
    assert MotionSet.load(tmp_path / "out" / "set").classes == ("3", "32")
    for row, reason in {
        "3,0,40": "frames 0 to 40 of 40",
        "3,5,5": "frames 5 to 5",
        "nan,0,9": "expected a class",
    }.items():
        (tmp_path / "0007_label.csv").write_text(row)
        with pytest.raises(InputError, match=rf"0007_label\.csv:1: {reason}"):
            read_file(path, "s")
