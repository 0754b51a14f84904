import numpy as np
import pytest

from airfast.data.readers.clip import SourceClip, to_layout
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout

LAYOUT = load_layout("perception24")


def clip(names=LAYOUT.joints, frames=3, **changes):
    positions = np.arange(frames * len(names) * 3, dtype=np.float64).reshape(frames, len(names), 3)
    return SourceClip("c", positions, tuple(names), **changes)


def test_joints_are_reordered_and_scaled():
    backwards = clip(LAYOUT.joints[::-1])
    found = to_layout(backwards, LAYOUT, "cm", "x")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, backwards.positions[:, ::-1] / 100, rtol=1e-6)


def test_dropped_joints_and_nameless_ends_are_left_out():
    extra = ("RightHandThumb1", "LeftInHandIndex", "LeftHandPinky3_end", "RightHand_end")
    with_fingers = clip(extra + LAYOUT.joints)
    np.testing.assert_allclose(to_layout(with_fingers, LAYOUT, "m", "x"), with_fingers.positions[:, 4:])


def test_aliases_name_joints():
    canonical = load_layout("canonical")
    names = list(canonical.aliases)
    np.testing.assert_allclose(to_layout(clip(names), canonical, "m", "x"), clip(names).positions)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            clip((*LAYOUT.joints, "RightFot")),
            "x: unknown joint 'RightFot', not in layout perception24, nearest is 'RightFoot'",
        ),
        (clip(LAYOUT.joints[1:]), "x: joint 'Hips' of layout perception24 is missing"),
        (clip((*LAYOUT.joints, "Hips")), "x: joint 'Hips' is given twice"),
        (clip(frames=1), "x: expected at least 2 frames, found 1"),
        (clip(frames=0), "x: expected at least 2 frames, found 0"),
        (SourceClip("c", np.zeros((3, 5, 3))), r"x: expected 24 joints \(layout perception24\), found 5"),
    ],
)
def test_clips_that_do_not_fit(source, message):
    with pytest.raises(InputError, match=message):
        to_layout(source, LAYOUT, "m", "x")


def test_a_position_that_is_not_finite_names_frame_and_joint():
    source = clip()
    source.positions[2, 1, 0] = np.inf
    with pytest.raises(
        InputError, match=r"x: frame 2 \(from 0\), joint RightUpLeg: expected a finite position, found \["
    ):
        to_layout(source, LAYOUT, "m", "x")


@pytest.mark.parametrize(
    ("value", "unit", "passes"),
    [
        (1e39, "m", False),
        (1e300, "mm", False),
        (-1e12, "m", False),
        (10_001, "m", False),
        (9_999, "m", True),
        (1e6, "cm", True),
        (1.1e6, "cm", False),
    ],
)
def test_a_position_nobody_can_be_at_is_refused_before_it_is_cast(value, unit, passes):
    far = clip()
    far.positions[2, 5, 1] = value
    if passes:
        assert to_layout(far, LAYOUT, unit, "x")[2, 5, 1] == pytest.approx(value * {"m": 1, "cm": 0.01}[unit])
        return
    place = rf"x: frame 2 \(from 0\), joint {LAYOUT.joints[5]}: expected at most 10000 m"
    with pytest.raises(InputError, match=rf"{place} from the origin, found {value:g} {unit}".replace("+", r"\+")):
        to_layout(far, LAYOUT, unit, "x")
