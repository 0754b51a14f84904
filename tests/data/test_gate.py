"""The gate: each thing that goes wrong with people's files is found, by what it names; what is merely rare is not."""

import dataclasses

import numpy as np
import pytest

from airfast.data.describe import describe
from airfast.data.gate import findings, summary
from airfast.data.motion import MotionSet
from airfast.data.prepare import prepare
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout


@pytest.fixture(scope="module")
def bodies(walkers):
    """Six walkers of the canonical layout; their hips and hands move, and none of them is odd."""
    return walkers.select(range(6))


def changed(bodies, change, which=0, fps=None):
    """The set with one clip as ``change`` makes it."""
    clips = [bodies.clip(i).copy() for i in range(len(bodies))]
    clips[which] = change(clips[which]).astype(np.float32)
    rates = bodies.fps.copy()
    if fps:
        rates[which] = fps
    lengths = np.array([len(clip) for clip in clips])
    return dataclasses.replace(bodies, positions=np.concatenate(clips), lengths=lengths, fps=rates)


def blank(first, last):
    def change(clip):
        clip[first:last] = 0
        return clip

    return change


def joints(*names):
    return [load_layout("canonical").joints.index(name) for name in names]


def with_jump(clip):
    clip[10:, joints("left_hand")[0]] += 0.8
    return clip


def stretched(clip):
    return clip * np.linspace(0.5, 1.6, len(clip))[:, None, None]


def uneven(clip):
    left = [j for j, name in enumerate(load_layout("canonical").joints) if name.startswith("left")]
    root = clip[:, [0]]
    clip[:, left] = root + 1.7 * (clip[:, left] - root)
    return clip


def padded(clip):
    return np.concatenate([clip, 0 * clip[:30]])


def swapped(clip):
    return clip[:, list(load_layout("canonical").mirror)]


CASES = {
    "lost sensor": (blank(20, 30), "lost body", (20, 29), "10 of ", ""),
    "zero padding": (padded, "padding", None, "the last 30 of ", "--trim-empty"),
    "late start": (blank(0, 5), "late start", (0, 4), "the first 5 of ", "--trim-empty"),
    "second person": (lambda clip: 0 * clip, "no body", None, "every joint at one point", "--on-bad-file skip"),
    "still": (lambda clip: np.repeat(clip[:1], 40, 0), "no motion", None, "all 40 frames are the same", ""),
    "z up": (lambda clip: clip[:, :, [0, 2, 1]] * [1, -1, 1], "lying", None, "along z it goes most", "--up z"),
    "upside down": (lambda clip: clip * [1, -1, -1], "upside down", None, "along -y it goes most", "--up -y"),
    "inches": (lambda clip: clip / 0.0254, "body size", None, "m if the files are in inch", "--unit inch"),
    "feet": (lambda clip: clip / 0.3048, "body size", None, "m if the files are in ft", "--unit ft"),
    "ten times too small": (lambda clip: clip / 5, "body size", None, "m across at unit m", "--scale"),
    "one at another scale": (lambda clip: clip * 0.42, "other scale", None, "the set's median is", "--scale"),
    "wrong order": (lambda clip: np.roll(clip, 5, axis=1), "unlike sides", None, "differ by a factor of", "--layout"),
    "stretching": (stretched, "stretching bones", None, "of their length", "--layout"),
    "uneven": (uneven, "unlike sides", None, "differ by a factor of 1.7", "--layout"),
    "left for right": (swapped, "swapped sides", None, "point backwards", "--layout"),
    "a jump": (with_jump, "jumps", (9, 10), "m/s between two frames, 1 times over 15", ""),
    "short": (lambda clip: clip[:5], "short", None, "5 frames, fewer than 8", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_found_named_and_mended(bodies, name):
    change, kind, frames, seen, mend = CASES[name]
    found = {each.kind: each for each in findings(changed(bodies, change, 2))}
    assert kind in found, found
    assert {each.clip for each in found.values()} == {bodies.names[2]}
    assert frames is None or found[kind].frames == frames
    assert seen in found[kind].seen
    assert found[kind].mend == mend


@pytest.mark.parametrize(("fps", "seen"), [(0.0333, "a frame of 0.0333 ms"), (2000, "2000 frames a second")])
def test_frame_rates_nobody_records_at(bodies, fps, seen):
    odd = changed(bodies, lambda clip: clip[::40] if fps > 500 else clip, 1, fps)
    (found,) = [each for each in findings(odd) if each.kind == "frame rate"]
    assert seen in found.seen
    assert found.mend == "--fps"


CONTROLS = {
    "as it is": lambda clip: clip,
    "a child of 0.9 m": lambda clip: clip * (0.9 / np.ptp(clip[:, :, 1], axis=1).max()),
    "frozen for a second": lambda clip: np.concatenate([clip[:20], np.repeat(clip[20:21], 60, 0), clip[20:]]),
    "turning": lambda clip: clip @ np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    "a Kinect's noise": lambda clip: clip + np.random.default_rng(0).normal(size=clip.shape) * 0.005,
    "far from the origin": lambda clip: clip + np.array([30, 0, -20]),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_merely_rare_is_not(bodies, name):
    assert findings(changed(bodies, CONTROLS[name], 3)) == []


@pytest.mark.parametrize("kind", ["bandai", "kinect25", "gait16", "xsens28", "perception24"])
def test_people_on_other_layouts_are_not_odd(walkers, kind):
    from tests.conftest import on_layout

    assert findings(on_layout(walkers.select(range(4)), kind)) == []


@pytest.fixture
def folder(bodies, tmp_path):
    """A function from clips to a folder of arrays."""

    def make(clips):
        place = tmp_path / "files"
        place.mkdir()
        for i, clip in enumerate(clips):
            np.save(place / f"{i}.npy", clip)
        return place

    return make


def test_findings_are_kept_shown_and_may_be_refused(bodies, folder, tmp_path):
    lying = bodies.clip(1)[:, :, [0, 2, 1]] * [1, -1, 1]
    clips = [bodies.clip(0), lying, np.concatenate([bodies.clip(2), np.zeros((9, 24, 3))])]
    place = folder(clips)
    report = prepare(place, "canonical", tmp_path / "set", fps=30, unit="m")
    assert {(each.clip, each.kind) for each in report.findings} == {("1.npy", "lying"), ("2.npy", "padding")}
    held = MotionSet.load(tmp_path / "set")
    lines = summary(held.info["findings"])
    assert [line for line in describe(held)["warnings"] if line in lines] == lines
    count = len(clips[2])
    ends = f"frames {count - 9} to {count - 1}: the last 9 of {count} frames hold no body"
    assert f"padding: 2.npy, {ends} [--trim-empty]" in lines
    with pytest.raises(InputError, match=r"2 findings, which --strict refuses; the first: lying: 1\.npy"):
        prepare(place, "canonical", tmp_path / "no", fps=30, unit="m", strict=True)
    assert not (tmp_path / "no").exists()


def test_classes_that_differ_in_case_alone(bodies, folder, tmp_path):
    place = folder([bodies.clip(i) for i in range(3)])
    (tmp_path / "l.csv").write_text("file,label\n0,Happy\n1, happy \n2,sad\n")
    (found,) = prepare(place, "canonical", tmp_path / "set", tmp_path / "l.csv", fps=30, unit="m").findings
    assert (found.kind, found.clip, found.seen) == (
        "class names",
        "1.npy",
        "labelled 'happy', where others are 'Happy'",
    )


def test_mending_is_what_was_asked_for(bodies, folder, tmp_path):
    clip = bodies.clip(0).astype(np.float64)
    turned = np.concatenate([np.zeros((3, 24, 3)), (clip / 0.0254)[:, :, [0, 2, 1]] * [1, -1, 1], np.zeros((4, 24, 3))])
    lost = turned.copy()
    lost[10:12, 5] = np.nan
    place = folder([lost])
    with pytest.raises(InputError, match=r"frame 10 .*; --fill-gaps N"):
        prepare(place, "canonical", tmp_path / "a", fps=30, unit="inch")
    with pytest.raises(InputError, match="frame 10"):
        prepare(place, "canonical", tmp_path / "a", fps=30, unit="inch", fill_gaps=1)
    made = prepare(place, "canonical", tmp_path / "a", fps=30, unit="inch", up="z", fill_gaps=2, trim_empty=True)
    assert made.findings == []
    expected = clip.copy()
    for step, frame in enumerate((7, 8), start=1):  # frames 10 and 11 of the file
        expected[frame, 5] = clip[6, 5] + step / 3 * (clip[9, 5] - clip[6, 5])
    np.testing.assert_allclose(made.motion.positions, expected, atol=1e-5)
    options = {"up": "z", "fill_gaps": 2, "trim_empty": True, "scale": 0.5}
    half = prepare(place, "canonical", tmp_path / "b", fps=30, unit="inch", **options)
    np.testing.assert_allclose(half.motion.positions, expected / 2, atol=1e-5)


@pytest.mark.parametrize("up", ["y", "-y", "z", "-z", "x", "-x"])
def test_turning_an_axis_up_mirrors_nobody(up):
    from airfast.data.readers.clip import UP

    matrix = np.array(UP[up])
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1 if up.startswith("-") else 1
    assert (matrix @ axis).tolist() == [0, 1, 0]
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"up": "w"}, "up 'w' is not one of y, -y"),
        ({"scale": 0}, "scale: expected above 0"),
        ({"fill_gaps": -1}, "fill-gaps: 0 or more"),
        ({"unit": "yard"}, "m, cm, mm, inch, ft"),
    ],
)
def test_wrong_options_are_one_line(folder, bodies, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        prepare(folder([bodies.clip(0)]), "canonical", tmp_path / "set", fps=30, **({"unit": "m"} | change))


def crawling(clip):
    """The body turned forwards about its hips, face down; on hands and knees it would lie no less."""
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float32)
    return (clip - clip[:, [0]]) @ turn + clip[:, [0]] * [1, 0.5, 1]


def test_nobody_is_refused_for_being_rare(bodies, folder, tmp_path):
    """A crawling body, a frozen sensor, a child and mixed frame rates in one set: in, and at most said to be odd."""
    child, frozen = CONTROLS["a child of 0.9 m"], CONTROLS["frozen for a second"]
    clips = [crawling(bodies.clip(0)), frozen(bodies.clip(1)), child(bodies.clip(2)), bodies.clip(3)]
    place = folder(clips)
    (tmp_path / "l.csv").write_text("file,label,fps\n0,a,30\n1,a,30\n2,b,120\n3,b,24\n")
    report = prepare(place, "canonical", tmp_path / "set", tmp_path / "l.csv", unit="m")
    assert report.motion.fps.tolist() == [30, 30, 120, 24]
    for i, clip in enumerate(clips):
        np.testing.assert_allclose(report.motion.clip(i), clip, atol=1e-5)
    assert {(each.clip, each.kind) for each in report.findings} <= {("0.npy", "lying"), ("2.npy", "jumps")}
