"""Windows of frames as they come are those that the same frames as a file are cut into."""

from dataclasses import replace

import numpy as np
import pytest

from airfast.data.live import PERSONS, LiveWindows, resampled
from airfast.data.readers.frames import Frame
from airfast.data.skeleton import canonical
from airfast.data.windows import cut
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout
from tests.conftest import on_layout

FPS = 20.0


@pytest.fixture(scope="module")
def clip(walkers):
    one = walkers.select([0])
    return replace(one, fps=np.array([FPS], np.float32))


def windows(made, frames):
    found = [made.add(frame) for frame in frames]
    return [each for each in found if each is not None] + list(made.finish())


def compared(found, motion, seconds, hop, atol=1e-6):
    wanted = cut(motion, seconds, hop)
    assert len(found) == len(wanted.motion)
    for i, each in enumerate(found):
        np.testing.assert_allclose(each.positions, wanted.motion.clip(i), atol=atol)
        assert each.start == pytest.approx(wanted.first[i] / FPS)
        assert each.end == pytest.approx((wanted.first[i] + wanted.motion.lengths[i]) / FPS)


@pytest.mark.parametrize(("seconds", "hop"), [(1.0, 0.25), (0.5, 0.5), (1.3, 0.45), (1000.0, 1.0)])
@pytest.mark.parametrize("timed", [False, True])
def test_the_same_windows_as_of_a_file(clip, seconds, hop, timed):
    frames = [Frame(each.astype(float), time=i / FPS if timed else None) for i, each in enumerate(clip.clip(0))]
    compared(windows(LiveWindows(clip.layout, FPS, seconds, hop), frames), clip, seconds, hop)


def test_frames_of_another_pace_are_put_on_the_windows(clip):
    moments = np.sort(np.random.default_rng(0).uniform(0, 3, 200))
    frames = [Frame(np.full((24, 3), moment), time=moment) for moment in moments]  # all joints move as the clock does
    for each in windows(LiveWindows(clip.layout, FPS, 1.0, 0.25), frames):
        np.testing.assert_allclose(each.positions[:, 3, 0], each.end - np.arange(20, 0, -1) / FPS, atol=0.02)


def test_lost_frames_and_joints_lie_on_a_line(clip):
    line = np.arange(40.0)[:, None, None] * np.ones((24, 3))
    frames = [Frame(each) for each in line]
    frames[5] = Frame(np.empty((0, 3)))
    frames[11].points[7] = np.nan
    found = windows(LiveWindows(clip.layout, FPS, 1.0, 1.0), frames)
    for i, each in enumerate(found):
        np.testing.assert_allclose(
            each.positions[:, :, 1], (np.arange(20.0) + 20 * i)[:, None] * np.ones(24), atol=1e-5
        )
    assert found[0].lost == pytest.approx((24 + 1) / (24 * 20))
    assert found[1].lost == 0


def test_where_too_much_is_lost_nothing_is_said_and_what_follows_is(clip):
    good = [Frame(each.astype(float)) for each in clip.clip(0)[:20]]
    gone = [Frame(np.empty((0, 3)))] * 11
    made = LiveWindows(clip.layout, FPS, 1.0, 1 / FPS)
    found = [made.add(frame) for frame in [*good, *gone, *good, *good]]
    said = [each is not None for each in found]
    assert said == [False] * 19 + [True] * 11 + [False] * (31 + 9 - 30) + [True] * 31
    without = [Frame(np.where(np.arange(24)[:, None] == 3, np.nan, each.points)) for each in good]
    assert windows(LiveWindows(clip.layout, FPS, 1.0, 0.5), without) == []  # one joint is never there


def test_a_joint_that_a_frame_does_not_name_is_lost(clip):
    names = clip.layout.joints
    frames = [Frame(each.astype(float), names) for each in clip.clip(0)[:20]]
    frames[4] = Frame(frames[4].points[:-1], names[:-1])
    (found,) = windows(LiveWindows(clip.layout, FPS, 1.0, 1.0), frames)
    assert found.lost == pytest.approx(1 / 480)
    np.testing.assert_allclose(found.positions[4, -1], (found.positions[3, -1] + found.positions[5, -1]) / 2, atol=1e-5)


def test_persons_are_kept_apart_and_forgotten(clip):
    made = LiveWindows(clip.layout, FPS, 1.0, 1.0)
    for i in range(40):
        for person, shift in (("a", 0.0), ("b", 5.0)):
            found = made.add(Frame(np.full((24, 3), i + shift), person=person, time=i / FPS))
            if found:
                np.testing.assert_allclose(found.positions[:, 0, 0], np.arange(i - 19, i + 1) + shift, atol=1e-4)
                assert found.person == person
    made.add(Frame(np.zeros((24, 3)), person="c", time=100.0))
    assert set(made.tracks) == {"c"}
    for i in range(PERSONS + 10):
        made.add(Frame(np.zeros((24, 3)), person=f"p{i}", time=100.0 + i / 1000))
    assert len(made.tracks) == PERSONS
    assert f"p{PERSONS + 9}" in made.tracks
    assert "p0" not in made.tracks


def test_memory_is_that_of_a_window(clip):
    made = LiveWindows(clip.layout, FPS, 1.0, 0.5)
    for i in range(1000):
        made.add(Frame(np.zeros((24, 3)), time=i / 100))  # five frames for each of the window's
    assert len(made.tracks[""].times) <= 102


def test_another_layout_becomes_the_canonical_joints(clip):
    there = on_layout(clip, "bandai")
    frames = [Frame(100 * each.astype(float), there.layout.joints) for each in there.clip(0)]
    made = LiveWindows(load_layout("canonical"), FPS, 1.0, 0.5, "bandai", "cm")
    compared(windows(made, frames), canonical(there), 1.0, 0.5, atol=1e-5)


def test_a_canonical_joint_is_lost_where_one_that_it_lies_between_is(clip):
    there = on_layout(clip, "gait16")  # without a spine of its own: it lies between
    frames = [Frame(np.full((16, 3), float(i)), there.layout.joints) for i in range(20)]
    frames[7].points[there.layout.joints.index("root")] = np.nan
    (found,) = windows(LiveWindows(load_layout("canonical"), FPS, 1.0, 1.0, "gait16", "m"), frames)
    np.testing.assert_allclose(found.positions[7], 7, atol=1e-5)
    assert found.lost > 1 / 480  # more than the root alone


def test_mediapipes_landmarks_need_no_options(clip):
    points = np.random.default_rng(0).normal(size=(20, 33, 3))
    made = LiveWindows(load_layout("canonical"), FPS, 1.0, 1.0)
    (found,) = windows(made, [Frame(each, mediapipe=True) for each in points])
    pelvis = (points[:, 23] + points[:, 24]) / 2 * [1, -1, -1]
    np.testing.assert_allclose(found.positions[:, 0], pelvis, atol=1e-5)


def test_linear_between_and_held_at_the_ends():
    joints = np.array([0.0, 10.0, np.nan, 40.0])[:, None, None] * np.ones((2, 3))
    joints[2, 1] = 20
    found, lost = resampled(np.arange(4.0), joints, np.array([-1, 0.5, 2, 5]), 0.6)
    np.testing.assert_allclose(found[:, :, 0], [[0, 0], [5, 5], [25, 20], [40, 40]])
    assert lost == pytest.approx(5 / 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0.0}, "fps: expected"),
        ({"seconds": 0.0}, "expected 0 < hop ≤ window"),
        ({"hop": 2.0}, "expected 0 < hop ≤ window"),
        ({"unit": "yard"}, "unit 'yard' is not one of"),
        ({"up": "w"}, "up 'w' is not one of"),
        ({"source": "nope"}, "unknown layout 'nope'"),
        ({"layout": load_layout("bandai"), "source": "kinect25"}, "frames on layout kinect25, but the run .* bandai"),
    ],
)
def test_wrong_settings(change, message):
    with pytest.raises(InputError, match=message):
        LiveWindows(**{"layout": load_layout("canonical"), "fps": 30.0, "seconds": 1.0, "hop": 0.5} | change)


def test_wrong_frames_leave_the_rest_alone(clip):
    made = LiveWindows(clip.layout, FPS, 1.0, 0.5)
    frames = [Frame(each.astype(float), time=i / FPS) for i, each in enumerate(clip.clip(0))]
    found = []
    for i, frame in enumerate(frames):
        for bad, message in (
            (Frame(np.zeros((25, 3)), time=i / FPS), r"expected 24 joints \(layout canonical\), found 25"),
            (Frame(np.zeros((1, 3)), ("pelvi",), time=i / FPS), "unknown joint 'pelvi', .* nearest is 'pelvis'"),
        ):
            with pytest.raises(InputError, match=message):
                made.add(bad)
        found.append(made.add(frame))
        with pytest.raises(InputError, match=r"expected a time after .* s, found -1"):
            made.add(Frame(np.zeros((24, 3)), time=-1.0))
    compared([each for each in found if each] + list(made.finish()), clip, 1.0, 0.5)
