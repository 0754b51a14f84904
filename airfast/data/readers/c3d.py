"""C3D: optical motion capture, read by ezc3d. Its points are markers; a layout derives joints from them."""

import subprocess
import sys
import tempfile
from pathlib import Path

from airfast.data.readers.clip import UP, SourceClip
from airfast.errors import InputError, in_one_line
from airfast.reading import open_arrays

LONGEST, PER_BYTE = 10, 1e-6  # seconds that a file may take, and more of them for a large one
READER = Path(__file__).with_name("c3d_points.py")


def read_c3d(path: Path, name: str) -> list[SourceClip]:
    """The markers of a file, by name; NaN where one was not seen.

    Raises:
        InputError: ezc3d is not installed, or the file cannot be read.
    """
    try:
        longest = LONGEST + PER_BYTE * path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "points.npz"
        command = [sys.executable, str(READER), str(path.absolute()), str(out)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=longest, check=False
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{path}: cannot be read as .c3d: it took more than {longest:.0f} s") from None
        if done.returncode:
            said = done.stderr.strip() if done.returncode == 1 else "damaged so that its reader ended"
            raise InputError(f"{path}: {in_one_line(ValueError(said))}")
        with open_arrays(out) as found:
            positions, names = found["positions"], tuple(map(str, found["names"]))
            fps, unit, up = float(found["fps"]), str(found["unit"]), str(found["up"]).lower().lstrip("+")
    return [SourceClip(name, positions, names[: positions.shape[1]], fps, unit=unit, up=up if up in UP else "z")]
