"""Features in: from a file, or from the caller's array, checked and brought to unit length."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from airfast.errors import InputError, in_one_line
from airfast.reading import open_arrays, read_table


def load_features(path: str | Path) -> torch.Tensor:
    """Read an (N, D) floating array from `.npy`, `.npz`, `.safetensors` or `.parquet`.

    An archive holds one array, or one named `features`. A Parquet file has D numeric columns, or one column named
    `features` of D-long lists. Raises InputError for everything that cannot be read as such.
    """
    return as_matrix(_read(Path(path), _READERS), str(path))


def load_groups(path: str | Path) -> NDArray[Any]:
    """Read a group a sample: a `.npy` array (N,) of integers or names, or column `group` of a `.csv` or `.parquet`."""
    return np.asarray(_read(Path(path), _GROUPS))


def as_matrix(array: Any, name: str) -> torch.Tensor:
    """Accept a torch tensor or NumPy array as (N, D) floating with N, D ≥ 1; anything else is an InputError."""
    if not isinstance(array, torch.Tensor):
        if isinstance(array, np.ma.MaskedArray):
            raise InputError(f"{name}: expected an array, found a masked one, whose mask would be lost")
        array = np.asarray(array)
        if array.dtype.kind != "f":
            raise InputError(f"{name}: expected a floating dtype, found {array.dtype}")
        # torch takes no other byte order than the machine's, and nothing wider than 8 bytes.
        taken = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.dtype(np.float64)
        array = torch.from_numpy(np.ascontiguousarray(array, dtype=taken))
    matrix: torch.Tensor = array.detach()
    if not matrix.is_floating_point():
        raise InputError(f"{name}: expected a floating dtype, found {str(matrix.dtype).removeprefix('torch.')}")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(f"{name}: expected a non-empty (N, D) array, found shape {tuple(matrix.shape)}")
    return matrix


def finite_rows(matrix: torch.Tensor, name: str) -> torch.Tensor:
    """The matrix as contiguous float32; NaN or infinity is an InputError that names the first row."""
    matrix = matrix.to(torch.float32).contiguous()
    # A row's sum is finite unless it holds NaN or infinity, or overflows: only suspects are looked at closely.
    suspects = (~torch.isfinite(matrix.sum(1))).nonzero().flatten()
    bad = suspects[~torch.isfinite(matrix[suspects]).all(1)]
    if len(bad):
        raise InputError(f"{name}: row {int(bad[0])} holds a NaN or infinite value")
    return matrix


def unit_rows(matrix: torch.Tensor, name: str) -> torch.Tensor:
    """Rows scaled to unit length, (N, D) float32, computed in float64; a zero row is an InputError that names it."""
    matrix = finite_rows(matrix, name)
    unit = torch.empty_like(matrix)
    norm = torch.empty((len(matrix), 1), dtype=torch.float64, device=matrix.device)
    block = max(1, (1 << 22) // matrix.shape[1])  # rows; 32 MB of float64 at a time
    for start in range(0, len(matrix), block):
        part = slice(start, start + block)
        rows = matrix[part].double()
        norm[part] = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        unit[part] = rows / norm[part]
    zero = (norm.flatten() == 0).nonzero()  # asked once: every question waits for the device
    if len(zero):
        raise InputError(f"{name}: row {int(zero[0])} is a zero vector and has no direction")
    return unit


def _read(path: Path, readers: dict[str, Callable[[Path], Any]]) -> Any:
    """What the reader of a file's ending makes of it; InputError for everything that it cannot."""
    read = readers.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: expected one of {', '.join(readers)}, found '{path.suffix}'")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        return read(path)
    except InputError:
        raise
    except Exception as error:  # each format fails in its own way; the user needs one line
        raise InputError(f"{path}: cannot be read as {path.suffix[1:]} ({in_one_line(error)})") from error


def _read_npy(path: Path) -> Any:
    with open_arrays(path) as array:
        return array


def _read_npz(path: Path) -> Any:
    with open_arrays(path) as archive:
        return archive[_only_name(list(archive), path)]


def _read_safetensors(path: Path) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as archive:
        return archive.get_tensor(_only_name(list(archive.keys()), path))


def _read_parquet(path: Path) -> Any:
    table = read_table(path)
    if "features" in table.column_names:
        return np.stack(table["features"].to_numpy())
    about = (table.schema.pandas_metadata or {}).get("index_columns", [])
    if index := [each for each in about if each in table.column_names]:
        raise InputError(
            f"{path}: column {index[0]!r} is the index of the table that was written, no feature; "
            "to_parquet(…, index=False) leaves it out"
        )
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _only_name(names: list[str], path: Path) -> str:
    if "features" in names:
        return "features"
    if len(names) == 1:
        return names[0]
    raise InputError(f"{path}: expected one array or one named 'features', found {', '.join(sorted(names)) or 'none'}")


def _group_of_csv(path: Path) -> Any:
    import pandas as pd  # here alone: the label stage starts without it

    table = pd.read_csv(path)
    return table[_group_column(table.columns, path)].to_numpy()


def _group_of_parquet(path: Path) -> Any:
    table = read_table(path)
    return table[_group_column(table.column_names, path)].to_numpy()


def _group_column(names: Iterable[str], path: Path) -> str:
    if "group" not in names:
        raise InputError(f"{path}: no column 'group'")
    return "group"


_GROUPS: dict[str, Callable[[Path], Any]] = {
    ".npy": _read_npy,
    ".csv": _group_of_csv,
    ".parquet": _group_of_parquet,
}
_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".parquet": _read_parquet,
}
