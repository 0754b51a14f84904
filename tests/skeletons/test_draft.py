"""Layouts drafted from the joints that programs write: hierarchies as their documentation and exports have them."""

import json

import pytest

from airfast.skeletons.draft import draft, said_by
from airfast.skeletons.layout import layout_from_record, load_layout

MIXAMO = """
mixamorig:Hips pelvis
 mixamorig:Spine spine1
  mixamorig:Spine1 spine2
   mixamorig:Spine2 spine3
    mixamorig:Neck neck
     mixamorig:Head head
      mixamorig:HeadTop_End
    mixamorig:LeftShoulder left_collar
     mixamorig:LeftArm left_shoulder
      mixamorig:LeftForeArm left_elbow
       mixamorig:LeftHand left_wrist
        mixamorig:LeftHandThumb1
         mixamorig:LeftHandThumb2
        mixamorig:LeftHandIndex1
    mixamorig:RightShoulder right_collar
     mixamorig:RightArm right_shoulder
      mixamorig:RightForeArm right_elbow
       mixamorig:RightHand right_wrist
        mixamorig:RightHandRing1
 mixamorig:LeftUpLeg left_hip
  mixamorig:LeftLeg left_knee
   mixamorig:LeftFoot left_ankle
    mixamorig:LeftToeBase left_foot
     mixamorig:LeftToe_End
 mixamorig:RightUpLeg right_hip
  mixamorig:RightLeg right_knee
   mixamorig:RightFoot right_ankle
    mixamorig:RightToeBase right_foot
"""
CMU = """
Hips pelvis
 LHipJoint
  LeftUpLeg left_hip
   LeftLeg left_knee
    LeftFoot left_ankle
     LeftToeBase left_foot
 RHipJoint
  RightUpLeg right_hip
   RightLeg right_knee
    RightFoot right_ankle
     RightToeBase right_foot
 LowerBack spine1
  Spine spine2
   Spine1 spine3
    Neck neck
     Neck1 -
      Head head
    LeftShoulder left_collar
     LeftArm left_shoulder
      LeftForeArm left_elbow
       LeftHand left_wrist
        LeftFingerBase
         LeftHandIndex1
        LThumb
    RightShoulder right_collar
     RightArm right_shoulder
      RightForeArm right_elbow
       RightHand right_wrist
        RightFingerBase
        RThumb
"""
LAFAN1 = """
Hips pelvis
 LeftUpLeg left_hip
  LeftLeg left_knee
   LeftFoot left_ankle
    LeftToe left_foot
 RightUpLeg right_hip
  RightLeg right_knee
   RightFoot right_ankle
    RightToe right_foot
 Spine spine1
  Spine1 spine2
   Spine2 spine3
    Neck neck
     Head head
    LeftShoulder left_collar
     LeftArm left_shoulder
      LeftForeArm left_elbow
       LeftHand left_wrist
    RightShoulder right_collar
     RightArm right_shoulder
      RightForeArm right_elbow
       RightHand right_wrist
"""
ROKOKO = """
Hips pelvis
 Spine1 spine1
  Spine2 spine2
   Spine3 -
    Spine4 spine3
     Neck neck
      Head head
     LeftShoulder left_collar
      LeftArm left_shoulder
       LeftForeArm left_elbow
        LeftHand left_wrist
     RightShoulder right_collar
      RightArm right_shoulder
       RightForeArm right_elbow
        RightHand right_wrist
 LeftThigh left_hip
  LeftShin left_knee
   LeftFoot left_ankle
    LeftToe left_foot
 RightThigh right_hip
  RightShin right_knee
   RightFoot right_ankle
    RightToe right_foot
"""
BIPED = """
Bip01
 Bip01 Pelvis pelvis
  Bip01 Spine spine1
   Bip01 L Thigh left_hip
    Bip01 L Calf left_knee
     Bip01 L Foot left_ankle
      Bip01 L Toe0 left_foot
   Bip01 R Thigh right_hip
    Bip01 R Calf right_knee
     Bip01 R Foot right_ankle
      Bip01 R Toe0 right_foot
   Bip01 Spine1 spine3
    Bip01 Neck neck
     Bip01 Head head
      Bip01 Ponytail1
     Bip01 L Clavicle left_collar
      Bip01 L UpperArm left_shoulder
       Bip01 L Forearm left_elbow
        Bip01 L Hand left_wrist
         Bip01 L Finger0
     Bip01 R Clavicle right_collar
      Bip01 R UpperArm right_shoulder
       Bip01 R Forearm right_elbow
        Bip01 R Hand right_wrist
"""
DAZ = """
hip pelvis
 abdomen spine1
  chest spine3
   neck neck
    head head
     leftEye
   lCollar left_collar
    lShldr left_shoulder
     lForeArm left_elbow
      lHand left_wrist
       lThumb1
   rCollar right_collar
    rShldr right_shoulder
     rForeArm right_elbow
      rHand right_wrist
 lButtock
  lThigh left_hip
   lShin left_knee
    lFoot left_ankle
 rButtock
  rThigh right_hip
   rShin right_knee
    rFoot right_ankle
"""
UNREAL = """
root
 pelvis pelvis
  spine_01 spine1
   spine_02 spine2
    spine_03 spine3
     neck_01 neck
      head head
     clavicle_l left_collar
      upperarm_l left_shoulder
       upperarm_twist_01_l
       lowerarm_l left_elbow
        lowerarm_twist_01_l
        hand_l left_wrist
         thumb_01_l
     clavicle_r right_collar
      upperarm_r right_shoulder
       lowerarm_r right_elbow
        hand_r right_wrist
  thigh_l left_hip
   thigh_twist_01_l
   calf_l left_knee
    foot_l left_ankle
     ball_l left_foot
  thigh_r right_hip
   calf_r right_knee
    foot_r right_ankle
     ball_r right_foot
 ik_foot_root
  ik_foot_l
"""
BLENDER = """
pelvis pelvis
 spine spine3
  neck neck
   head head
  upper_arm.L left_shoulder
   forearm.L left_elbow
    hand.L left_wrist
     f_index.01.L
  upper_arm.R right_shoulder
   forearm.R right_elbow
    hand.R right_wrist
 thigh.L left_hip
  shin.L left_knee
   foot.L left_ankle
    toe.L left_foot
 thigh.R right_hip
  shin.R right_knee
   foot.R right_ankle
    toe.R right_foot
"""
FILES = {
    "Mixamo": MIXAMO, "CMU": CMU, "LAFAN1": LAFAN1, "Rokoko": ROKOKO, "Biped": BIPED, "DAZ": DAZ, "Unreal": UNREAL,
    "Blender": BLENDER,
}  # fmt: skip


def tree(text):
    """Names, parents and what each is ("" is left out, "-" kept without a canonical name)."""
    names, parents, meant, stack = [], [], {}, []
    for line in text.strip("\n").splitlines():
        depth = len(line) - len(line.lstrip())
        name, what = line.strip(), ""
        last = name.rpartition(" ")[2]
        if (last in load_layout("canonical").joints and last != name) or last == "-":
            name, what = name.rpartition(" ")[0], last
        del stack[depth:]
        names.append(name)
        parents.append(stack[-1] if stack else -1)
        meant[name] = what
        stack.append(len(names) - 1)
    return names, parents, meant


@pytest.mark.parametrize("program", FILES)
def test_the_draft_is_accepted_as_it_is(program):
    names, parents, meant = tree(FILES[program])
    found = draft(names, parents, 172.0)
    assert found.doubts == ()
    assert found.matched == {name: what for name, what in meant.items() if what not in ("", "-")}
    layout = layout_from_record(json.loads(json.dumps(found.record)), program)
    assert set(layout.joints) == {name for name, what in meant.items() if what}
    assert layout.unit == "cm"
    assert [layout.canonical[i] for i in layout.shoulders] == ["left_shoulder", "right_shoulder"]
    for joint, what in enumerate(layout.canonical):
        twin = layout.canonical[layout.mirror[joint]]
        swap = {"left": "right", "right": "left"}
        side, _, rest = (what or "").partition("_")
        assert twin == (f"{swap[side]}_{rest}" if side in swap else what)
        part = layout.low_names[layout.low[joint]]
        assert (side in swap and "collar" not in rest) == part.startswith(("left", "right"))
    assert len(set(layout.low)) == 10


@pytest.mark.parametrize("name", ["bandai", "canonical", "perception24", "xsens28"])
def test_the_draft_of_a_shipped_layout_is_that_layout(name):
    shipped = load_layout(name)
    found = draft(shipped.joints, shipped.parents, 1 / 0.6)
    wanted = {joint: canonical for joint, canonical in zip(shipped.joints, shipped.canonical, strict=True) if canonical}
    if name == "xsens28":  # a hand is not told from the End Site of a wrist
        wanted = {joint: canonical for joint, canonical in wanted.items() if not canonical.endswith("hand")}
    assert found.matched == wanted
    layout = layout_from_record(found.record, name)
    assert layout.unit == "m"
    for joint in layout.joints:
        here, there = layout.joints.index(joint), shipped.joints.index(joint)
        assert layout.low_names[layout.low[here]] == shipped.low_names[shipped.low[there]]
        assert layout.joints[layout.mirror[here]] == shipped.joints[shipped.mirror[there]]


def test_what_cannot_be_told_is_listed():
    names, parents, _ = tree(LAFAN1)
    found = draft([name.replace("RightForeArm", "Bone07") for name in names], parents, 40.0)
    assert "LeftShoulder is taken for left_collar, and there is no right_collar" in found.doubts
    assert "Bone07, above RightHand (right_wrist)" in found.doubts
    assert any("the unit" in doubt and "40" in doubt for doubt in found.doubts)
    assert len(draft(["a", "b"], [-1, 0]).doubts) == 15  # fourteen joints that are needed, and the unit


@pytest.mark.parametrize(
    ("size", "unit"), [(1.7, "m"), (170, "cm"), (1700, "mm"), (66, "inch"), (5.6, "ft"), (25.0, None), (None, None)]
)
def test_the_unit_is_that_in_which_the_body_is_a_persons(size, unit):
    found = draft(*tree(LAFAN1)[:2], size)
    assert found.record["unit"] == (unit or "cm")
    assert bool(found.doubts) == (unit is None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LeftUpLeg", ("left", "upleg")),
        ("lShldr", ("left", "shldr")),
        ("upper_arm.R", ("right", "upperarm")),
        ("LHipJoint", ("left", "hipjoint")),
        ("leftarm", ("left", "arm")),
        ("rthigh", ("right", "thigh")),
        ("Leg", ("", "leg")),
        ("LowerBack", ("", "lowerback")),
        ("Root", ("", "root")),
    ],
)
def test_names_are_taken_apart(name, said):
    assert said_by(name) == said
