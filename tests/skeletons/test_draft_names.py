"""Layouts drafted from the names of points that have no tree: markers, pose estimators, tables."""

import json

import numpy as np
import pytest

from airfast.data.motion import MotionSet
from airfast.data.synthetic import synthetic_walkers
from airfast.skeletons.draft_names import draft_names
from airfast.skeletons.layout import layout_from_record, load_layout
from tests.cli.test_app import fails, run  # noqa: F401

SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
HEAD_AND_TRUNK = ("LFHD", "RFHD", "C7", "T10", "CLAV", "STRN", "SACR")
LIMBS = ("SHO", "ELB", "WRA", "WRB", "FIN", "ASI", "THI", "KNE", "TIB", "ANK", "HEE", "TOE")
PLUG_IN_GAIT = (*HEAD_AND_TRUNK, *(f"{side}{limb}" for side in "LR" for limb in LIMBS))
CAMEL = (f"{side}{joint.title()}" for side in ("Left", "Right") for joint in SIDED)
PREFIXED = (f"Skeleton:{side}_{joint}" for side in "lr" for joint in SIDED)
TABLES = {
    "mediapipe": (load_layout("mediapipe33").points, {"pelvis", "neck", "head"}),
    "coco": (load_layout("coco17").points, {"pelvis", "neck", "head"}),
    "camel": ((*CAMEL, "MidHip", "Neck", "Head"), set()),
    "dots": ((*(f"{joint}.{side}" for side in "LR" for joint in SIDED), "root", "neck", "nose"), {"head"}),
    "prefixed": ((*PREFIXED, "Skeleton:pelvis", "Skeleton:head"), {"neck"}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_points_by_their_names(kind):
    names, derived = TABLES[kind]
    found = draft_names(names, 1.7)
    assert [each for each in found.doubts if "unit" not in each] == []
    layout = layout_from_record(found.record, kind, kind)
    by_joint = {joint: name for name, joint in found.matched.items()}
    for side in ("left", "right"):
        for joint in SIDED:
            name = by_joint[f"{side}_{joint}"].lower()
            assert joint in name, name
            assert (side in name) or f"{side[0]}_" in name or name.endswith(f".{side[0]}"), name
    assert set(layout.derived) == derived
    parents = dict(zip(layout.joints, layout.parents, strict=True))
    assert layout.joints[parents[by_joint["left_wrist"]]] == by_joint["left_elbow"]
    assert [joint for joint, parent in parents.items() if parent < 0] == [by_joint["pelvis"]]


def test_markers_of_plug_in_gait():
    found = draft_names(PLUG_IN_GAIT, 1700)
    assert found.record["unit"] == "mm"
    by_joint = {joint: name for name, joint in found.matched.items()}
    wanted = {
        "shoulder": "SHO",
        "elbow": "ELB",
        "wrist": "WRA",
        "hip": "ASI",
        "knee": "KNE",
        "ankle": "ANK",
        "foot": "TOE",
    }
    for side in ("left", "right"):
        for joint, marker in wanted.items():
            assert by_joint[f"{side}_{joint}"] == f"{side[0].upper()}{marker}"
    assert by_joint["pelvis"] == "SACR"


def test_what_is_not_named_is_told():
    found = draft_names(("a", "b", "left_wrist", "hat"))
    assert {"no pelvis", "no head", "no left_elbow", "no right_wrist"} <= set(found.doubts)
    assert found.record["drop"] == ["a", "b", "hat"]


def test_from_a_table_to_a_set(run, tmp_path):  # noqa: F811
    motion = synthetic_walkers(clips=2)
    names = [name.title().replace("_", "") for name in motion.layout.joints]
    (tmp_path / "in").mkdir()
    for i in range(2):
        columns = ",".join(f"{name}_{axis}" for name in [*names, "Hat"] for axis in "xyz")
        rows = np.concatenate([motion.clip(i), motion.clip(i)[:, :1] + 2], axis=1).reshape(len(motion.clip(i)), -1)
        np.savetxt(tmp_path / "in" / f"{i}.csv", rows, delimiter=",", header=columns, comments="", fmt="%.5f")
    mine = tmp_path / "mine.json"
    status, out, error = run("data", "layout", tmp_path / "in" / "0.csv", "--out", mine)
    assert status == 0, error
    assert "LeftWrist  left_wrist" in out
    assert json.loads(mine.read_text())["drop"] == ["Hat"]
    status, _, error = run("data", "prepare", tmp_path / "in", "--layout", mine, "--fps", 30, "--out", tmp_path / "set")
    assert status == 0, error
    made = MotionSet.load(tmp_path / "set")
    at = [list(made.layout.joints).index(name) for name in names]
    np.testing.assert_allclose(made.clip(0)[:, at], motion.clip(0), atol=1e-4)


def test_files_without_names(run, tmp_path):  # noqa: F811
    np.save(tmp_path / "a.npy", np.zeros((5, 3, 3)))
    fails(run("data", "layout", tmp_path / "a.npy"), "its joints have no names")
    fails(run("data", "layout", tmp_path / "a.txt"), "expected a motion file")
