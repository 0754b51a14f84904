import hashlib
import json
import tarfile

import numpy as np
import pytest

from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout
from tests.data.bvh_text import CHANNELS, bvh
from tests.data.real import DATA, needs_bandai1

JOINTS = ("base", "arm", "hand", "leg")


@pytest.fixture
def layout(tmp_path):
    """A layout file for the skeleton of bvh_text; its End Sites are not named, so they are dropped."""
    record = {
        "unit": "cm",
        "shoulders": ["arm", "leg"],
        "high": {"body": {"parent": None}},
        "low": {"body": {"parent": None, "high": "body"}},
        "joints": [
            {"name": name, "parent": parent, "part": "body", "mirror": mirror}
            for name, parent, mirror in zip(
                JOINTS, (None, "base", "arm", "base"), ("base", "leg", "hand", "arm"), strict=True
            )
        ],
    }
    path = tmp_path / "toy.json"
    path.write_text(json.dumps(record))
    return str(path)


@pytest.fixture
def source(tmp_path):
    """Two clips in a folder and its subfolder, and files that are no motion."""
    folder = tmp_path / "src"
    (folder / "s1").mkdir(parents=True)
    (folder / "b.bvh").write_text(bvh())
    (folder / "s1" / "a.BVH").write_text(bvh([[0.0] * CHANNELS] * 5, seconds="0.01"))
    (folder / "readme.txt").write_text("not motion")
    return folder


def labels(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def test_a_folder_becomes_a_set(tmp_path, source, layout):
    table = labels(tmp_path, "file,label,subject,content\na,sad,p2,walk\nb.bvh,,p1,\n")
    steps = []
    report = prepare(source, layout, tmp_path / "out", table, progress=lambda *step: steps.append(step))
    motion = MotionSet.load(tmp_path / "out")
    assert report.skipped == []
    assert motion.names == ("b.bvh", "s1/a.BVH")
    assert (motion.lengths.tolist(), motion.fps.tolist()) == ([3, 5], [30, 100])
    assert (motion.labels.tolist(), motion.classes) == ([-1, 0], ("sad",))
    assert (motion.subjects, motion.groups) == (("p1", "p2"), ("", "walk"))
    assert steps == [(1, 2), (2, 2)]
    np.testing.assert_allclose(motion.clip(1)[0, :2], [[0, 0, 0], [0, 0.01, 0]])  # 1 cm up, OFFSET of the arm
    assert (motion.info["unit"], motion.info["synthetic"], motion.info["name"]) == ("cm", False, "src")


def test_every_source_file_is_hashed(tmp_path, source, layout):
    table = labels(tmp_path, "file,label\na,x\nb,y\n")
    info = prepare(source, layout, tmp_path / "out", table).motion.info
    found = {entry["file"]: entry["sha256"] for entry in info["sources"]}
    files = {"b.bvh": source / "b.bvh", "s1/a.BVH": source / "s1" / "a.BVH", "labels.csv": table}
    assert found == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_without_labels_every_clip_is_unlabelled(tmp_path, source, layout):
    motion = prepare(source, layout, tmp_path / "out").motion
    assert (motion.labels.tolist(), motion.classes) == ([-1, -1], ())


def test_rate_and_unit_of_the_user_win(tmp_path, source, layout):
    motion = prepare(source, layout, tmp_path / "out", fps=50, unit="m").motion
    assert motion.fps.tolist() == [50, 50]
    np.testing.assert_allclose(motion.clip(1)[0, 1], [0, 1, 0])


def test_the_label_file_says_how_each_file_is_to_be_read(tmp_path, source, layout):
    plain = prepare(source, layout, tmp_path / "plain").motion
    rows = "file,label,fps,unit,up\na,sad,60,,-z\nb.bvh,,,inch,\n"
    motion = prepare(source, layout, tmp_path / "out", labels(tmp_path, rows), fps=20.0, unit="mm").motion
    assert motion.fps.tolist() == [20, 60]  # b.bvh by the option, a.BVH by its row
    inches, millimetres = plain.clip(0) * 2.54, plain.clip(1) / 10  # the layout is in cm
    np.testing.assert_allclose(motion.clip(0), inches, atol=1e-6)
    np.testing.assert_allclose(motion.clip(1), millimetres[..., [0, 2, 1]] * [1, -1, 1], atol=1e-6)


def test_a_column_names_families_of_groups(tmp_path, source, layout):
    rows = "file,label,content,family\na,sad,walk,steps\nb,sad,run,steps\n"
    motion = prepare(source, layout, tmp_path / "out", labels(tmp_path, rows)).motion
    assert motion.families == ("steps", "steps")
    assert MotionSet.load(tmp_path / "out").info["families"] == {"walk": "steps", "run": "steps"}
    assert "families" not in prepare(source, layout, tmp_path / "none", fps=30.0).motion.info


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,sad,walk,steps\nb,sad,walk,arms", "group 'walk' is of family 'steps' and of 'arms'"),
        ("a,sad,,steps\nb,sad,walk,steps", "a: family 'steps' of no group"),
    ],
)
def test_families_that_do_not_agree(tmp_path, source, layout, rows, message):
    with pytest.raises(InputError, match=message):
        prepare(source, layout, tmp_path / "out", labels(tmp_path, f"file,label,content,family\n{rows}\n"))


def test_rows_say_how_the_clips_of_an_array_are_to_be_read(tmp_path):
    clips = np.random.default_rng(0).normal(size=(2, 10, 24, 3)).astype(np.float32)
    np.savez(tmp_path / "all.npz", positions=clips, names=np.array(["one", "two"]), fps=30.0, layout="canonical")
    names = prepare(tmp_path / "all.npz", "canonical", tmp_path / "plain").motion.names
    rows = f"file,label,unit\n{names[0]},a,\n{names[1]},b,cm\n"
    motion = prepare(tmp_path / "all.npz", "canonical", tmp_path / "out", labels(tmp_path, rows)).motion
    np.testing.assert_allclose(motion.clip(0), clips[0], atol=1e-6)
    np.testing.assert_allclose(motion.clip(1), clips[1] / 100, atol=1e-6)


def test_columns_that_nothing_is_made_of_are_named(tmp_path, source, layout):
    table = labels(tmp_path, "file,label,actor,subject,fps,note\na,sad,p,q,,\nb,sad,p,q,,\n")
    assert prepare(source, layout, tmp_path / "out", table).unread == ["actor", "note"]
    assert prepare(source, layout, tmp_path / "other", table, subject_column="actor").unread == ["subject", "note"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("fps", "fast", "expected fps as a positive number, found 'fast'"),
        ("fps", "0", "expected fps as a positive number, found 0"),
        ("fps", "nan", "expected fps as a positive number, found nan"),
        ("unit", "yard", "unit 'yard' is not one of"),
        ("up", "w", "up 'w' is not one of"),
    ],
)
def test_what_a_row_cannot_say_of_its_file(tmp_path, source, layout, column, value, message):
    table = labels(tmp_path, f"file,label,{column}\na,sad,{value}\nb,sad,\n")
    with pytest.raises(InputError, match=f"labels.csv:2: {message}"):
        prepare(source, layout, tmp_path / "out", table)
    assert not (tmp_path / "out").exists()


def test_a_layout_whose_tree_is_not_the_files_is_refused(tmp_path, source, layout):
    record = json.loads((tmp_path / "toy.json").read_text())
    record["joints"][2]["parent"] = "leg"
    (tmp_path / "toy.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"b\.bvh: layout toy has 'hand' below 'leg', the file below 'arm'"):
        prepare(source, layout, tmp_path / "out")
    record["joints"][2]["parent"] = "base"  # not the next above, but above
    (tmp_path / "toy.json").write_text(json.dumps(record))
    assert prepare(source, layout, tmp_path / "out").motion.layout.parents == (-1, 0, 0, 0)


def test_a_declared_split_is_kept(tmp_path, source, layout):
    table = labels(tmp_path, "file,label,split\na,x,train\nb,y,test\n")
    motion = prepare(source, layout, tmp_path / "out", table).motion
    assert motion.info["split"] == {"b.bvh": "test", "s1/a.BVH": "train"}


def test_arrays_and_bvh_together(tmp_path, source, layout):
    np.save(source / "c.npy", np.ones((4, 4, 3)))
    (source / "c.json").write_text(json.dumps({"fps": 20, "unit": "m", "layout": layout}))
    motion = prepare(source, layout, tmp_path / "out").motion
    assert motion.names == ("b.bvh", "c.npy", "s1/a.BVH")
    assert motion.fps.tolist() == [30, 20, 100]
    assert motion.info["unit"] == "cm, m"
    assert "c.json" in [entry["file"] for entry in motion.info["sources"]]


def test_the_json_may_name_the_layout(tmp_path):
    positions = np.random.default_rng(0).normal(size=(7, 16, 3))
    np.savez(tmp_path / "gait.npz", positions=positions, lengths=[3, 4], names=["x", "y"], fps=30)
    (tmp_path / "gait.json").write_text('{"layout": "gait16"}')
    motion = prepare(tmp_path / "gait.npz", None, tmp_path / "out").motion
    assert (motion.layout, motion.names) == (load_layout("gait16"), ("x", "y"))
    np.testing.assert_allclose(motion.positions, positions, rtol=1e-6)


def test_prepared_sets_and_hidden_files_in_the_source_are_passed_over(tmp_path, source, layout):
    (source / ".trash").mkdir()
    (source / ".trash" / "x.bvh").write_text("broken")
    prepare(source, layout, source / "out")
    assert len(prepare(source, layout, source / "out").motion) == 2


def bad(tmp_path, source, layout, **arguments):
    """Prepare with the given faults; nothing may be left behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as raised:
        prepare(**{"source": source, "layout": layout, "out": tmp_path / "out"} | arguments)
    assert sorted(tmp_path.rglob("*")) == before
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_sources_that_hold_nothing(tmp_path, source, layout):
    (tmp_path / "empty").mkdir()
    assert "empty: expected motion files (.bvh, .c3d, .csv, .h5, " in bad(tmp_path, tmp_path / "empty", layout)
    assert "nowhere: expected a folder or a motion file" in bad(tmp_path, tmp_path / "nowhere", layout)
    assert "readme.txt: expected a file that ends in" in bad(tmp_path, source / "readme.txt", layout)


def test_options_that_are_wrong(tmp_path, source, layout):
    assert "unknown layout 'bandi': did you mean 'bandai'?" in bad(tmp_path, source, "bandi")
    assert "unit 'yard' is not one of m, cm, mm, inch, ft" in bad(tmp_path, source, layout, unit="yard")
    assert "fps: expected a positive number, found 0" in bad(tmp_path, source, layout, fps=0)
    assert "readme.txt: expected a folder to write to" in bad(tmp_path, source, layout, out=source / "readme.txt")
    assert "b.bvh: expected a layout, named by the user" in bad(tmp_path, source, None)


LAG = bvh().replace("JOINT leg", "JOINT lag")
UNKNOWN = "unknown joint 'lag', not in layout toy, nearest is 'leg'"


@pytest.mark.parametrize(
    ("text", "stopped", "skipped"),
    [
        ("rubbish", "b.bvh:1: not a BVH file", "line 1: not a BVH file"),
        (bvh([[0] * CHANNELS]), "b.bvh: expected at least 2 frames, found 1", "expected at least 2 frames, found 1"),
        (bvh([]), "b.bvh:31: the clip has no frames", "line 31: the clip has no frames"),
        (LAG, f"b.bvh: {UNKNOWN}", UNKNOWN),
    ],
)
def test_a_bad_file_stops_or_is_skipped(tmp_path, source, layout, text, stopped, skipped):
    (source / "b.bvh").write_text(text)
    assert stopped in bad(tmp_path, source, layout)
    report = prepare(source, layout, tmp_path / "out", on_bad_file="skip")
    ((name, reason),) = report.skipped
    assert name == "b.bvh"
    assert reason.startswith(skipped)
    assert MotionSet.load(tmp_path / "out").names == ("s1/a.BVH",)


def test_arrays_without_a_rate_and_of_another_layout(tmp_path, layout):
    np.save(tmp_path / "c.npy", np.ones((4, 4, 3)))
    assert "c.npy: expected the frame rate (fps) as a positive number, found None" in bad(
        tmp_path, tmp_path / "c.npy", layout
    )
    (tmp_path / "c.json").write_text('{"fps": 30, "layout": "gait16"}')
    assert "c.npy: expected layout toy, found gait16" in bad(tmp_path, tmp_path / "c.npy", layout)


def test_one_bad_clip_of_many_in_a_file(tmp_path):
    positions = np.random.default_rng(0).normal(size=(8, 16, 3))
    positions[5, 2] = np.nan
    np.savez(tmp_path / "gait.npz", positions=positions, lengths=[3, 1, 4, 0], names=["x", "y", "z", "x"], fps=30)
    file = tmp_path / "gait.npz"
    assert "gait.npz clip y: expected at least 2 frames, found 1" in bad(tmp_path, file, "gait16")
    report = prepare(file, "gait16", tmp_path / "out", on_bad_file="skip")
    assert report.motion.names == ("x",)
    assert [name for name, _ in report.skipped] == ["y", "z", "x"]
    assert report.skipped[0][1] == "expected at least 2 frames, found 1"
    assert report.skipped[1][1].startswith("frame 1 (from 0), joint neck: expected a finite position")


def test_nothing_left_after_skipping_is_an_error(tmp_path, source, layout):
    for path in source.rglob("*.[bB]*"):
        path.write_text("rubbish")
    message = bad(tmp_path, source, layout, on_bad_file="skip")
    assert "no clip is left, 2 were skipped; the first: b.bvh: line 1: not a BVH file" in message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b,x\n", "s1/a.BVH: no row in"),
        ("a,x\nb,x\nz,x\n", "labels.csv:4: no clip 'z'"),
        ("a,x\nb,x\nb,y\n", "labels.csv:4: 'b' has a row already, on line 3"),
        ("y,x\nz,x\n", "b.bvh: no row in {labels} (and 3 more like it)"),
    ],
)
def test_labels_that_do_not_match(tmp_path, source, layout, rows, message):
    table = labels(tmp_path, "file,label\n" + rows)
    assert message.format(labels=table) in bad(tmp_path, source, layout, labels=table)


def test_skipping_covers_labels_that_do_not_match(tmp_path, source, layout):
    (source / "bad.bvh").write_text("rubbish")
    table = labels(tmp_path, "file,label\nb,x\nz,x\nbad.bvh,x\n")
    report = prepare(source, layout, tmp_path / "out", table, on_bad_file="skip")
    assert report.motion.names == ("b.bvh",)
    assert [name for name, _ in report.skipped] == ["bad.bvh", "s1/a.BVH", f"{table}:3"]


@needs_bandai1
def test_bandai1_agrees_with_an_independent_kinematics_to_a_millimetre(tmp_path):
    with tarfile.open(DATA / "bandai1" / "bvh.tar.xz") as archive:
        archive.extractall(tmp_path / "bvh", filter="data")
    motion = prepare(tmp_path / "bvh", "bandai", tmp_path / "out", DATA / "bandai1" / "labels.csv").motion
    with np.load(DATA / "bandai1" / "positions.npz") as oracle:
        expected = oracle["pos_mm"] / 1000
        expected[:, :, [0, 2]] += oracle["root_cm"][:, None, [0, 2]] / 100
        assert motion.names == tuple(oracle["files"])
        assert motion.lengths.tolist() == oracle["lengths"].tolist()
        assert motion.layout.joints == tuple(oracle["joints"])
    assert len(motion) == 174
    assert (len(motion.classes), set(motion.fps)) == (15, {30})
    np.testing.assert_allclose(motion.positions, expected, atol=1e-3)


@pytest.mark.parametrize("fps", [1e300, 1e6, 1e-50, 0.0, float("nan")])
def test_a_rate_that_cannot_be_loaded_again_is_refused(tmp_path, source, layout, fps):
    with pytest.raises(InputError, match=r"^fps: expected a positive number, found .* \(0\.01 to 100000 are taken\)$"):
        prepare(source, layout, tmp_path / "out", fps=fps)
    np.save(source / "c.npy", np.zeros((3, 4, 3)))
    (source / "c.json").write_text(json.dumps({"fps": fps}))
    with pytest.raises(
        InputError, match=r"c\.npy: expected the frame rate \(fps\) as a positive number, found .* \(0\.01 to 1"
    ):
        prepare(source, layout, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = prepare(source, layout, tmp_path / "out", on_bad_file="skip")
    assert [name for name, _ in report.skipped] == ["c.npy"]
    MotionSet.load(tmp_path / "out")


def test_lengths_that_overflow_are_skipped_with_their_reason(tmp_path, source, layout):
    half = 2**63 - 1
    lengths = np.array([half, half, 2 + 4], dtype=np.int64)  # their sum wraps round to 4
    with np.errstate(over="ignore"):
        assert lengths.sum() == 4
    np.savez(source / "c.npz", positions=np.zeros((4, 4, 3)), lengths=lengths, fps=30)
    np.savez(source / "d.npz", positions=np.zeros((0, 4, 3)), lengths=np.zeros(0, dtype=int), fps=30)
    np.savez(source / "e.npz", positions=np.zeros((4, 4, 3)), lengths=np.array(["4"]), fps=30)
    report = prepare(source, layout, tmp_path / "out", on_bad_file="skip")
    reasons = dict(report.skipped)
    assert reasons["c.npz"] == f"expected whole lengths that sum to 4 frames, found {2 * half + 6}"
    assert reasons["d.npz"] == "expected at least one clip, found none"
    assert reasons["e.npz"] == "expected whole lengths that sum to 4 frames, found (1,) <U1"
    assert len(MotionSet.load(tmp_path / "out")) == 2


def test_a_link_out_of_the_folder_is_said(tmp_path, layout):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for folder, name in (("in", "a"), ("in", "b"), ("out", "c")):
        (tmp_path / folder / f"{name}.bvh").write_text(bvh())
    (tmp_path / "in" / "inside.bvh").symlink_to(tmp_path / "in" / "b.bvh")
    (tmp_path / "in" / "outside.bvh").symlink_to(tmp_path / "out" / "c.bvh")
    found = [each for each in prepare(tmp_path / "in", layout, tmp_path / "set").findings if "link" in each.seen]
    assert [(each.clip, each.seen) for each in found] == [
        ("outside.bvh", f"a link out of the folder, to {tmp_path / 'out' / 'c.bvh'}")
    ]


def test_folders_that_are_linked_to_are_gone_through_once_and_said(tmp_path, layout):
    for place in ("in/real", "out/deep"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "in" / "real" / "a.bvh").write_text(bvh())
    (tmp_path / "out" / "deep" / "b.bvh").write_text(bvh())
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "real")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "x").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "y").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    report = prepare(tmp_path / "in", layout, tmp_path / "set")
    assert report.motion.names == ("real/a.bvh", "x/deep/b.bvh")
    said = [(each.clip, each.seen) for each in report.findings if "link" in each.seen]
    assert said == [("x/deep/b.bvh", f"a link out of the folder, to {tmp_path / 'out' / 'deep' / 'b.bvh'}")]
