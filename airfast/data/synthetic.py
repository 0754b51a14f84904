"""Synthetic walkers: the embedded data set of the demo, generated and labelled so.

A skeleton of constant bone lengths walks: its feet follow the gait phase and do not slide, its knees follow from them,
its upper body swings with the phase. Its traits (speed, stride, arm swing, ...) are the sum of a neutral value, a shift
of the emotion, a habit of the actor and the chance of the take. *Directions* of the shifts come from the studies below;
all *magnitudes*, habits and noise were chosen here, so that hand-made statistics tell about four in five walkers apart
when the actor is new. No figure measured on this set says anything about people.

- Montepare, Goldstein & Clausen 1987, Journal of Nonverbal Behavior 11: arm swing, stride length, heavy-footedness and
  walking speed tell the emotions of walkers apart.
- Gross, Crane & Fredrickson 2012, Human Movement Science 31: walking is fastest in joy and anger and slowest in
  sadness; limbs and trunk move more in anger and joy than in sadness; neck and thorax are flexed in sadness and the
  trunk is extended in joy, whatever the speed.
- Michalak et al. 2009, Psychosomatic Medicine 71: sad walkers are slower, swing their arms less, move up and down less,
  sway more to the sides and slump.
- Roether, Omlor, Christensen & Giese 2009, Journal of Vision 9(6):15: anger, happiness, sadness and fear differ in
  posture (flexion of arms and inclination of the head) as well as in speed and amplitude.
- Halovic & Kroos 2018, Human Movement Science 57: happy and angry strides are long with more arm movement, angry ones
  of faster cadence; fearful strides are fast and short, with less arm movement, mainly of the lower arms; sad strides
  are slow and short; observers name a bounce for happiness and a stomp for anger.

What no study above settles (smoothness, shoulders, lift of the foot, trunk and head of anger and fear) was chosen here.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from airfast._version import __version__
from airfast.data.motion import MotionSet
from airfast.errors import InputError
from airfast.skeletons.layout import Layout, load_layout

EMOTIONS = ("angry", "fearful", "happy", "neutral", "sad")
ACTORS = 10
FPS = 30
FRAMES = (60, 150)
"""Fewest and most frames of a clip."""

Array = NDArray[np.float64]


class Trait(NamedTuple):
    """Neutral value, shift by emotion, and standard deviations between actors and between takes of one actor."""

    neutral: float
    angry: float
    fearful: float
    happy: float
    sad: float
    actor: float
    take: float


# Angles in degrees, lengths in parts of the body height, cadence in strides a second.
TRAITS = {
    "cadence": Trait(0.90, +0.12, +0.10, +0.06, -0.15, 0.06, 0.04),
    "stride": Trait(0.74, +0.09, -0.14, +0.08, -0.14, 0.06, 0.04),
    "arm_swing": Trait(18, +8.0, -8.0, +9.0, -8.0, 4.0, 3.5),  # amplitude of the shoulder
    "elbow_swing": Trait(8, +3.0, +5.0, +3.0, -3.0, 3.0, 2.0),
    "elbow": Trait(22, +13, +18, +4.0, -4.0, 6.0, 5.0),  # flexion
    "trunk": Trait(3, +3.5, +2.0, -3.0, +6.0, 3.0, 2.0),  # lean, forwards positive
    "head": Trait(6, +3.0, +3.0, -5.0, +14, 5.0, 4.0),  # pitch, downwards positive
    "shoulders": Trait(0, +3.0, +6.0, -3.0, -3.0, 3.0, 2.5),  # lift of the collars
    "foot_lift": Trait(0.030, +0.008, -0.004, +0.008, -0.010, 0.005, 0.003),
    "loading": Trait(0.004, +0.007, -0.001, +0.001, -0.001, 0.002, 0.002),  # the body drops after each strike: a stomp
    "bounce": Trait(0.002, +0.001, 0.0, +0.007, -0.001, 0.002, 0.002),  # it rises in the middle of each step
    "sway": Trait(0.012, 0.0, 0.0, 0.0, +0.008, 0.004, 0.003),
    "tremor": Trait(0.5, +0.4, +0.5, +0.2, -0.2, 0.2, 0.15),
}
POSITIVE = ("arm_swing", "elbow_swing", "foot_lift", "loading", "bounce", "sway", "tremor")
"""Traits that habit and chance may not push below zero."""

STANCE = 0.62
"""Share of a stride that a foot stands."""

# Each joint from its parent, in parts of the body height: x to the left, y up, z forwards, arms hanging. Chosen here.
BONES = {
    "pelvis": (0, 0, 0),
    "hip": (0.055, -0.04, 0),
    "spine1": (0, 0.065, 0),
    "knee": (0, -0.245, 0),
    "spine2": (0, 0.075, 0),
    "ankle": (0, -0.235, 0),
    "spine3": (0, 0.035, 0),
    "foot": (0, -0.035, 0.075),
    "neck": (0, 0.125, 0),
    "collar": (0.04, 0.085, 0),
    "head": (0, 0.055, 0.012),
    "shoulder": (0.065, 0.015, 0),
    "elbow": (0.015, -0.165, 0),
    "wrist": (0, -0.15, 0.005),
    "hand": (0, -0.05, 0.005),
}


def synthetic_walkers(clips: int = 500, seed: int = 0) -> MotionSet:
    """Walkers of five emotions by ten actors on the `canonical` layout, 60-150 frames at 30 a second.

    Clips go round the actors, then the emotions, then the takes, so that any multiple of 50 is balanced. Positions are
    rounded to 0.1 mm: the last bit of a sine may differ between machines, the data do not.

    Args:
        clips: how many.
        seed: of everything: bodies, habits, takes.

    Returns:
        The set, in metres, with subjects `actor01` ... and `info["synthetic"]` true.

    Raises:
        InputError: fewer than 1 clip.
    """
    if clips < 1:
        raise InputError(f"synthetic walkers: expected at least 1 clip, found {clips}")
    rng = np.random.default_rng(seed)
    layout = load_layout("canonical")
    number = np.arange(clips)
    actor, emotion, take = number % ACTORS, number // ACTORS % len(EMOTIONS), number // (ACTORS * len(EMOTIONS))
    lengths = rng.integers(FRAMES[0], FRAMES[1], size=clips, endpoint=True)
    traits = _traits(rng, actor, emotion)
    positions = _walk(rng, traits, _bodies(rng, layout, actor), layout)  # (N, 150, J, 3)
    kept = np.arange(FRAMES[1]) < lengths[:, None]
    return MotionSet(
        positions=np.round(positions[kept], 4).astype(np.float32),
        lengths=lengths.astype(np.int64),
        fps=np.full(clips, FPS, dtype=np.float32),
        names=tuple(
            f"actor{a + 1:02d}_{EMOTIONS[e]}_{t + 1:02d}" for a, e, t in zip(actor, emotion, take, strict=True)
        ),
        labels=emotion.astype(np.int64),
        classes=EMOTIONS,
        subjects=tuple(f"actor{a + 1:02d}" for a in actor),
        groups=("",) * clips,
        layout=layout,
        info=_info(clips, seed),
    )


def _info(clips: int, seed: int) -> dict[str, Any]:
    note = f"generated by airfast {__version__} with clips={clips}, seed={seed}; no person was recorded"
    origin = {"name": "synthetic-walkers", "synthetic": True, "sources": []}
    return {**origin, "note": note, "unit": "m", "version": __version__}


def _traits(rng: np.random.Generator, actor: NDArray[np.int64], emotion: NDArray[np.int64]) -> dict[str, Array]:
    """Each trait of each clip, (N, 1). Actors show an emotion more or less strongly, and so do takes of one actor."""
    strength = rng.uniform(0.7, 1.2, ACTORS)[actor] * rng.uniform(0.7, 1.3, len(actor))
    found = {}
    for name, trait in TRAITS.items():
        shift = np.array([0.0 if key == "neutral" else getattr(trait, key) for key in EMOTIONS])
        habit = rng.normal(0, trait.actor, ACTORS)[actor]
        value = trait.neutral + shift[emotion] * strength + habit + rng.normal(0, trait.take, len(actor))
        found[name] = (value.clip(min=0) if name in POSITIVE else value)[:, None]
    return found


def _bodies(rng: np.random.Generator, layout: Layout, actor: NDArray[np.int64]) -> Array:
    """(N, J, 3) each joint from its parent, metres: actors differ in height and in breadth of hips and shoulders."""
    height = rng.normal(1.70, 0.08, ACTORS)
    breadth = rng.normal(1.0, 0.06, ACTORS)
    plain = [name.removeprefix("left_").removeprefix("right_") for name in layout.joints]
    unit = np.array([BONES[name] for name in plain], dtype=np.float64)
    unit[[name.startswith("right_") for name in layout.joints], 0] *= -1
    bones = unit * height[:, None, None]
    bones[:, :, 0] *= breadth[:, None]
    return bones[actor]


def _walk(rng: np.random.Generator, traits: dict[str, Array], bones: Array, layout: Layout) -> Array:
    """(N, T, J, 3) positions: the pelvis on its path, the legs down to the feet, the upper body above."""
    clips, time = len(bones), np.arange(FRAMES[1]) / FPS
    strides = traits["cadence"] * time + rng.uniform(0, 1, (clips, 1)) + 0.02 * _drift(rng, clips, time, 0.2, 0.6)
    angles = _angles(rng, traits, 2 * np.pi * strides, time)
    size = bones[:, layout.joints.index("head"), 1][:, None] / BONES["head"][1]  # (N, 1) body height
    legs = [_Leg(side, bones, layout, traits, strides, size) for side in ("left", "right")]
    pose = _pose(bones, angles, layout)
    pose += _pelvis(pose, legs, traits, strides, size)[:, :, None]
    for leg in legs:
        leg.place(pose)
    # A walkway, walked both ways, never quite straight.
    heading = rng.integers(0, 2, clips) * np.pi + rng.normal(0, 0.1, clips)
    turn = _rotation(np.stack([0 * heading, heading, 0 * heading], axis=-1))
    start = np.stack([rng.normal(0, 0.3, clips), np.zeros(clips), rng.normal(0, 0.5, clips)], axis=-1)
    return np.asarray((pose - pose[:, :1, :1] * [1, 0, 1]) @ turn[:, None].swapaxes(-1, -2) + start[:, None, None])


class _Leg:
    """One leg of every clip: where its foot is, and the knee that follows from hip and ankle."""

    def __init__(
        self, side: str, bones: Array, layout: Layout, traits: dict[str, Array], strides: Array, size: Array
    ) -> None:
        self.joints = [layout.joints.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle", "foot")]
        hip, knee, ankle, foot = (bones[:, None, joint] for joint in self.joints)  # (N, 1, 3)
        self.thigh, self.shank = -knee[..., 1], -ankle[..., 1]
        late = 0.0 if side == "left" else 0.5
        phase = (strides + late) % 1
        swing = ((phase - STANCE) / (1 - STANCE)).clip(0, 1)
        # Degrees of the foot, toes down positive: push-off and heel strike.
        pitch = 55 * _bump(phase - 0.64, 5) - 16 * _bump(phase, 10)
        ahead = np.floor(strides + late) - late + STANCE / 2 + swing**2 * (3 - 2 * swing)
        # The ball of the foot is lifted in the swing, and as long as the foot stands on its heel.
        height = traits["foot_lift"] * size * np.sin(np.pi * swing) ** 2
        height = height + foot[..., 2] * np.sin(np.deg2rad((-pitch).clip(min=0)))
        across = np.broadcast_to(0.8 * hip[..., 0], phase.shape)
        self.foot = np.stack([across, height, traits["stride"] * size * ahead + 0.03 * size], axis=-1)  # (N, T, 3)
        tilt = _rotation(np.deg2rad(np.stack([pitch, 0 * pitch, 0 * pitch], axis=-1)))
        self.ankle = self.foot - (tilt @ foot[..., None])[..., 0]

    def highest_pelvis(self, pose: Array, path: Array) -> Array:
        """(N, T) height of the pelvis at which this leg is nearly straight; `pose` has the pelvis at the origin."""
        reach = 0.99 * (self.thigh + self.shank)
        line = self.ankle - path - pose[:, :, self.joints[0]]
        return np.asarray(line[..., 1] + np.sqrt(reach**2 - line[..., 0] ** 2 - line[..., 2] ** 2))

    def place(self, pose: Array) -> None:
        """Set knee, ankle and foot in (N, T, J, 3) poses; the knee bends forwards."""
        hip, knee, ankle, foot = self.joints
        line = self.ankle - pose[:, :, hip]
        length = np.linalg.norm(line, axis=-1)
        along = (self.thigh**2 - self.shank**2 + length**2) / (2 * length)
        out = np.sqrt(self.thigh**2 - along**2)
        line /= length[..., None]
        front = np.array([0.0, 0.0, 1.0]) - line[..., 2:] * line
        front /= np.linalg.norm(front, axis=-1, keepdims=True)
        pose[:, :, knee] = pose[:, :, hip] + along[..., None] * line + out[..., None] * front
        pose[:, :, ankle], pose[:, :, foot] = self.ankle, self.foot


def _pelvis(pose: Array, legs: list[_Leg], traits: dict[str, Array], strides: Array, size: Array) -> Array:
    """(N, T, 3) path of the pelvis: as high as both legs reach, less what the traits take off."""
    path = np.zeros((*strides.shape, 3))
    path[..., 0] = -traits["sway"] * size * np.cos(2 * np.pi * (strides - 0.8))  # towards the foot that stands
    path[..., 2] = traits["stride"] * size * strides
    softness = 0.01  # metres: within this the legs share the weight, and the path has no corner
    left, right = (leg.highest_pelvis(pose, path) for leg in legs)
    path[..., 1] = -softness * np.logaddexp(-left / softness, -right / softness)
    path[..., 1] -= size * traits["loading"] * _bump(2 * strides - 0.2, 3)
    path[..., 1] -= size * traits["bounce"] * (1 + np.cos(4 * np.pi * strides)) / 2
    return path


def _angles(rng: np.random.Generator, traits: dict[str, Array], phase: Array, time: Array) -> dict[str, Array]:
    """Degrees about x, y, z of the joints that turn, (N, T, 3). About x, positive tips forwards what points up."""

    def noise() -> Array:
        clips = len(phase)
        return 1.2 * _drift(rng, clips, time, 0.2, 1.0) + traits["tremor"] * _drift(rng, clips, time, 3.0, 7.0)

    cos, zero = np.cos(phase), np.zeros_like(phase)
    lean = traits["trunk"] + noise()
    angles = {
        "pelvis": (zero, -4 * cos, 2 * np.sin(phase)),
        "spine1": (0.6 * lean, 5 * cos, -3 * np.sin(phase)),
        "spine3": (0.4 * lean, 3 * cos, zero),
        "neck": (traits["head"] - 0.5 * lean + noise(), -3 * cos, zero),
    }
    for side, sign, swing in (("left", 1, -cos), ("right", -1, cos)):  # an arm swings with the leg of the other side
        angles[f"{side}_collar"] = (zero, zero, sign * (traits["shoulders"] + zero))
        angles[f"{side}_shoulder"] = (-traits["arm_swing"] * swing - 2 + noise(), zero, sign * (6 + zero))
        flexion = traits["elbow"] + traits["elbow_swing"] * swing + noise()
        angles[f"{side}_elbow"] = (-flexion.clip(min=2), zero, zero)
    return {joint: np.stack(turns, axis=-1) for joint, turns in angles.items()}


def _bump(cycle: Array, sharpness: float) -> Array:
    """A bump of height 1 at every whole number."""
    return np.asarray(np.exp(sharpness * (np.cos(2 * np.pi * cycle) - 1)))


def _drift(rng: np.random.Generator, clips: int, time: Array, low: float, high: float) -> Array:
    """(N, T) smooth noise of unit variance: three sines of random frequency between low and high (hertz) and phase."""
    frequency, start = rng.uniform(low, high, (3, clips, 1)), rng.uniform(0, 2 * np.pi, (3, clips, 1))
    return np.asarray(np.sin(2 * np.pi * frequency * time + start).sum(axis=0) * np.sqrt(2 / 3))


def _pose(bones: Array, angles: dict[str, Array], layout: Layout) -> Array:
    """(N, T, J, 3) forward kinematics with the pelvis at the origin; `bones` is (N, J, 3), legs hang straight."""
    clips, frames = next(iter(angles.values())).shape[:2]
    positions = np.zeros((clips, frames, len(layout.joints), 3))
    turns: list[Array] = []
    for j, (joint, parent) in enumerate(zip(layout.joints, layout.parents, strict=True)):
        turn = np.broadcast_to(np.eye(3), (clips, frames, 3, 3)) if parent < 0 else turns[parent]
        if parent >= 0:
            positions[:, :, j] = positions[:, :, parent] + np.einsum("ntab,nb->nta", turn, bones[:, j])
        turns.append(turn @ _rotation(np.deg2rad(angles[joint])) if joint in angles else turn)
    return positions


def _rotation(angles: Array) -> Array:
    """(..., 3, 3) rotations about z, then x, then y of the body: R = Ry·Rx·Rz, from (..., 3) radians."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx, cx * sz, cx * cz, -sx]
    rows += [cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx]
    return np.stack(rows, axis=-1).reshape(*angles.shape[:-1], 3, 3)
