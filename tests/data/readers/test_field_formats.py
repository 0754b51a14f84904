"""Every format of the field: known positions, written as documented, come back; what is damaged is one line."""

import json
import pickle
import warnings

import numpy as np
import pytest

from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare, read_clips
from airfast.data.readers.choose import is_motion, read_file
from airfast.data.readers.clip import UP, Mending, SourceClip
from airfast.data.readers.names import named_set, said_by_name
from airfast.data.readers.ntu import read_ntu
from airfast.data.splits import split
from airfast.data.windows import into_clips
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout
from tests.data.readers import formats
from tests.data.readers.formats import walk

Z_UP, Y_DOWN = (np.array(UP[axis]).T for axis in ("z", "-y"))
CANONICAL = load_layout("canonical").joints

# format: writer, joints, layout it is read as, fps, what turns what was written into y up, label, subject, split
FORMATS = {
    "ntu": (formats.write_ntu, 25, "kinect25", 30, np.eye(3), "A013", "P003", ""),
    "pyskl": (formats.write_pyskl, 17, "coco17", 30, np.eye(3), "3", "", "train"),
    "ctrgcn": (formats.write_ctrgcn, 25, "kinect25", 30, np.eye(3), "7", "", "train"),
    "umurl": (formats.write_umurl, 25, "kinect25", 30, np.eye(3), "4", "", "train"),
    "amass": (formats.write_amass, 24, "canonical", 120, Z_UP, "", "", ""),
    "gait": (formats.write_gait, 16, "gait16", None, np.eye(3), "sad", "", ""),
    "egbm": (formats.write_egbm, 25, "kinect25", 30, np.eye(3), "", "", ""),
    "openpose": (formats.write_openpose, 25, "openpose25", None, Y_DOWN, "", "", ""),
    "openpose18": (formats.write_openpose, 18, "openpose18", None, Y_DOWN, "", "", ""),
    "smg": (formats.write_smg, 25, "kinect25", 28, np.eye(3), "", "0037", "test"),
    "lines": (formats.write_lines, 24, None, 50, np.eye(3), "", "", ""),
    "mediapipe": (formats.write_mediapipe, 33, "mediapipe33", None, Y_DOWN, "", "", ""),
}


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ezc3d's own
        yield


@pytest.mark.parametrize("name", FORMATS)
def test_known_positions_come_back(tmp_path, name):
    write, joints, layout, fps, turn, label, subject, split = FORMATS[name]
    positions = walk(joints)
    path = write(tmp_path, positions)
    (clip,) = read_file(path, path.name)
    assert (clip.layout, clip.fps) == (layout, fps)
    assert (clip.said.label, clip.said.subject, clip.said.split) == (label, subject, split)
    report = read_clips(path, None if layout else "canonical", fps=fps or 30)
    points = load_layout(layout or "canonical").points or load_layout(layout or "canonical").joints
    for joint, there in enumerate(load_layout(layout or "canonical").joints):
        if there in points:
            wanted = positions[:, points.index(there)] @ turn
            np.testing.assert_allclose(report.motion.clip(0)[:, joint], wanted, atol=1e-4)
    assert report.motion.classes == ((label,) if label else ())
    assert not layout or "told by the format" in report.told


def test_a_table_of_named_joints_needs_no_layout_where_one_alone_has_them(tmp_path):
    positions = walk(24)
    path = formats.write_table(tmp_path, positions, CANONICAL)
    report = read_clips(path, None, fps=30)
    np.testing.assert_allclose(report.motion.clip(0), positions, atol=1e-4)
    assert "layout canonical, told by the names of the joints" in report.told
    path = formats.write_table(tmp_path, positions[:, :3], ("a", "b", "c"))
    with pytest.raises(InputError, match=r"expected a layout.*found none; airfast data layout FILE"):
        read_clips(path, None, fps=30)


def test_freemocaps_table_is_in_millimetres_with_z_up(tmp_path):
    layout = load_layout("mediapipe33")
    positions = walk(34)
    path = formats.write_table(tmp_path, 1000 * positions, (*layout.points, "hips_center"))
    path = path.rename(tmp_path / "mediapipe_body_3d_xyz.csv")
    report = read_clips(path, None, fps=30)
    nose = report.motion.clip(0)[:, layout.joints.index("nose")]
    np.testing.assert_allclose(nose, positions[:, 0] @ Z_UP, atol=1e-4)


def test_markers_become_joints_by_a_layout_that_derives_them(tmp_path):
    record = load_layout("gait16").record()
    joints = load_layout("gait16").joints
    record["derived"] = {joint: {"mean": [f"{joint}_in", f"{joint}_out"]} for joint in joints}
    mine = tmp_path / "markers.json"
    mine.write_text(json.dumps(record))
    names = [f"{joint}_{side}" for joint in joints for side in ("in", "out")]
    positions = walk(32)
    folder = tmp_path / "c3d"
    folder.mkdir()
    path = formats.write_c3d(folder, positions, [f"Anna:{name}" for name in names])
    report = read_clips(path, str(mine))
    wanted = positions.reshape(len(positions), 16, 2, 3).mean(axis=2) @ Z_UP
    np.testing.assert_allclose(report.motion.clip(0), wanted, atol=1e-4)
    assert report.motion.fps[0] == 100


def test_ntus_bodies_are_kept_apart_and_chosen(tmp_path):
    bodies = np.stack([walk(25), 1.5 * walk(25, seed=1)])
    path = tmp_path / "S001C001P001R001A050.skeleton"
    path.write_text(formats.ntu(bodies, missing=((1, 0), (1, 5))))
    first, second = read_ntu(path, "x")
    assert (first.name, second.name) == ("x#person0", "x#person1")
    np.testing.assert_allclose(first.positions, bodies[0])
    np.testing.assert_allclose(np.delete(second.positions, 4, axis=0), np.delete(bodies[1][1:], 4, axis=0))
    assert np.isnan(second.positions[4]).all()
    assert (first.start, second.start) == (0, 1)
    chosen = lambda who, **more: read_clips(path, None, person=who, **more).motion.names  # noqa: E731
    assert chosen("0") == ("S001C001P001R001A050.skeleton#person0",)
    assert chosen("largest", mending=Mending(fill_gaps=1)) == ("S001C001P001R001A050.skeleton#person1",)
    with pytest.raises(InputError, match="--person tallest: expected all, largest or an index"):
        chosen("tallest")


def test_gestures_of_smg_are_cut_where_its_labels_say(tmp_path):
    positions = walk(25, 40)
    path = formats.write_smg(tmp_path, positions)
    (tmp_path / "Sample0037_finelabels.csv").write_text("3,1,10\n17,21,40\n")
    first, second = read_file(path, "s")
    np.testing.assert_allclose(first.positions, positions[:10], atol=1e-6)
    np.testing.assert_allclose(second.positions, positions[20:], atol=1e-6)
    assert [clip.said.label for clip in (first, second)] == ["3", "17"]
    (tmp_path / "Sample0037_finelabels.csv").write_text("3,1,41\n")
    with pytest.raises(InputError, match=r"finelabels.csv:1: frames 1 to 41 of 40"):
        read_file(path, "s")


def test_both_persons_and_both_sides_of_ctrgcn(tmp_path):
    two = walk(25, clips=2)
    x = np.zeros((1, 20, 2, 25, 3), np.float32)
    x[0, :12, 0], x[0, :7, 1] = two[0], two[1][:7]
    path = tmp_path / "a.npz"
    np.savez(
        path, x_train=x.reshape(1, 20, 150), y_train=[[0, 1]], x_test=x.reshape(1, 20, 150)[:, :9], y_test=[[1, 0]]
    )
    clips = read_file(path, "a")
    assert [clip.name for clip in clips] == [f"a#{side}0#person{p}" for side in ("train", "test") for p in (0, 1)]
    assert [len(clip.positions) for clip in clips] == [12, 7, 9, 7]
    assert [(clip.said.label, clip.said.split) for clip in clips] == [("1", "train")] * 2 + [("0", "test")] * 2
    np.testing.assert_allclose(clips[1].positions, two[1][:7], atol=1e-6)


@pytest.mark.parametrize("joints", [22, 24, 52, 55])
def test_joints_of_every_body_model(tmp_path, joints):
    positions = walk(joints)
    path = formats.write_amass(tmp_path, positions)
    found = read_clips(path, None).motion
    hands = {24: (22, 23), 52: (22, 37), 55: (25, 40)}.get(joints, ())
    wanted = positions[:, [*range(22), *hands]] @ Z_UP
    np.testing.assert_allclose(found.clip(0), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "xsub", "xview", "xset"),
    [
        ("S001C001P001R001A013", "train", "test", "test"),
        ("S002C002P003R002A001", "test", "train", "train"),
        ("S017C003P103R001A120", "train", "train", "test"),
        ("S032C001P104R001A120", "test", "test", "train"),
    ],
)
def test_sides_that_the_field_has_agreed_on(name, xsub, xview, xset):
    clip = SourceClip(f"raw/{name}.skeleton", np.zeros((2, 25, 3), np.float32))
    for way, side in (("xsub", xsub), ("xview", xview), ("xset", xset)):
        said = said_by_name(clip, named_set(f"ntu-{way}"), "x").said
        assert (said.split, said.label, said.subject) == (side, name[16:], name[8:12])


def test_a_set_keeps_the_sides_that_the_field_has_agreed_on(tmp_path):
    for camera in (1, 2):
        file = formats.write_ntu(tmp_path, walk(25))
        file.rename(tmp_path / f"S001C00{camera}P003R001A013.skeleton")
    motion = read_clips(tmp_path, None, dataset="ntu-xview").motion
    train, test = split(motion, "declared", seed=0)
    assert ([motion.names[i] for i in train], [motion.names[i] for i in test]) == (
        ["S001C002P003R001A013.skeleton"],
        ["S001C001P003R001A013.skeleton"],
    )


@pytest.mark.parametrize(
    ("action", "family"), [("walk-left", "walk"), ("dash", "run"), ("wave-right-hand", "wave"), ("bow", "bow")]
)
def test_actions_of_bandai_have_families(action, family):
    clip = SourceClip(f"a/dataset-1_{action}_sad_001.bvh", np.zeros((2, 21, 3), np.float32))
    said = said_by_name(clip, named_set("bandai"), "x").said
    assert (said.group, said.family) == (action, family)


def test_names_of_files_say_label_and_people():
    clip = SourceClip("F01/F01SA3V2.bvh", np.zeros((2, 3, 3)))
    said = said_by_name(clip, named_set("kdae"), "x").said
    assert (said.label, said.subject, said.group) == ("sad", "F01", "3")
    said = said_by_name(SourceClip("M02A0V1.bvh", clip.positions), named_set("kdae"), "x").said
    assert (said.label, said.subject) == ("angry", "M02")
    emilya = SourceClip("PerAction/Walking/Panic Fear/Actor3/a.bvh", clip.positions)
    said = said_by_name(emilya, named_set("emilya"), "x").said
    assert (said.label, said.subject, said.group) == ("Panic Fear", "Actor3", "Walking")
    assert said_by_name(emilya, named_set("emilya4"), "x") is None
    copy = SourceClip("PerAction/Walking/Joy/Actor3/a_zyx.bvh", clip.positions)
    assert said_by_name(copy, named_set("emilya"), "x") is None
    with pytest.raises(InputError, match=r"x: expected a name like F01/F01A0V1\.bvh"):
        said_by_name(SourceClip("take1.bvh", clip.positions), named_set("kdae"), "x")
    with pytest.raises(InputError, match="--dataset kdea: did you mean 'kdae'"):
        named_set("kdea")


def test_kinects_without_orientation_are_egbms_where_that_is_said(tmp_path):
    positions = walk(25)
    np.savetxt(tmp_path / "a.csv", positions.reshape(len(positions), -1), delimiter=",", fmt="%.6f")
    with pytest.raises(InputError, match="expected a layout"):
        read_clips(tmp_path, None)
    motion = read_clips(tmp_path, None, dataset="egbm").motion
    assert (motion.layout.name, motion.fps.tolist()) == ("kinect25", [30])
    np.testing.assert_allclose(motion.clip(0), positions, atol=1e-4)
    assert read_clips(tmp_path, None, fps=25, dataset="egbm").motion.fps.tolist() == [25]


def test_a_label_file_wins_over_what_a_file_says(tmp_path):
    formats.write_ntu(tmp_path, walk(25))
    table = tmp_path / "labels.csv"
    table.write_text("file,label\nS001C002P003R002A013,waving\n")
    prepare(tmp_path, None, tmp_path / "out" / "set", table)
    motion = MotionSet.load(tmp_path / "out" / "set")
    assert (motion.classes, motion.subjects) == (("waving",), ("P003",))


def test_only_motion_is_taken_from_a_folder(tmp_path):
    for name, text in {
        "labels.csv": "file,label\na,b\n",
        "notes.json": '{"fps": 30}',
        "list.json": '["a", "b"]',
        "numbers.csv": "1,2,3,4\n",
        "Sample0001_data.csv": "1,30,3\n",
        "labels.h5": "",
        "train_label.pkl": "",
    }.items():
        (tmp_path / name).write_text(text)
        assert not is_motion(tmp_path / name), name
    for name, text in {"a.csv": "a_x,a_y,a_z\n", "b.csv": ",".join("1" * 9), "c.json": "[[[0, 1, 2]]]"}.items():
        (tmp_path / name).write_text(text)
        assert is_motion(tmp_path / name), name


def person(keypoints):
    return json.dumps({"people": [{"pose_keypoints_3d": keypoints}]})


class Harmful:
    """What a pickle would run."""

    def __reduce__(self):
        return (print, ("run",))


def bad(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content)
    with pytest.raises(InputError) as told:
        read_file(path, name)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(str(path))
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.skeleton", "", "cannot be read as .skeleton"),
        ("a.skeleton", "2\n0\n0\n", "expected a body, found none in 2 frames"),
        ("a.skeleton", formats.ntu(walk(25)[None])[:-900], "the file ends early"),
        ("a.skeleton", formats.ntu(walk(25)[None]) + "7\n", "1 words after the last of 12 frames"),
        ("a.skeleton", formats.ntu(walk(25)[None]).replace("\n25\n", "\n24\n", 1), "expected 25 joints, found 24"),
        ("a.skeleton", b"\xff\xfe", "cannot be read as .skeleton"),
        ("a.pkl", pickle.dumps(Harmful()), "it names builtins.print, which is not opened"),
        ("a.pkl", pickle.dumps([1, 2]), "expected a pickle with split and annotations"),
        ("a.pkl", pickle.dumps({"split": {}, "annotations": []}), "expected annotations with a person, found none"),
        ("a.pkl", b"\x80\x04", "cannot be read as a pickle"),
        ("a.jsonl", "", "expected frames, found none"),
        ("a.jsonl", "[[1, 2, 3]]\n[[1, 2]]", ":2: expected x, y and z of a joint"),
        ("a.jsonl", "[[1, 2, 3]]\n[[1, 2, 3], [1, 2, 3]]", "frame 0 (from 0): expected 2 joints, found 1"),
        ("a.jsonl", '{"time": 1, "joints": [[1, 2, 3]]}\n' * 2, "frame 1 (from 0): expected a time after 1.0 s"),
        ("a.json", '[[[1, 2, 3]], [["x", 2, 3]]]', "frame 1 (from 0): expected a coordinate"),
        ("a.json", "[[", "cannot be read as .json"),
        ("a.csv", "a_x,a_y,a_z\n1,2\n", ":2: expected 3 fields, found 2"),
        ("Sample0001_skeleton.csv", "1,2,3\n", "expected 275 columns, found 3"),
        ("Sample0001_skeleton.csv", "1,2,x\n", "cannot be read as numbers"),
        ("Sample0001_skeleton.csv", "", "expected 275 columns, found no row"),
        ("a.csv", ",".join("1" * 175) + "\n1,2\n", "cannot be read as numbers"),
        ("7_light_hand.csv", "1,2,3\n", "expected 106 columns, found 3"),
        ("7_light_hand.csv", b"\xff\xfe", "not UTF-8"),
        ("a_0_keypoints.json", "[", "not JSON"),
        ("a_0_keypoints.json", "[1]", "expected an object with a list 'people'"),
        ("a_0_keypoints.json", '{"people": [1]}', "expected an object with a list 'people'"),
        ("a_0_keypoints.json", '{"people": []}', "expected a person, found none in 1 frames"),
        ("a_0_keypoints.json", '{"people": [{}]}', "person 0: expected points in one frame at least"),
        ("a_0_keypoints.json", person([1] * 75), "expected 4 numbers for each of 25 or 18 points, found 75 numbers"),
        ("a_0_keypoints.json", person([1] * 76), "expected 4 numbers for each of 25 or 18 points, found 76 numbers"),
        ("a_0_keypoints.json", person(["1"] * 100), "expected 4 numbers for each of 25 or 18 points, found"),
        ("a_0_keypoints.json", person({"x": 1}), "expected 4 numbers for each of 25 or 18 points, found"),
        ("a.h5", b"no", "cannot be read as .h5"),
        ("a.c3d", b"no", "cannot be read as .c3d"),
    ],
)
def test_what_is_damaged_is_one_line(tmp_path, name, content, message):
    assert message in bad(tmp_path, name, content)


def keypoints(shape):
    rows = [{"frame_dir": "one", "label": 0, "keypoint": np.ones(shape, np.float32)}]
    return pickle.dumps({"split": {}, "annotations": rows})


def test_pickles_of_other_joints_or_coordinates_are_refused(tmp_path):
    assert "keypoints of 2 or 3 coordinates, found 4" in bad(tmp_path, "a.pkl", keypoints((1, 5, 17, 4)))
    assert "19 joints are of no known set" in bad(tmp_path, "b.pkl", keypoints((1, 5, 19, 3)))
    assert "expected keypoints (persons, frames, joints, 3)" in bad(tmp_path, "c.pkl", keypoints((5, 17, 3)))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path, protocol):
    rows = [{"frame_dir": "one", "label": np.int64(2), "keypoint": walk(17)[None].astype(np.float32)}]
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"split": {"xsub_train": ["one"], "xsub_val": []}, "annotations": rows}, protocol))
    (clip,) = read_file(path, "a")
    np.testing.assert_allclose(clip.positions, walk(17), atol=1e-6)
    assert (clip.said.label, clip.said.split) == ("2", "train")


def test_pose_parameters_without_joints_are_refused_with_the_reason(tmp_path):
    np.savez(tmp_path / "a.npz", poses=np.zeros((5, 156)), trans=np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"no joints; they follow from the licensed body model alone: save .* 'Jtr'"):
        read_file(tmp_path / "a.npz", "a")
    np.savez(tmp_path / "b.npz", Jtr=np.zeros((5, 7, 3)))
    with pytest.raises(InputError, match=r"Jtr: expected \(frames, joints, 3\) of 22, 24, 52, 55 joints"):
        read_file(tmp_path / "b.npz", "b")


def test_uneven_times_are_noted_and_the_usual_rate_is_taken(tmp_path):
    times = np.delete(np.arange(20) / 25, 7)
    lines = [json.dumps({"time": t, "joints": frame.tolist()}) for t, frame in zip(times, walk(24, 19), strict=True)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (clip,) = read_file(tmp_path / "a.jsonl", "a")
    assert clip.fps == 25
    assert clip.notes == ("1 of 18 steps between frames differ by more than 20 % from the usual one",)


@pytest.mark.parametrize("kind", ["another file", "raw bytes of another file", "a view of another file", "a promise"])
def test_an_h5_that_reaches_out_or_promises_too_much(tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    other = formats.write_gait(tmp_path, walk(16, 4))
    path = tmp_path / "lent.h5"
    with h5py.File(path, "w") as file:
        if kind == "another file":
            file["clip"] = h5py.ExternalLink(str(other), "clip_positions.csv")
        elif kind == "raw bytes of another file":
            file.create_dataset("clip", (2, 48), "f4", external=[(str(other), 0, 384)])
        elif kind == "a view of another file":
            whole = h5py.VirtualLayout(shape=(4, 48), dtype="f8")
            whole[:] = h5py.VirtualSource(str(other), "clip_positions.csv", shape=(4, 48))
            file.create_virtual_dataset("clip", whole)
        else:
            file.create_dataset("clip", (10**8, 48), "f4", chunks=(1000, 48))
    with pytest.raises(
        InputError, match="far more than the file" if kind == "a promise" else "not an array of this file"
    ):
        read_file(path, "lent")


LAUGHS = ["ha"] * 9
for _ in range(9):
    LAUGHS = [LAUGHS] * 9  # a kilobyte of pickle, 9¹⁰ words


def annotated(frame_dir="x", label=0, keypoint=None, train=()):
    keypoint = walk(17, 3)[None] if keypoint is None else keypoint
    rows = [{"frame_dir": frame_dir, "label": label, "keypoint": keypoint}]
    return pickle.dumps({"split": {"train": list(train), "val": []}, "annotations": rows})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (annotated(train=LAUGHS), "expected a name or a number"),
        (annotated(frame_dir=LAUGHS), "expected a name or a number"),
        (annotated(label=LAUGHS), "expected a name or a number"),
        (annotated(keypoint=LAUGHS), "expected keypoints as an array"),
        (b"\x80\x04K\x00r\xff\xff\xff\x7f.", "numbers what it remembers out of turn"),  # a table of 2³¹ entries
        (b"\x80\x05\x96" + (4 * 10**9).to_bytes(8, "little") + b"x.", "expected 4000000000 bytes"),
    ],
    ids=["split", "name", "label", "keypoints", "memo", "bytes"],
)
def test_pickles_that_grow_are_refused_at_once(tmp_path, data, reason):
    (tmp_path / "a.pkl").write_bytes(data)
    assert len(data) < 10_000
    with pytest.raises(InputError, match=reason) as found:
        read_file(tmp_path / "a.pkl", "a")
    assert len(str(found.value)) < 600


@pytest.mark.parametrize("value", ["9" * 400, "-" + "9" * 400, "NaN", "Infinity", "null"])
def test_a_coordinate_that_is_none_is_a_lost_joint(tmp_path, value):
    path = formats.write_lines(tmp_path, walk(3, 3))
    lines = path.read_text().splitlines()
    said = json.loads(lines[1])
    text = json.dumps(said).replace(json.dumps(said["joints"][0]), f"[0.5, {value}, 1.0]", 1)
    path.write_text("\n".join([lines[0], text, *lines[2:]]))
    (clip,) = read_file(path, "a")
    assert np.isnan(clip.positions[1, 0, 1])
    assert clip.positions[1, 0, 0] == 0.5


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        ("import os; os.abort()", "damaged so that its reader ended"),  # as ezc3d itself does for damage in some places
        ("import time; time.sleep(60)", "it took more than 0 s"),
        ("import sys; sys.exit('needs ezc3d')", "needs ezc3d"),
    ],
    ids=["crash", "hang", "missing"],
)
def test_what_ends_ezc3d_does_not_end_us(tmp_path, monkeypatch, instead, reason):
    from airfast.data.readers import c3d

    (tmp_path / "a.c3d").write_bytes(b"")
    (tmp_path / "reader.py").write_text(instead)
    monkeypatch.setattr(c3d, "READER", tmp_path / "reader.py")
    monkeypatch.setattr(c3d, "LONGEST", 0.4 if "sleep" in instead else 60)
    with pytest.raises(InputError, match=rf"a\.c3d: .*{reason}"):
        read_file(tmp_path / "a.c3d", "a")


def test_a_marker_that_was_not_seen_is_a_gap(tmp_path):
    positions = walk(3)
    positions[4, 1] = np.nan
    (clip,) = read_file(formats.write_c3d(tmp_path, positions, ["a", "b", "c"]), "take")
    assert np.argwhere(np.isnan(clip.positions).any(axis=2)).tolist() == [[4, 1]]
    np.testing.assert_allclose(clip.positions, positions, atol=1e-6)
    assert (clip.joints, clip.fps, clip.unit, clip.up) == (("a", "b", "c"), 100, "m", "z")


def test_persons_of_a_recording_can_be_put_together_again_and_are_on_one_side(tmp_path):
    for take in range(10):
        bodies = np.stack([walk(25, 20, seed=take), walk(25, 20, seed=take + 50)])
        text = formats.ntu(bodies, missing=[(1, frame) for frame in range(3)])
        (tmp_path / f"S001C001P001R001A{take % 2 + 50:03d}_{take}.skeleton").write_text(text)
    motion = read_clips(tmp_path, None).motion
    assert len(motion) == 20
    for name in motion.names:
        take, _, person = name.partition("#person")
        assert motion.info["recordings"][name] == take
        assert motion.info["persons"][name] == {"person": int(person), "first_frame": 3 * int(person)}
    for seed in range(5):
        sides = [{motion.info["recordings"][motion.names[i]] for i in side} for side in split(motion, "random", seed)]
        assert not sides[0] & sides[1]
    windows = into_clips(motion, 0.5, 0.25)
    for i, name in enumerate(windows.names):
        clip, _, start = name.rpartition("@")
        assert windows.info["recordings"][name] == clip.partition("#")[0]
        first = windows.info["persons"][name]["first_frame"]
        assert first == motion.info["persons"][clip]["first_frame"] + round(float(start[:-1]) * 30)
        np.testing.assert_array_equal(
            windows.clip(i)[0], motion.clip(motion.names.index(clip))[first - 3 * ("#person1" in clip)]
        )
    alone = read_clips(tmp_path, None, person="0").motion.info
    assert "persons" not in alone
    assert "recordings" not in alone


def test_frames_that_are_cut_off_are_counted(tmp_path):
    lines = []
    for frame, joints in enumerate(walk(24, 12).tolist()):
        lines.append(json.dumps({"time": frame / 25, "person": "a", "joints": joints}))
        if frame >= 4:
            seen = joints if frame >= 6 else [[0, 0, 0]] * 24
            lines.append(json.dumps({"time": frame / 25, "person": "b", "joints": seen}))
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    whole = read_clips(tmp_path, "canonical").motion.info["persons"]
    assert [each["first_frame"] for each in whole.values()] == [0, 4]
    cut = read_clips(tmp_path, "canonical", mending=Mending(trim_empty=True)).motion
    assert [each["first_frame"] for each in cut.info["persons"].values()] == [0, 6]
    assert cut.lengths.tolist() == [12, 6]
