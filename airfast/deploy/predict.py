"""Classes of any clips by a run's encoder and head."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

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
        device, layout, fps, unit: as of :class:`airfast.Embedder`.
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
    ) -> None:
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold: expected a probability from 0 to 1, found {threshold:g}")
        run = Path(run)
        self.head = load_head(run)
        self.embedder = Embedder(encoder_path(run), device, layout, fps, unit).fit()
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
        probability, best = self.head.probability(features).sort(dim=1, descending=True)
        distance = self.head.distance(features).numpy()
        names = np.array(self.head.classes, dtype=object)
        return pd.DataFrame(
            {
                "name": list(motion.names),
                "start": first / motion.fps,
                "end": (first + motion.lengths) / motion.fps,
                "label": names[best[:, 0].numpy()],
                "probability": probability[:, 0].numpy(),
                "second": names[best[:, 1].numpy()],
                "second_probability": probability[:, 1].numpy(),
                "unsure": probability[:, 0].numpy() < self.threshold,
                "distance": distance,
                "unlike": distance > 1,
            }
        )


def write_predictions(found: pd.DataFrame, out: Path) -> None:
    """Write predictions as .csv or, a JSON object a line, as .jsonl; InputError for another ending."""
    check_ending(out, ENDINGS)
    with replacing(out) as part:
        if out.suffix == ".csv":
            found.to_csv(part, index=False, float_format="%.6g")
        else:
            rows = found.round(6).to_dict(orient="records")
            part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
