"""Classes of any clips by a run's encoder and head."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from airfast.atomic import check_ending, replacing
from airfast.data.motion import MotionSet
from airfast.data.windows import cut
from airfast.deploy.embed import Embedder
from airfast.deploy.head import encoder_path, load_head
from airfast.errors import InputError

THRESHOLD = 0.5
ENDINGS = (".csv", ".jsonl")


class Predictor:
    """Clips to classes, by what ``airfast fit-head`` left in a run.

    Args:
        run: the run folder.
        device, layout, fps, unit, up: as of :class:`airfast.Embedder`.
        threshold: a prediction whose probability is below is called unsure.

    Raises:
        InputError: no run, no head in it, a threshold that is no probability.
    """

    def __init__(
        self,
        run: Path | str,
        device: str = "auto",
        layout: str | None = None,
        fps: float | None = None,
        unit: str | None = None,
        threshold: float = THRESHOLD,
        up: str | None = None,
    ) -> None:
        check_threshold(threshold)
        run = Path(run)
        self.head = load_head(run)
        self.embedder = Embedder(encoder_path(run), device, layout, fps, unit, up).fit()
        self.threshold = threshold

    def predict(
        self, clips: MotionSet | Path | str, window: float | None = None, hop: float | None = None
    ) -> pd.DataFrame:
        """The class of every clip, or of every window of it.

        Args:
            clips: as :meth:`airfast.Embedder.transform` takes them.
            window, hop: seconds, as of :func:`airfast.data.windows.cut`; whole clips if no window is given.

        Returns:
            A row a clip or window: name (of the clip), start and end (seconds in the clip), label, probability, second
            and second_probability (the runner-up), unsure (probability below the threshold), distance (Mahalanobis, to
            the training features; 1 is what one in a hundred of the held-out training clips exceeds) and unlike
            (distance above 1).

        Raises:
            InputError: what ``transform`` raises, a hop without a window, a clip of fewer than two frames.
        """
        if window is None and hop is not None:
            raise InputError("hop: belongs to a window")
        motion = self.embedder.clips(clips)
        short = np.flatnonzero(motion.lengths < 2)
        if len(short):
            raise InputError(f"{motion.names[short[0]]}: expected at least 2 frames, found {motion.lengths[short[0]]}")
        first = np.zeros(len(motion), np.int64)
        if window is not None:
            windows = cut(motion, window, hop)
            motion, first = windows.motion, windows.first
        features = torch.from_numpy(self.embedder.transform(motion))
        probability, distance = self.head.probability(features).numpy(), self.head.distance(features).numpy()
        when = {"name": list(motion.names), "start": first / motion.fps, "end": (first + motion.lengths) / motion.fps}
        return pd.DataFrame(when | verdicts(probability, distance, self.head.classes, self.threshold))


def check_threshold(threshold: float) -> None:
    """Raise InputError unless it is a probability."""
    if not 0 <= threshold <= 1:
        raise InputError(f"threshold: expected a probability from 0 to 1, found {threshold:g}")


def verdicts(
    probability: NDArray[np.float32], distance: NDArray[np.float32], classes: Sequence[str], threshold: float
) -> dict[str, NDArray[Any]]:
    """What probabilities (N, C) and distances (N,) say: the columns of predictions from ``label`` on, each (N,)."""
    names = np.array(classes, dtype=object)
    best = np.argsort(-probability, axis=1, kind="stable")[:, :2]  # (N, 2)
    first, second = np.take_along_axis(probability, best, axis=1).T
    return {
        "label": names[best[:, 0]],
        "probability": first,
        "second": names[best[:, 1]],
        "second_probability": second,
        "unsure": first < threshold,
        "distance": distance,
        "unlike": distance > 1,
    }


def write_predictions(found: pd.DataFrame, out: Path) -> None:
    """Write predictions as .csv or, a JSON object a line, as .jsonl; InputError for another ending."""
    check_ending(out, ENDINGS)
    with replacing(out) as part:
        if out.suffix == ".csv":
            found.to_csv(part, index=False, float_format="%.6g")
        else:
            rows = found.round(6).to_dict(orient="records")
            part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
