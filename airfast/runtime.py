"""Runs an exported ONNX file on ONNX Runtime and NumPy alone: torch is never imported."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from airfast.errors import InputError, in_one_line


class Model:
    """What ``airfast export RUN --format onnx`` wrote.

    Args:
        path: the .onnx file.
        threads: of one call; all cores if not given.

    Attributes:
        about: what the file says of itself: classes, joints (in the order of the positions), layout, skeleton (the
            layout's record), unit (m), up (y), frames (that a clip is resampled to), data (name and licence of the
            set), parity (what was measured when it was exported), versions.

    Raises:
        InputError: no such file, a damaged one, one that airfast did not write, or no ONNX Runtime.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]
        except ImportError:
            raise InputError("ONNX Runtime is not installed; pip install onnxruntime") from None
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # whatever the runtime raises of a damaged file
            raise InputError(f"{path}: damaged or not an ONNX file ({in_one_line(error)[:120]})") from None
        written = self._session.get_modelmeta().custom_metadata_map
        if "airfast" not in written:
            raise InputError(f"{path}: not written by airfast")
        self.about: dict[str, Any] = json.loads(written["airfast"])
        self._outputs = [each.name for each in self._session.get_outputs()]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none where the run had no head."""
        return tuple(self.about["classes"])

    def __call__(self, positions: ArrayLike, fps: float) -> dict[str, NDArray[np.float32]]:
        """Features and classes of clips of one length.

        Args:
            positions: (F, J, 3) or (B, F, J, 3), in metres, y up, the joints of ``about``; F ≥ 2.
            fps: frames a second.

        Returns:
            features (B, D) and, where the run had a head, probability (B, C) and distance (B,), above 1 for a clip that
            is unlike those it was trained on.

        Raises:
            InputError: other joints, fewer than two frames, positions that are not finite, a rate that is not positive.
        """
        clips = np.asarray(positions, np.float32)
        clips = clips[None] if clips.ndim == 3 else clips
        joints = len(self.about["joints"])
        if clips.ndim != 4 or clips.shape[2:] != (joints, 3) or clips.shape[1] < 2 or not len(clips):
            raise InputError(f"positions: expected (frames, {joints}, 3) of 2 frames or more, found {clips.shape}")
        if not np.isfinite(clips).all():
            raise InputError("positions: expected finite numbers")
        if not 0 < fps < np.inf:
            raise InputError(f"fps: expected a positive number, found {fps}")
        given = {"positions": clips, "fps": np.full(len(clips), fps, np.float32)}
        names = {each.name for each in self._session.get_inputs()}  # a run without velocities reads no rate
        found = self._session.run(None, {name: value for name, value in given.items() if name in names})
        return dict(zip(self._outputs, found, strict=True))
