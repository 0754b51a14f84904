import json

import pytest

from airfast.errors import InputError
from airfast.skeletons.layout import known_layouts, layout_from_record, load_layout

JOINTS = {"bandai": 21, "canonical": 24, "gait16": 16, "kinect25": 25, "perception24": 24, "xsens28": 28}
JOINTS |= {"coco17": 16, "h36m17": 17, "mediapipe33": 22, "openpose18": 16, "openpose25": 20, "smpl22": 22}
WHOLE = sorted(JOINTS)
JOINTS["imigue22"] = 22  # an upper body
POINTS = {"coco17": 17, "h36m17": 17, "mediapipe33": 33, "openpose18": 18, "openpose25": 25, "imigue22": 35}


def test_shipped_layouts_have_the_joints_of_their_data():
    assert {name: len(load_layout(name).joints) for name in known_layouts()} == JOINTS


def test_pose_estimators_have_as_many_points_as_their_names_say():
    assert {name: len(set(load_layout(name).points)) for name in POINTS} == POINTS


@pytest.mark.parametrize("name", JOINTS)
def test_tree_mirror_and_parts_fit_together(name):
    layout = load_layout(name)
    joints = range(len(layout.joints))
    assert layout.parents[layout.root] == -1
    for i in joints:
        parent, twin = layout.parents[i], layout.mirror[i]
        assert layout.mirror[twin] == i
        if parent >= 0:  # the mirror of a bone is a bone
            assert layout.parents[twin] == layout.mirror[parent]
        part, twin_part = layout.low_names[layout.low[i]], layout.low_names[layout.low[twin]]
        assert part.removeprefix("left_").removeprefix("right_") == twin_part.removeprefix("left_").removeprefix(
            "right_"
        )
        assert (part == twin_part) == (i == twin or not part.startswith(("left_", "right_")))
    assert layout.mirror[layout.shoulders[0]] == layout.shoulders[1] != layout.shoulders[0]


@pytest.mark.parametrize("name", WHOLE)
def test_high_parts_are_a_coarsening_of_ten_low_parts(name):
    layout = load_layout(name)
    assert (len(layout.low_names), len(layout.high_names)) == (10, 5)  # METHOD section 1
    assert set(layout.low) == set(range(10))
    assert len(set(zip(layout.low, layout.high, strict=True))) == 10
    # The parent of a low part lies in the same high part or in its parent.
    high_of = dict(zip(layout.low, layout.high, strict=True))
    for part, parent in enumerate(layout.low_parents):
        if parent >= 0 and high_of[part] != high_of[parent]:
            assert layout.high_parents[high_of[part]] == high_of[parent]


@pytest.mark.parametrize("name", WHOLE)
def test_canonical_names_are_joints_of_the_canonical_layout(name):
    canonical = load_layout("canonical")
    named = [joint for joint in load_layout(name).canonical if joint]
    assert set(named) <= set(canonical.joints)
    assert len(set(named)) == len(named)
    assert {"pelvis", "head", "left_shoulder", "right_knee"} <= set(named)


@pytest.mark.parametrize("name", JOINTS)
def test_record_round_trip(name):
    layout = load_layout(name)
    assert layout_from_record(json.loads(json.dumps(layout.record())), name) == layout


def test_gait16_parents_are_those_of_formats():
    assert load_layout("gait16").parents == (-1, 0, 1, 2, 2, 4, 5, 2, 7, 8, 0, 10, 11, 0, 13, 14)


def test_a_layout_file_of_the_user(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(load_layout("bandai").record()))
    layout = load_layout(path)
    assert layout.name == "mine"
    assert layout.joints == load_layout("bandai").joints


def test_unknown_layout_names_the_nearest_and_all():
    with pytest.raises(
        InputError, match=r"unknown layout 'bandia': did you mean 'bandai'\? known are bandai, canonical"
    ):
        load_layout("bandia")


def broken(change):
    record = load_layout("gait16").record()
    change(record)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("joints"), "malformed entry 'joints'"),
        (lambda r: r["joints"][3].update(parent="nek"), "unknown joint 'nek', did you mean 'neck'"),
        (lambda r: r["joints"][3].update(parent=None), "expected one root .* found 2: root, head"),
        (lambda r: r["joints"][0].update(parent="head"), "expected one root .* found 0"),
        (lambda r: r["joints"][1].update(parent="head"), "hangs on a cycle"),
        (lambda r: r["joints"][4].update(mirror="root"), "does not mirror it back"),
        (lambda r: r["joints"][3].update(part="hat"), "unknown part 'hat'"),
        (lambda r: [j.update(part="torso") for j in r["joints"][2:4]], "part 'head' owns no joint"),
        (lambda r: r["joints"][3].update(name="neck", mirror="neck"), "'neck' is listed twice"),
        (lambda r: r.update(unit="yard"), "unit 'yard' is not one of m, cm, mm, inch, ft"),
        (lambda r: r.update(joints=3), "not a layout"),
        (lambda r: r.update(shoulder=["a", "b"]), "unknown key 'shoulder', did you mean 'shoulders'?"),
        (lambda r: r["joints"][3].update(miror="neck"), "unknown key 'miror' of 'head', did you mean 'mirror'?"),
        (lambda r: r["low"]["head"].update(hihg="trunk"), "unknown key 'hihg' of 'head', did you mean 'high'?"),
        (lambda r: r["joints"][3].update(canonical="haed"), "unknown canonical joint 'haed', did you mean 'head'?"),
        (lambda r: r["joints"][2].update(canonical="head"), "canonical joint 'head' is given to 2 joints"),
        (lambda r: r.update(derived={"nek": {"mean": ["head"]}}), "'nek' is none of the joints, did you mean 'neck'?"),
        (lambda r: r.update(derived={"neck": {"mean": []}}), "'neck': expected the names that it is the mean of"),
        (lambda r: r.update(derived={"neck": {"men": ["head"]}}), "unknown key 'men' of 'neck', did you mean 'mean'?"),
        (
            lambda r: r.update(points=["l_hip", "r_hip"], derived={"root": {"mean": ["l_hip", "r_hop"]}}),
            "derived joint 'root': unknown point 'r_hop', did you mean 'r_hip'?",
        ),
        (lambda r: r["shoulders"].reverse(), "expected left and right, found 'r_shoulder' and 'l_shoulder'"),
        (
            lambda r: r.update(shoulders=["l_shoulder", "r_elbow"]),
            "'l_shoulder' and 'r_elbow' do not mirror each other",
        ),
    ],
)
def test_unsound_layouts_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        layout_from_record(broken(change), "x")


def test_all_faults_are_listed_at_once():
    record = load_layout("gait16").record()
    record["joints"][4]["mirror"] = "root"
    record["shoulders"].reverse()
    record["unit"] = "yard"
    with pytest.raises(InputError) as told:
        layout_from_record(record, "x")
    assert [piece in str(told.value) for piece in ("mirror it back", "left and right", "yard")] == [True] * 3
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_json_names_its_line(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{\n"unit": }')
    with pytest.raises(InputError, match=r"bad\.json:2: not JSON"):
        load_layout(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shoulders", [None, "r_shoulder"], "expected the name of a joint, found null"),
        ("shoulders", ["l_shoulder", "l_shoulder"], "both shoulders are 'l_shoulder', expected two joints"),
        ("shoulders", ["l_shoulder", "r_shoulder", "neck"], "not a layout, missing or malformed entry"),
        ("shoulders", None, "not a layout, missing or malformed entry"),
        ("aliases", ["a"], "not a layout, missing or malformed entry"),
    ],
)
def test_entries_that_say_nothing(key, value, message):
    record = load_layout("gait16").record() | {key: value}
    with pytest.raises(InputError, match=f"^layout toy: {message}"):
        layout_from_record(record, "toy")


def test_parts_and_mirrors_cannot_be_null():
    for change in ("part", "mirror"):
        record = load_layout("gait16").record()
        record["joints"][2][change] = None
        with pytest.raises(
            InputError, match=f"expected the name of a {'joint' if change == 'mirror' else 'part'}, found"
        ):
            layout_from_record(record, "toy")
    record = load_layout("gait16").record()
    record["low"]["head"]["high"] = None
    with pytest.raises(InputError, match="expected the name of a part, found null"):
        layout_from_record(record, "toy")
    record = load_layout("gait16").record()
    record["high"]["tail"] = {"parent": "trunk"}
    with pytest.raises(InputError, match="part 'tail' owns no joint"):
        layout_from_record(record, "toy")
