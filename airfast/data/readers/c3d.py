"""C3D: optical motion capture, read by ezc3d. Its points are markers; a layout derives joints from them."""

from pathlib import Path

import numpy as np

from airfast.data.readers.clip import UP, SourceClip
from airfast.errors import InputError, in_one_line


def read_c3d(path: Path, name: str) -> list[SourceClip]:
    """The markers of a file, by name; NaN where one was not seen.

    Raises:
        InputError: ezc3d is not installed, or the file cannot be read.
    """
    try:
        import ezc3d  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(f"{path}: needs ezc3d; pip install 'airfast[formats]'") from None
    try:
        said = ezc3d.c3d(str(path))
        about = said["parameters"]["POINT"]
        points = said["data"]["points"]  # (4, P, T)
        names = tuple(str(each).rpartition(":")[2] for each in about["LABELS"]["value"])
        unit = str((about.get("UNITS", {}).get("value") or ["mm"])[0]).strip() or "mm"
        fps = float(about["RATE"]["value"][0])
        screen = str((about.get("Y_SCREEN", {}).get("value") or ["+Z"])[0])  # the axis that points up on a screen
        residuals = said["data"]["meta_points"]["residuals"][0]  # (P, T), −1 for a marker that was not seen
    except Exception as error:  # a damaged file ends in whatever ezc3d happens to raise
        raise InputError(f"{path}: cannot be read as .c3d: {in_one_line(error)}") from None
    positions = np.moveaxis(points[:3], 0, -1).swapaxes(0, 1).astype(np.float64)  # (T, P, 3)
    positions[residuals.T < 0] = np.nan
    up = screen.lower().lstrip("+")
    named = names[: positions.shape[1]]
    return [SourceClip(name, positions, named, fps, unit=unit, up=up if up in UP else "z")]
