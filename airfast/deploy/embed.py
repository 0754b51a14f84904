"""Features of any clips by a run's encoder."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from airfast.atomic import replacing
from airfast.data.dataset import FEATURE_BATCH, DeviceClips
from airfast.data.motion import MotionSet, is_prepared
from airfast.data.prepare import read_clips
from airfast.data.readers.clip import Mending
from airfast.data.skeleton import canonical
from airfast.device import pick_device
from airfast.errors import InputError
from airfast.models.deployed import Deployed
from airfast.runs.checkpoint import load_encoder
from airfast.skeletons.layout import load_layout

ENDINGS = (".parquet", ".npy", ".npz")


@torch.no_grad()
def encode(encoder: Deployed, motion: MotionSet, device: torch.device) -> Tensor:
    """Features (N, D) float32 of every clip of a set, in order, on the CPU; the encoder is left in eval mode."""
    clips = DeviceClips.from_motion(motion, encoder.config.inputs, device)
    encoder = encoder.to(device).eval()
    return torch.cat([encoder(batch).float() for batch in clips.batches(FEATURE_BATCH)]).cpu()


class Embedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clips to features by a run's encoder, as a transformer of scikit-learn: ``fit`` does nothing.

    Args:
        run: a run folder or an ``encoder.safetensors``.
        device: auto, cpu or cuda.
        layout: name or path of the layout of files that are not on the run's; a run on canonical joints takes any.
        fps, unit, up: of the files, where they do not say.
    """

    def __init__(
        self,
        run: Path | str,
        device: str = "auto",
        layout: str | None = None,
        fps: float | None = None,
        unit: str | None = None,
        up: str | None = None,
    ) -> None:
        self.run = run
        self.device = device
        self.layout = layout
        self.fps = fps
        self.unit = unit
        self.up = up

    def fit(self, X: Any = None, y: Any = None) -> "Embedder":
        """Nothing is learnt; raises InputError where there is no such run."""
        self.encoder_ = load_encoder(self.run)
        return self

    def transform(self, X: MotionSet | Path | str) -> NDArray[np.float32]:
        """Features (N, D) float32 of the clips of a set in memory, a prepared folder, or files as `data prepare` reads.

        Raises:
            InputError: clips on joints that the run was not trained on, or files that cannot be read.
        """
        features: NDArray[np.float32] = encode(self._encoder(), self.clips(X), pick_device(self.device)).numpy()
        return features

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The names of the D columns."""
        return np.array([f"feature{i}" for i in range(self._encoder().width)], dtype=object)

    def clips(self, X: MotionSet | Path | str) -> MotionSet:
        """The clips that ``transform`` reads, on the joints of the run."""
        encoder = self._encoder()
        on_canonical = encoder.layout.joints == load_layout("canonical").joints
        if isinstance(X, MotionSet):
            motion = X
        elif is_prepared(Path(X)):
            motion = MotionSet.load(Path(X))
        else:
            motion = read_clips(
                Path(X), self.layout or encoder.layout, fps=self.fps, unit=self.unit, mending=Mending(up=self.up)
            ).motion
        if on_canonical:
            motion = canonical(motion)
        if motion.layout.joints != encoder.layout.joints:
            found = f"layout {motion.layout.name}, but {self.run} was trained on {encoder.layout.name}"
            raise InputError(f"{found}; -o inputs.joints=canonical trains on the joints that all share")
        return motion

    def _encoder(self) -> Deployed:
        if not hasattr(self, "encoder_"):
            self.fit()
        return self.encoder_


def embed(embedder: Embedder, source: MotionSet | Path | str, out: Path | str) -> tuple[MotionSet, NDArray[np.float32]]:
    """Write the features of clips where ``airfast label`` and others read them.

    Args:
        embedder: of the run.
        source: as :meth:`Embedder.transform` takes it.
        out: .parquet (columns name and features), .npz (arrays names and features) or .npy (the features alone).

    Returns:
        The clips and their features (N, D).

    Raises:
        InputError: another ending, a file that cannot be written, and what ``transform`` raises.
    """
    out = Path(out)
    if out.suffix not in ENDINGS:
        raise InputError(f"--out {out}: expected a name that ends in {', '.join(ENDINGS)}")
    motion = embedder.clips(source)
    features = embedder.transform(motion)
    with replacing(out) as part:
        if out.suffix == ".parquet":
            pd.DataFrame({"name": list(motion.names), "features": list(features)}).to_parquet(part, index=False)
        else:
            with part.open("wb") as file:  # NumPy would add an ending of its own
                if out.suffix == ".npy":
                    np.save(file, features)
                else:
                    np.savez(file, names=np.array(motion.names), features=features)
    return motion, features
