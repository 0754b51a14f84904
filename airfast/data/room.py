"""Room for frames: in memory or, for sets that are larger than what is free of it, in a file that nobody else sees."""

import math
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError

SHARE = 0.25  # of the free memory that one array may take: a run holds up to three of the set's size


def room(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array to be filled, float32; of a size that memory has no room for, it lies in the folder of temporary files.

    Raises:
        InputError: there is no room for it there either.
    """
    size = 4 * math.prod(shape)
    if size <= SHARE * free():
        return np.empty(shape, dtype=np.float32)
    try:
        with tempfile.TemporaryFile(prefix="airfast-") as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a disk that fills up later would end the process
            return np.asarray(np.memmap(file, np.float32, "r+", shape=shape))
    except OSError as error:
        place = tempfile.gettempdir()
        raise InputError(
            f"{place}: no room for {size / 1e9:.1f} GB of frames, more than memory holds ({error.strerror}); "
            "another folder by the environment variable TMPDIR"
        ) from None


def free() -> float:
    """Bytes of memory that can be had without another giving any up; infinite where the system does not say."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return math.inf
