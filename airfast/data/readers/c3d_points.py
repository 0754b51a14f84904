"""Run as a process of its own: the points of a .c3d file into an .npz, by ezc3d.

ezc3d is compiled, and files damaged in the wrong place end it and whoever had it read them. This file imports nothing
of airfast, so that it starts in a fifth of a second.
"""

import sys
import warnings

import numpy as np

ROOM, RATIO = 1 << 31, 50
"""Bytes that the process may take, and times the size of the file beside them: a header can promise any number."""


def bound(path: str) -> None:
    """Hold the memory of this process to a multiple of the file, where the system can."""
    try:
        import os
        import resource
    except ImportError:  # Windows
        return
    most = ROOM + RATIO * os.stat(path).st_size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(path: str, out: str) -> None:
    """Positions (T, P, 3) float64, names, unit, rate and the axis that points up.

    A marker that was not seen is NaN already in what ezc3d gives.
    """
    import ezc3d  # type: ignore[import-untyped]

    bound(path)
    said = ezc3d.c3d(path)
    about = said["parameters"]["POINT"]
    positions = np.moveaxis(said["data"]["points"][:3], 0, -1).swapaxes(0, 1).astype(np.float64)

    def first(name: str, usual: str) -> str:
        return str((about.get(name, {}).get("value") or [usual])[0]).strip() or usual

    names = [str(each).rpartition(":")[2] for each in about["LABELS"]["value"]]
    np.savez(
        out,
        positions=positions,
        names=np.array(names, dtype=str),
        unit=first("UNITS", "mm"),
        up=first("Y_SCREEN", "+Z"),  # the axis that points up on a screen
        fps=float(about["RATE"]["value"][0]),
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    try:
        main(*sys.argv[1:])
    except ImportError:
        sys.exit("needs ezc3d; pip install 'airfast[formats]'")
    except Exception as error:  # a damaged file ends in whatever ezc3d happens to raise
        sys.exit(f"cannot be read as .c3d: {error}")
