"""Frames as they come, cut into windows that end now."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from airfast.data.readers.clip import UP, check_rate, joint_sources, joints_from, unnamed
from airfast.data.readers.frames import Frame
from airfast.errors import InputError
from airfast.skeletons.canonical import canonical_joints
from airfast.skeletons.layout import METRES, Layout, load_layout

MOST_LOST = 0.5  # share of a window's joints and frames that may have been lost and put on a line
NEAR = 0.6  # frames between a moment and the nearest frame in which a joint counts as seen
PERSONS = 64  # that are followed at a time
EARLY = 0.25  # frames before it is due that a window is given, against jitter


@dataclass(frozen=True)
class Window:
    """The last seconds of one person.

    Attributes:
        person: who.
        positions: (F, J, 3) float32, the joints of the run in metres, y up, at the stream's rate.
        start, end: seconds; what :func:`airfast.data.windows.cut` says of the same window.
        lost: share of joints and frames that were not seen and lie on a line between those that were.
    """

    person: str
    positions: NDArray[np.float32]
    start: float
    end: float
    lost: float


@dataclass
class Track:
    """What is still needed of one person: frames within a window, and when the next window is due."""

    start: float
    due: float
    ticks: int = 0
    now: float = 0.0
    given: float = -np.inf
    times: deque[float] = field(default_factory=deque)
    joints: deque[NDArray[np.float64]] = field(default_factory=deque)


class LiveWindows:
    """Frames of any number of persons to windows: one a hop and person, of the same frames as files are cut into.

    Frames with times may come at any pace; those without are a tick each. Frames and joints that were lost are put on a
    line between those that were seen, or held at the ends. Memory is that of a window a person; whoever has not been
    seen for a window is forgotten.

    Args:
        layout: of the run.
        fps: frames a second: of the stream, and of the windows.
        seconds, hop: as of :func:`airfast.data.windows.cut`.
        source: layout of the frames; of the run if not given, MediaPipe's for its landmarks.
        unit, up: of the frames, where they are not the layout's and y.

    Raises:
        InputError: no such unit, axis or rate, a hop that leaves out frames, or a layout that the run cannot read.
    """

    def __init__(
        self,
        layout: Layout,
        fps: float,
        seconds: float,
        hop: float,
        source: str | None = None,
        unit: str | None = None,
        up: str | None = None,
    ) -> None:
        check_rate(fps, "fps: expected")
        if not 0 < hop <= seconds < 1e4:
            raise InputError(f"window and hop: expected 0 < hop ≤ window in seconds, found {seconds:g} and {hop:g}")
        if unit is not None and unit not in METRES:
            raise InputError(f"unit {unit!r} is not one of {', '.join(METRES)}")
        if up is not None and up not in UP:
            raise InputError(f"up {up!r} is not one of {', '.join(UP)}")
        self.layout, self.fps, self.unit, self.up = layout, fps, unit, up
        self.size, self.step = max(2, round(seconds * fps)), max(1, round(hop * fps))
        self.source = None if source is None else load_layout(source)
        self.tracks: dict[str, Track] = {}
        self.readings: dict[tuple[object, ...], Reading] = {}
        if self.source is not None:
            weights(self.source, layout)

    def add(self, frame: Frame) -> Window | None:
        """The window that ends with this frame, if one is due and enough of it was seen.

        Raises:
            InputError: joints that are not the layout's, or a time before the last frame's.
        """
        joints = self.joints(frame) if len(frame.points) else None
        track = self.tracks.get(frame.person)
        clock = max((each.now for each in self.tracks.values()), default=0.0)
        if track is None:
            start = frame.time if frame.time is not None else clock
            track = Track(start, start + (self.size - 1) / self.fps, now=start)
            self.tracks[frame.person] = track
            self.forget(start)
        time = track.start + track.ticks / self.fps if frame.time is None else frame.time
        if track.ticks and time <= track.now:
            raise InputError(f"expected a time after {track.now:g} s, found {time:g}")
        track.ticks, track.now = track.ticks + 1, time
        if joints is not None:
            track.times.append(time)
            track.joints.append(joints)
        oldest = time - (self.size - 1) / self.fps
        while len(track.times) > 1 and track.times[1] <= oldest:
            track.times.popleft()
            track.joints.popleft()
        if time < track.due - EARLY / self.fps:
            return None
        track.due += self.step / self.fps * max(1, np.floor((time - track.due) * self.fps / self.step + 1 + 1e-6))
        return self.window(frame.person, track, self.size)

    def skip(self, person: str | None = None) -> None:
        """A frame that could not be read: one that a person (or, if None, everybody) is missing from."""
        for name, track in self.tracks.items():
            track.ticks += person in (None, name)

    def finish(self) -> Iterator[Window]:
        """Of each person what no window has held yet: the last one ends with the stream."""
        for person, track in self.tracks.items():
            frames = round((track.now - track.start) * self.fps) + 1
            if track.now > track.given and frames > 1:
                window = self.window(person, track, min(self.size, frames))
                if window is not None:
                    yield window

    def forget(self, now: float) -> None:
        """Drop whoever has not been seen for a window, and the longest unseen beyond PERSONS."""
        gone = [name for name, each in self.tracks.items() if each.ticks and each.now < now - self.size / self.fps]
        for name in gone:
            del self.tracks[name]
        while len(self.tracks) > PERSONS:
            del self.tracks[min(self.tracks, key=lambda name: self.tracks[name].now)]

    def window(self, person: str, track: Track, size: int) -> Window | None:
        """The last ``size`` frames of a person; None where too much of them, or one joint throughout, was lost."""
        track.given = track.now
        moments = track.now - np.arange(size - 1, -1, -1) / self.fps
        if not track.times:
            return None
        found = resampled(np.array(track.times), np.stack(track.joints), moments, NEAR / self.fps)
        if found is None or found[1] > MOST_LOST:
            return None
        start = float(moments[0])
        return Window(person, found[0].astype(np.float32), start, start + size / self.fps, found[1])

    def joints(self, frame: Frame) -> NDArray[np.float64]:
        """A frame's joints (J, 3) on the run's layout, in metres, y up; NaN where lost."""
        key = (frame.names, len(frame.points), frame.mediapipe)
        if key not in self.readings:
            if len(self.readings) >= PERSONS:  # names that change with every frame are no names
                self.readings.clear()
            self.readings[key] = self.reading(frame)
        reading = self.readings[key]
        points = np.concatenate([frame.points, np.full((1, 3), np.nan)])[None]  # −1 is what the frame lacks
        joints: NDArray[np.float64] = joints_from(points, reading.sources)[0] @ reading.turn
        if reading.weights is None:
            return joints
        mixed = np.asarray(reading.weights @ np.where(np.isnan(joints), 0.0, joints), dtype=np.float64)
        lost = (np.abs(reading.weights) @ np.isnan(joints)) > 0  # a joint placed between others needs them all
        mixed[lost] = np.nan
        return mixed

    def reading(self, frame: Frame) -> "Reading":
        """How frames like this one become the run's joints."""
        mediapipe = "mediapipe33" if frame.mediapipe else None
        layout = self.source or (load_layout(mediapipe) if mediapipe else self.layout)
        names = frame.names if frame.names is not None else unnamed(len(frame.points), layout, "frame")
        up = self.up or ("-y" if frame.mediapipe else "y")
        metres = METRES[self.unit or ("m" if frame.mediapipe else layout.unit)]
        turn = metres * np.array(UP[up], dtype=np.float64).T
        return Reading(joint_sources(names, layout, "frame"), turn, weights(layout, self.layout))


@dataclass(frozen=True)
class Reading:
    """How points become the run's joints: which are taken, scale and turn, and the weights of canonical joints."""

    sources: list[tuple[int, ...]]
    turn: NDArray[np.float64]
    weights: NDArray[np.float32] | None


def weights(layout: Layout, run: Layout) -> NDArray[np.float32] | None:
    """What makes a run's joints of a layout's, None where they are the same; InputError where nothing does."""
    if layout.joints == run.joints:
        return None
    canonical = load_layout("canonical")
    if run.joints != canonical.joints:
        raise InputError(
            f"frames on layout {layout.name}, but the run was trained on {run.name}; "
            "-o inputs.joints=canonical trains on the joints that all share"
        )
    return canonical_joints(layout, canonical)[0]


def resampled(
    times: NDArray[np.float64], joints: NDArray[np.float64], moments: NDArray[np.float64], near: float
) -> tuple[NDArray[np.float64], float] | None:
    """Joints (n, J, 3) seen at ``times`` (n,), at other moments (F,): (F, J, 3), linearly, held at the ends.

    Returns:
        The joints and the share of them that has no frame nearer than ``near`` seconds; None where one was never seen.
    """
    seen = np.asarray(~np.isnan(joints).any(axis=2))  # (n, J)
    if not seen.any(axis=0).all():
        return None
    out = np.empty((len(moments), *joints.shape[1:]))
    lost = 0
    groups = [np.arange(joints.shape[1])] if seen.all() else [np.array([joint]) for joint in range(joints.shape[1])]
    for group in groups:
        there = np.flatnonzero(seen[:, group[0]])
        known, values = times[there], joints[there][:, group]
        after = np.searchsorted(known, moments).clip(max=len(known) - 1)
        before = np.maximum(after - 1, 0)
        span = known[after] - known[before]
        share = ((moments - known[before]) / np.where(span > 0, span, 1.0)).clip(0, 1)
        out[:, group] = values[before] + share[:, None, None] * (values[after] - values[before])
        away = np.minimum(np.abs(moments - known[before]), np.abs(moments - known[after]))
        lost += int((away > near).sum()) * len(group)
    return out, lost / (len(moments) * joints.shape[1])
