"""From a BVH file of unknown names to a prepared set, as typed."""

import json

from airfast.data.motion import MotionSet
from tests.cli.test_app import fails, run  # noqa: F401
from tests.skeletons.test_draft import MIXAMO, tree


def bvh(names, parents):
    """A BVH of these joints, up in the trunk, out in the arms, down in the legs."""
    lines = ["HIERARCHY"]

    def add(node, depth):
        name = names[node]
        side = 1 if "Left" in name else -1
        place = f"{16 * side} 0 0" if any(w in name for w in ("Arm", "Hand", "Shoulder")) else "0 15 0"
        place = (
            f"{10 * side} -5 0" if "UpLeg" in name else "0 -42 0" if any(w in name for w in ("Leg", "Foot")) else place
        )
        place = "0 -2 12" if "Toe" in name else place
        lines.extend([f"{'JOINT' if depth else 'ROOT'} {name}", "{", f"OFFSET {place if depth else '0 95 0'}"])
        lines.append("CHANNELS 3 Zrotation Xrotation Yrotation")
        below = [child for child, parent in enumerate(parents) if parent == node]
        for child in below:
            add(child, depth + 1)
        if not below:
            lines.extend(["End Site", "{", "OFFSET 0 1 0", "}"])
        lines.append("}")

    add(0, 0)
    rows = [" ".join(str((frame + node) % 7) for node in range(3 * len(names))) for frame in range(12)]
    return "\n".join([*lines, "MOTION", "Frames: 12", "Frame Time: 0.0333333", *rows]) + "\n"


def test_from_unknown_names_to_a_set(run, tmp_path):  # noqa: F811
    names, parents, meant = tree(MIXAMO)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.bvh").write_text(bvh(names, parents))
    mine = tmp_path / "mine.json"
    status, out, _ = run("data", "layout", tmp_path / "clips" / "a.bvh", "--out", mine)
    assert status == 0
    assert "mixamorig:LeftArm  left_shoulder" in out
    assert "mixamorig:LeftHandThumb1  left out" in out
    assert "unit: cm" in out
    assert "could not" not in out
    assert run("data", "prepare", tmp_path / "clips", "--layout", mine, "--out", tmp_path / "set")[0] == 0
    assert set(MotionSet.load(tmp_path / "set").layout.canonical) == {what for what in meant.values() if what}


def test_what_is_no_layout_to_draft(run, tmp_path):  # noqa: F811
    fails(run("data", "layout", tmp_path / "a.bvh"), "a.bvh")
    (tmp_path / "b.bvh").write_text(bvh(["Base", "Tip"], [-1, 0]))
    fails(run("data", "layout", tmp_path / "b.bvh", "--out", tmp_path / "b.txt"), "expected a name that ends in .json")
    fails(run("data", "layout", tmp_path / "b.bvh", "--out", tmp_path / "b.json"), "complete it by hand")
    assert json.loads((tmp_path / "b.json").read_text())["joints"] == []
