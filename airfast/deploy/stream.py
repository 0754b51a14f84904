"""Predictions while frames come in: a row a hop and person, with what it took."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.data.gate import findings, kept, summary
from airfast.data.live import LiveWindows, Window
from airfast.data.motion import MotionSet
from airfast.data.readers.frames import FrameLines
from airfast.deploy.head import encoder_path, load_head
from airfast.deploy.pipeline import pipeline
from airfast.deploy.predict import THRESHOLD, check_threshold, verdicts
from airfast.errors import InputError
from airfast.runs.checkpoint import load_encoder
from airfast.runtime import Model
from airfast.skeletons.layout import Layout, layout_from_record

WINDOW, HOP = 2.0, 0.25
REMEMBERED = 10_000  # latencies, of the last predictions
TOLD = 5  # different faults that are said; all are counted


@dataclass
class Counts:
    """What became of a stream so far."""

    frames: int = 0
    bad: int = 0
    predictions: int = 0
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def told(self) -> str:
        """In one line."""
        line = f"{self.frames} frames, {self.bad} lines that could not be read, {self.predictions} predictions"
        if not self.latency_ms:
            return line
        middle, late = np.percentile(self.latency_ms, [50, 99])
        return f"{line}, latency {middle:.1f} ms (99 in 100 below {late:.1f})"


Answer = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""A window (F, J, 3) to probabilities (1, C) and distance (1,)."""


class Stream:
    """Frames as lines to predictions, computed on one core of the CPU: the others are the sensor's.

    Args:
        source: a run folder with a head, or what ``airfast export RUN --format onnx`` made of it.
        fps: frames a second of the stream.
        window, hop: seconds.
        layout, unit, up: of the frames, where they are not the run's layout, its unit and y.
        threshold: as of :class:`airfast.Predictor`.
        say: called with a line about what is odd.

    Raises:
        InputError: no run or file, no head in it, or what :class:`airfast.data.live.LiveWindows` refuses.
    """

    def __init__(
        self,
        source: Path | str,
        fps: float,
        window: float = WINDOW,
        hop: float = HOP,
        layout: str | None = None,
        unit: str | None = None,
        up: str | None = None,
        threshold: float = THRESHOLD,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        check_threshold(threshold)
        opened = of_file if Path(source).suffix == ".onnx" else of_run
        joints, self.classes, self.answer = opened(Path(source), fps)
        self.windows = LiveWindows(joints, fps, window, hop, layout, unit, up)
        self.threshold, self.say, self.counts = threshold, say, Counts()
        self.looked_at = False
        self.faults: set[str] = set()
        self.answer(np.zeros((self.windows.size, len(joints.joints), 3), np.float32))  # the first is slow

    def predict(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """A row for every window: person, start and end (seconds), the verdict as :meth:`airfast.Predictor.predict`
        gives it, lost (share of the window's joints and frames that were not seen) and latency_ms (from line to row).

        A line that cannot be read is counted and passed over; the first few are said.

        Raises:
            InputError: the stream ended and not one frame of it could be read.
        """
        reader = FrameLines()
        for line in lines:
            came = time.perf_counter()
            try:
                frames = reader.read(line)
            except InputError as error:
                self.passed_over(str(error))
                self.windows.skip()
                continue
            for frame in frames:
                try:
                    window = self.windows.add(frame)
                except InputError as error:
                    self.passed_over(str(error))
                    self.windows.skip(frame.person)
                    continue
                self.counts.frames += 1
                if window is not None:
                    yield self.row(window, came)
        if not self.counts.frames:
            first = f"; the first: {min(self.faults)}" if self.faults else ""
            raise InputError(f"the stream ended without a frame that could be read{first}")
        for window in self.windows.finish():
            yield self.row(window, time.perf_counter())

    def row(self, window: Window, came: float) -> dict[str, Any]:
        """The answer to one window."""
        if not self.looked_at:
            self.look_at(window)
        probability, distance = self.answer(window.positions)
        said = verdicts(probability, distance, self.classes, self.threshold)
        verdict = {name: np.asarray(value[0]).item() for name, value in said.items()}
        self.counts.predictions += 1
        self.counts.latency_ms.append(1000 * (time.perf_counter() - came))
        when = {"person": window.person, "start": window.start, "end": window.end}
        return when | verdict | {"lost": window.lost, "latency_ms": self.counts.latency_ms[-1]}

    def look_at(self, window: Window) -> None:
        """Say what is odd about the first window, as ``airfast data prepare`` says it of files."""
        self.looked_at = True
        motion = MotionSet(
            positions=window.positions,
            lengths=np.array([len(window.positions)]),
            fps=np.array([self.windows.fps], np.float32),
            names=("the first window",),
            labels=np.array([-1]),
            classes=(),
            subjects=("",),
            groups=("",),
            layout=self.windows.layout,
            info={},
        )
        for line in summary(kept(findings(motion))):
            self.say(f"odd: {line}")

    def passed_over(self, fault: str) -> None:
        """Count a bad line, and say what is wrong with it unless that, or enough, was said."""
        self.counts.bad += 1
        if fault not in self.faults and len(self.faults) < TOLD:
            self.faults.add(fault)
            self.say(f"passed over: {fault}")


def of_run(run: Path, fps: float) -> tuple[Layout, tuple[str, ...], Answer]:
    """The layout, the classes and the answers of a run."""
    head = load_head(run)
    encoder = load_encoder(encoder_path(run))
    network = pipeline(encoder, head)
    rate = torch.tensor([fps], dtype=torch.float32)

    def answer(positions: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.inference_mode():
            _, probability, distance = network(torch.from_numpy(positions)[None], rate)
        return probability.numpy(), distance.numpy()

    return encoder.layout, head.classes, answer


def of_file(path: Path, fps: float) -> tuple[Layout, tuple[str, ...], Answer]:
    """The same of an exported file."""
    model = Model(path, threads=1)
    if not model.classes or "skeleton" not in model.about:
        raise InputError(f"{path}: exported without a head, or by an older version; export it again after fit-head")

    def answer(positions: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = model(positions, fps)
        return found["probability"], found["distance"]

    return layout_from_record(model.about["skeleton"], model.about["layout"], str(path)), model.classes, answer
