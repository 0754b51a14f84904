"""What every clip is looked at for when it is prepared: nothing wrong goes in silently, nothing is mended by guess."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airfast.data.motion import MotionSet
from airfast.data.splits import clip_key, declared_sides, leaks
from airfast.skeletons.layout import METRES, Layout

Positions = NDArray[np.float32]

POINT = 1e-6  # metres: joints closer together than this are at one point
HEIGHTS = (0.5, 2.6)  # metres, of a body's longest side: below a child of one year, above every adult with raised arms
USUAL = (1.0, 2.2)  # metres: what a guessed unit must give
UPRIGHT = 0.3  # share of the way from hips to head that goes up: a sitting or bent person has more in most frames
RATES = (5, 500)  # frames a second
SHORT = 8  # frames
FASTEST = 15.0  # m/s: a hand in a pitch
STRETCH = 0.5  # of a bone's length between its 5th and 95th percentile, the median over bones; a Kinect stays below
UNLIKE = 1.3  # ratio of a left and a right bone, the median over pairs
OTHER_SCALE = 2.0  # ratio of a clip's body to the median of the set
MOST = 0.9  # share of the frames that must say so


@dataclass(frozen=True)
class Finding:
    """One thing that is odd about a clip.

    Attributes:
        kind: what, in a few words, the same for every clip that has it.
        clip: the clip's name.
        frames: first and last frame (from 0); None for the whole clip.
        seen: what was seen, with figures.
        mend: the option of ``airfast data prepare`` that mends it; empty where none does.
    """

    kind: str
    clip: str
    frames: tuple[int, int] | None
    seen: str
    mend: str


def findings(motion: MotionSet, unit: str = "m") -> list[Finding]:
    """Everything odd about the clips of a set.

    Args:
        motion: the set, in metres.
        unit: what its files were said to be in, for a guess of what they are in.
    """
    sizes = np.array([body_size(motion.clip(i)) for i in range(len(motion))])
    usual = float(np.median(sizes[sizes > POINT])) if (sizes > POINT).any() else 0.0
    found = []
    for i, name in enumerate(motion.names):
        clip = motion.clip(i)
        there = ~empty_frames(clip)
        fps = float(motion.fps[i])
        odd = [*empty(clip, ~there), *rate(fps, len(clip))]
        if there.any():
            whole = clip[there]
            lying = list(posture(whole, motion.layout))
            odd += [*size(float(sizes[i]), usual, unit), *lying, *bones(whole, motion.layout)]
            odd += [] if lying else sides(whole, motion.layout)  # which way is ahead cannot be told before which is up
            odd += jumps(clip, there, fps)
        found += [Finding(kind, name, frames, seen, mend) for kind, frames, seen, mend in odd]
    return found


def class_names(motion: MotionSet) -> list[Finding]:
    """Classes that differ in nothing but case, blanks or marks between words: one class, most likely."""
    spelt: dict[str, list[str]] = {}
    for name in motion.classes:
        spelt.setdefault("".join(each for each in name.casefold() if each.isalnum()), []).append(name)
    found = []
    for first, *others in spelt.values():
        for name in others:
            clip = motion.names[int((motion.labels == motion.classes.index(name)).argmax())]
            found.append(Finding("class names", clip, None, f"labelled {name!r}, where others are {first!r}", ""))
    return found


def copies(motion: MotionSet) -> list[Finding]:
    """Clips that are others, number for number."""
    seen: dict[bytes, int] = {}
    found = []
    for i, name in enumerate(motion.names):
        first = seen.setdefault(clip_key(motion, i), i)
        if first != i:
            found.append(Finding("copy", name, None, f"number for number {motion.names[first]}", ""))
    return found


def leaking(motion: MotionSet) -> list[Finding]:
    """What the sides of the split that the source declares share."""
    learnt, tested = declared_sides(motion)
    if not len(learnt) or not len(tested):
        return []
    found = []
    for line in leaks(motion, learnt, tested):
        what = next(each for each in ("subject", "group", "recording", "clip") if each in line)
        found.append(Finding(f"declared split shares {what}s", motion.names[tested[0]], None, line, ""))
    return found


Odd = Iterator[tuple[str, tuple[int, int] | None, str, str]]


def empty_frames(clip: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(T,) whether all joints of a frame are at one point: the sensor had lost the body."""
    lost: NDArray[np.bool_] = np.ptp(clip, axis=1).max(axis=1) < POINT
    return lost


def empty(clip: Positions, lost: NDArray[np.bool_]) -> Odd:
    """Frames without a body, and a body that does not move at all."""
    if lost.all():
        yield "no body", None, f"all {len(clip)} frames have every joint at one point", "--on-bad-file skip"
        return
    first, last = (int(np.flatnonzero(~lost)[end]) for end in (0, -1))
    count = len(lost)
    if first:
        yield "late start", (0, first - 1), f"the first {first} of {count} frames hold no body", "--trim-empty"
    if last < count - 1:
        seen = f"the last {count - 1 - last} of {count} frames hold no body"
        yield "padding", (last + 1, count - 1), seen, "--trim-empty"
    within = first + np.flatnonzero(lost[first:last])
    if len(within):
        ends = (int(within[0]), int(within[-1]))
        yield "lost body", ends, f"{len(within)} of {count} frames have every joint at one point", ""
    if count > 1 and not np.ptp(clip, axis=0).any():
        yield "no motion", None, f"all {count} frames are the same", ""


def rate(fps: float, frames: int) -> Odd:
    """Frame rates nobody records at, and clips too short to be one."""
    low, high = RATES
    if not low <= fps <= high:
        guess = f" (a frame of {fps:g} ms would be {1000 / fps:g} fps)" if fps < low else ""
        yield "frame rate", None, f"{fps:g} frames a second, outside {low} to {high}{guess}", "--fps"
    if frames < SHORT:
        yield "short", None, f"{frames} frames, fewer than {SHORT}", ""


def body_size(clip: Positions) -> float:
    """Metres: the longest side of the body's box, the median over the frames that hold one; 0 for none."""
    box = np.ptp(clip, axis=1).max(axis=1)
    return float(np.median(box[box > POINT])) if (box > POINT).any() else 0.0


def size(found: float, usual: float, unit: str) -> Odd:
    """A body that is no person's size at the claimed unit, or another than the rest of the set."""
    low, high = HEIGHTS
    if not low <= found <= high:
        guesses = {name: found / METRES[unit] * metres for name, metres in METRES.items() if name != unit}
        likely = [name for name, metres in guesses.items() if USUAL[0] <= metres <= USUAL[1]]
        guess = f"; {guesses[likely[0]]:.2f} m if the files are in {likely[0]}" if likely else ""
        mend = f"--unit {likely[0]}" if likely else "--scale"
        yield "body size", None, f"{found:.3g} m across at unit {unit}{guess}", mend
    elif usual and not 1 / OTHER_SCALE <= found / usual <= OTHER_SCALE:
        yield "other scale", None, f"{found:.3g} m across where the set's median is {usual:.3g} m", "--scale"


def named(layout: Layout, *names: str) -> list[int]:
    """Indices of joints by their canonical names; empty unless all are there."""
    found = [layout.canonical.index(name) for name in names if name in layout.canonical]
    return found if len(found) == len(names) else []


def posture(clip: Positions, layout: Layout) -> Odd:
    """A body whose head is not above its hips in nearly all frames: another axis points up."""
    head = named(layout, "head")
    if not head:
        return
    way = clip[:, head[0]] - clip[:, layout.root]  # (T, 3)
    length = np.linalg.norm(way, axis=1)
    share = way[:, 1] / np.where(length > POINT, length, 1.0)
    if (share < UPRIGHT).mean() < MOST:
        return
    axis = int(np.abs(way).mean(axis=0).argmax())
    sign = "" if way[:, axis].mean() > 0 else "-"
    kind = "upside down" if (share < -UPRIGHT).mean() >= MOST else "lying"
    seen = f"from hips to head the way goes up by {100 * float(np.median(share)):.0f} % of its length"
    up = f"{sign}{'xyz'[axis]}"
    yield kind, None, f"{seen}; along {up} it goes most", f"--up {up}"


def bones(clip: Positions, layout: Layout) -> Odd:
    """Bones that stretch, or that differ between left and right: joints in another order than the layout's."""
    parents = np.array(layout.parents)
    joints = np.flatnonzero(parents >= 0)
    length = np.linalg.norm(clip[:, joints] - clip[:, parents[joints]], axis=2)  # (T, J−1)
    middle = np.median(length, axis=0)
    real = middle > 0.01  # shorter ones are joints of one place
    if not real.any():
        return
    low, high = np.percentile(length[:, real], [5, 95], axis=0)
    stretch = float(np.median((high - low) / middle[real]))
    if stretch > STRETCH:
        yield "stretching bones", None, f"half of the bones change by {100 * stretch:.0f} % of their length", "--layout"
    of = dict(zip(joints.tolist(), middle.tolist(), strict=True))
    pairs = [(of[j], of[m]) for j, m in enumerate(layout.mirror) if j < m and j in of and m in of]
    ratios = [max(a, b) / max(min(a, b), 0.01) for a, b in pairs]
    if ratios and float(np.median(ratios)) > UNLIKE:
        seen = f"left and right bones differ by a factor of {float(np.median(ratios)):.2f}"
        yield "unlike sides", None, seen, "--layout"


def sides(clip: Positions, layout: Layout) -> Odd:
    """Feet that point backwards of where the shoulders face: left and right are swapped, or an axis is mirrored."""
    feet = named(layout, "left_ankle", "right_ankle", "left_foot", "right_foot")
    if not feet:
        return
    left, right = layout.shoulders
    across = clip[:, left] - clip[:, right]
    ahead = np.cross(across, np.array([0, 1, 0]))  # x is to the left of who faces z, with y up
    toes = clip[:, feet[2:]].mean(axis=1) - clip[:, feet[:2]].mean(axis=1)
    toes[:, 1] = 0
    lengths = np.linalg.norm(ahead, axis=1) * np.linalg.norm(toes, axis=1)
    cosine = (ahead * toes).sum(axis=1) / np.where(lengths > POINT, lengths, 1.0)
    if (cosine < -0.3).mean() >= MOST:
        yield "swapped sides", None, "the toes point backwards of where the shoulders face", "--layout"


def jumps(clip: Positions, there: NDArray[np.bool_], fps: float) -> Odd:
    """Joints faster than anybody's."""
    speed = np.linalg.norm(np.diff(clip, axis=0), axis=2).max(axis=1) * fps  # (T−1,)
    fast = np.flatnonzero((speed > FASTEST) & there[1:] & there[:-1])
    if len(fast):
        worst = int(fast[speed[fast].argmax()])
        seen = f"{speed[worst]:.0f} m/s between two frames, {len(fast)} times over {FASTEST:g}"
        yield "jumps", (worst, worst + 1), seen, ""


def kept(found: list[Finding]) -> list[dict[str, Any]]:
    """Findings as a prepared set holds them."""
    return [asdict(each) for each in found]


def summary(held: list[dict[str, Any]]) -> list[str]:
    """A line a kind: how many clips, the first of them, what was seen, and what mends it."""
    lines = []
    for kind in dict.fromkeys(each["kind"] for each in held):
        some = [each for each in held if each["kind"] == kind]
        first = some[0]
        frames = f", frames {first['frames'][0]} to {first['frames'][1]}" if first["frames"] else ""
        mend = f" [{first['mend']}]" if first["mend"] else ""
        count = f"{len(some)} clips, the first " if len(some) > 1 else ""
        lines.append(f"{kind}: {count}{first['clip']}{frames}: {first['seen']}{mend}")
    return lines
