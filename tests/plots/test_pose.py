import numpy as np
import pytest

from airfast.plots.pose import AZIMUTH, ELEVATION, middle_joint, seen_from_the_side, spread


def test_the_view_turns_every_clip_alike_and_follows_the_root(walkers):
    clip = walkers.clip(0)
    quarter = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], dtype=np.float32)  # about y
    moved = clip @ quarter + np.array([3, 0, -2], dtype=np.float32)
    flat = seen_from_the_side(clip, walkers.layout)
    assert flat.shape == (*clip.shape[:2], 2)
    np.testing.assert_allclose(flat, seen_from_the_side(moved, walkers.layout), atol=1e-4)  # metres
    np.testing.assert_allclose(flat[:, walkers.layout.root, 0], 0, atol=1e-6)


def test_left_is_on_the_viewers_right_and_forward_comes_nearer(walkers):
    layout = walkers.layout
    body = np.zeros((1, len(layout.joints), 3), dtype=np.float32)
    left, right = layout.shoulders
    body[0, left, 0], body[0, right, 0] = 0.2, -0.2
    nose = layout.joints.index("head")
    body[0, nose] = 0, 0, 0.1  # ahead: z where left is x and up is y
    flat = seen_from_the_side(body, layout)[0]
    assert flat[left, 0] == pytest.approx(0.2 * np.cos(AZIMUTH))
    assert flat[nose, 0] == pytest.approx(0.1 * np.sin(AZIMUTH))
    assert flat[nose, 1] == pytest.approx(-0.1 * np.cos(AZIMUTH) * np.sin(ELEVATION))  # seen from above


def test_labels_are_spread_downwards_only_where_they_must():
    assert spread(np.array([1.0, 0.95, 0.2]), 0.25) == pytest.approx([1.0, 0.75, 0.2])


def test_middle_joint_is_one_of_the_joints():
    joints = np.array([[0, 0], [1, 0.1], [2, 0]], dtype=np.float32)
    assert middle_joint(joints).tolist() == joints[1].tolist()
