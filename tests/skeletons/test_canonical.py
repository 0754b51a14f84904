import numpy as np
import pytest

from airfast.errors import InputError
from airfast.skeletons.canonical import canonical_joints
from airfast.skeletons.layout import known_layouts, layout_from_record, load_layout

CANONICAL = load_layout("canonical")


@pytest.mark.parametrize("name", sorted({*known_layouts()} - {"imigue22"}))
def test_named_joints_are_taken_as_they_are(name):
    layout = load_layout(name)
    weights, lacking = canonical_joints(layout, CANONICAL)
    assert weights.shape == (24, len(layout.joints))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    for row, joint in zip(weights, CANONICAL.joints, strict=True):
        if joint in layout.canonical:
            assert row[layout.canonical.index(joint)] == 1
        else:
            assert joint in lacking
    assert set(lacking) == set(CANONICAL.joints) - set(layout.canonical)


def test_lacking_joints_lie_between_or_on_their_neighbours():
    layout = load_layout("bandai")  # lacks spine2 and the hands
    weights, lacking = canonical_joints(layout, CANONICAL)
    assert lacking == ("spine2", "left_hand", "right_hand")

    def row(joint):
        return {layout.joints[i]: float(w) for i, w in enumerate(weights[CANONICAL.joints.index(joint)]) if w}

    assert row("spine2") == {"Spine": 0.5, "Chest": 0.5}
    assert row("left_hand") == {"Hand_L": 1}
    # gait16 has spine2, neck and shoulders and nothing between: spine3 is halfway to the mean of those three
    layout = load_layout("gait16")
    weights, _ = canonical_joints(layout, CANONICAL)
    assert row("spine3") == pytest.approx({"spine": 1 / 2, "neck": 1 / 6, "l_shoulder": 1 / 6, "r_shoulder": 1 / 6})


def test_an_upper_body_has_no_canonical_legs():
    with pytest.raises(InputError, match="layout imigue22: canonical joint 'left_hip' has no joint of it above or be"):
        canonical_joints(load_layout("imigue22"), CANONICAL)


def test_a_layout_that_names_no_canonical_joint():
    record = load_layout("gait16").record()
    for row in record["joints"]:
        row["canonical"] = None
    with pytest.raises(InputError, match="do not name canonical joints"):
        canonical_joints(layout_from_record(record, "mine"), CANONICAL)
