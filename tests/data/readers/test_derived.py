"""Joints that a source does not have lie in the middle of those that it has."""

import numpy as np
import pytest

from airfast.data.readers.clip import Mending, SourceClip, to_layout
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout


def points(layout, seed=0):
    return np.random.default_rng(seed).normal(size=(4, len(layout.points), 3))


@pytest.mark.parametrize("name", ["coco17", "mediapipe33", "openpose18", "openpose25", "h36m17"])
def test_points_without_names_are_taken_in_the_layouts_order(name):
    layout = load_layout(name)
    given = points(layout)
    found = to_layout(SourceClip("a", given), layout, "m", "a")
    for j, joint in enumerate(layout.joints):
        sources = layout.derived.get(joint, (joint,))
        wanted = sum(given[:, layout.points.index(each)] for each in sources) / len(sources)
        np.testing.assert_allclose(found[:, j], wanted, atol=1e-6)


def test_the_pelvis_of_mediapipe_is_between_its_hips():
    layout = load_layout("mediapipe33")
    given = points(layout)
    found = to_layout(SourceClip("a", given), layout, "m", "a")
    np.testing.assert_allclose(found[:, layout.root], (given[:, 23] + given[:, 24]) / 2, atol=1e-6)  # by its numbers
    np.testing.assert_allclose(found[:, layout.joints.index("neck")], (given[:, 11] + given[:, 12]) / 2, atol=1e-6)


def test_a_joint_that_the_file_has_is_not_derived():
    layout = load_layout("openpose18")
    names = (*layout.points, "MidHip")
    given = np.concatenate([points(layout), np.full((4, 1, 3), 7.0)], axis=1)
    found = to_layout(SourceClip("a", given, names), layout, "m", "a")
    np.testing.assert_array_equal(found[:, layout.joints.index("MidHip")], 7)


def test_a_lost_point_is_a_gap_of_what_is_derived_from_it():
    layout = load_layout("coco17")
    given = points(layout)
    given[2, layout.points.index("left_hip")] = np.nan
    with pytest.raises(InputError, match=r"frame 2 \(from 0\), joint pelvis: .* --fill-gaps"):
        to_layout(SourceClip("a", given), layout, "m", "a")


def test_what_it_is_derived_from_must_be_there():
    layout = load_layout("coco17")
    kept = [name for name in layout.points if name != "left_ear"]
    with pytest.raises(InputError, match="joint 'left_ear' of layout coco17 is missing"):
        to_layout(SourceClip("a", points(layout)[:, : len(kept)], tuple(kept)), layout, "m", "a")
    with pytest.raises(InputError, match=r"expected 17 joints \(layout coco17\), found 16"):
        to_layout(SourceClip("a", points(layout)[:, :16]), layout, "m", "a")


def test_the_axis_that_a_file_names_points_up_unless_the_user_says_another():
    layout = load_layout("h36m17")
    given = points(layout)
    down = to_layout(SourceClip("a", given, up="-y"), layout, "m", "a")
    as_it_is = given[:, [layout.points.index(joint) for joint in layout.joints]]
    np.testing.assert_allclose(down, as_it_is * [1, -1, -1], atol=1e-6)
    said = to_layout(SourceClip("a", given, up="-y"), layout, "m", "a", Mending(up="y"))
    np.testing.assert_allclose(said, as_it_is, atol=1e-6)
