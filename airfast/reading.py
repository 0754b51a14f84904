"""How files that somebody else may have written are taken in: bounded before anything of their size is allocated."""

import json
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from airfast.errors import InputError

SETTINGS = 1 << 20
"""Bytes of a file of settings; those that are written take a thousandth of it."""
TEXT = 1 << 29
"""Bytes of a text that is read whole: the split of a million clips, hours of BVH."""
UNPACKED, RATIO = 1 << 28, 300
"""An archive may unpack to so many bytes, or to so many times its size; motion packs tenfold, padded hundredfold."""


def read_bytes(path: Path, most: int = TEXT) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: there is none, it cannot be read, or it is larger than ``most``.
    """
    try:
        size = path.stat().st_size
        if size > most:
            raise InputError(f"{path}: {size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB that are read whole")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_text(path: Path, most: int = TEXT) -> str:
    """The text of a file in UTF-8, with or without its mark; as :func:`read_bytes`."""
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read (not UTF-8, byte {error.start})") from None


class NotJson(ValueError):
    """A text that is no JSON, and the line where that shows, from 1; 0 where none is to blame."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(f"not JSON: {reason}")
        self.line = line


def parse_json(text: str) -> Any:
    """JSON to values; NotJson for all that is none, numbers and depths beyond bounds too."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise NotJson(error.msg, error.lineno) from None
    except ValueError:
        raise NotJson("a number of thousands of digits") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None


def read_json(path: Path, most: int = TEXT) -> Any:
    """The values of a JSON file; InputError, with the line, for one that is none; as :func:`read_bytes`."""
    text = read_text(path, most)
    try:
        return parse_json(text)
    except NotJson as error:
        where = f"{path}:{error.line}" if error.line else f"{path}"
        raise InputError(f"{where}: {error}") from None


@contextmanager
def open_arrays(path: Path) -> Iterator[Any]:
    """What ``numpy.load`` makes of a .npy or .npz file, without pickles, once its promises were checked.

    Raises:
        ValueError: an array that promises more than its file holds, or an archive that unpacks to far more than it is.
        Exception: whatever else NumPy and zipfile raise for a damaged file.
    """
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            check_archive(file)
        else:
            file.seek(0)
            check_array(file, path.stat().st_size)
        file.seek(0)
        yield np.load(file, allow_pickle=False)


def map_array(path: Path) -> NDArray[Any]:
    """A .npy file as an array that comes into memory as it is read; what is written to it stays in memory.

    Raises:
        ValueError: its header promises more than it holds.
        Exception: whatever else NumPy raises for a damaged file.
    """
    with path.open("rb") as file:
        check_array(file, path.stat().st_size)
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))


def check_archive(file: BinaryIO) -> None:
    """ValueError unless every array of an archive is within what it unpacks to, and that within bounds."""
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        whole, packed = (sum(getattr(each, name) for each in members) for name in ("file_size", "compress_size"))
        if whole > max(UNPACKED, RATIO * packed):
            raise ValueError(f"an archive of {packed / 1e6:,.1f} MB that unpacks to {whole / 1e6:,.0f} MB")
        for each in members:
            if each.filename.endswith(".npy"):
                with archive.open(each) as member:
                    check_array(member, each.file_size)  # type: ignore[arg-type]


def check_array(file: BinaryIO, size: int) -> None:
    """ValueError unless an array whose file has so many bytes, from here on, holds what its header promises."""
    try:
        version = npy.read_magic(file)
        header = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
        file.seek(len(npy.magic(*version)))
    except Exception:  # not an array: NumPy says so better, and allocates nothing for it
        return
    if header > size:  # NumPy would make room for it before it looks
        raise ValueError(f"it promises a header of {header:,} bytes, and the file has {size:,}")
    try:
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    except Exception:  # not an array: NumPy says so better, and allocates nothing for it
        return
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not opened")
    promised, size = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised > size or promised < 0:
        raise ValueError(f"its header promises {shape} {dtype}, {promised:,} bytes, and the file has {size:,}")


def read_table(path: Path) -> Any:
    """A Parquet file as a table; ValueError, before it is read, for one whose columns unpack to far more than it is."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
        size = path.stat().st_size
        if 8 * values > max(UNPACKED, RATIO * size):
            raise ValueError(f"a table of {size / 1e6:,.1f} MB that unpacks to {8 * values / 1e6:,.0f} MB")
        return file.read()
