"""Which reader reads a file: told by its ending and, where an ending says little, by how it begins."""

import re
from collections.abc import Callable
from pathlib import Path

from airfast.data.readers.archives import read_archive
from airfast.data.readers.bvh import read_bvh
from airfast.data.readers.c3d import read_c3d
from airfast.data.readers.clip import SourceClip
from airfast.data.readers.egbm import is_egbm, read_egbm
from airfast.data.readers.frame_files import begins_as_frames, read_frames
from airfast.data.readers.gait import read_gait
from airfast.data.readers.imigue import is_imigue, read_imigue
from airfast.data.readers.ntu import read_ntu
from airfast.data.readers.openpose import is_openpose, read_openpose
from airfast.data.readers.pickles import read_pickle
from airfast.data.readers.smg import is_smg, read_smg


def read_bvh_clip(path: Path, name: str) -> list[SourceClip]:
    """The one clip of a BVH file."""
    bvh = read_bvh(path)
    return [SourceClip(name, bvh.positions, bvh.names, bvh.fps, notes=bvh.notes, parents=bvh.parents)]


def read_csv(path: Path, name: str) -> list[SourceClip]:
    """A table of frames, or SMG's, iMiGUE's or EGBM's."""
    special = {is_smg: read_smg, is_imigue: read_imigue, is_egbm: read_egbm}
    read = next((read for told, read in special.items() if told(path)), read_frames)
    return read(path, name)


def read_json(path: Path, name: str) -> list[SourceClip]:
    """A list of frames, or the take that one of OpenPose's frames is of."""
    return read_openpose(path, name) if is_openpose(path) else read_frames(path, name)


Reader = Callable[[Path, str], list[SourceClip]]
READERS: dict[str, Reader] = {
    ".bvh": read_bvh_clip,
    ".c3d": read_c3d,
    ".csv": read_csv,
    ".h5": read_gait,
    ".json": read_json,
    ".jsonl": read_frames,
    ".npy": read_archive,
    ".npz": read_archive,
    ".pkl": read_pickle,
    ".skeleton": read_ntu,
}
"""By ending: what reads the clips of a file, given what to call them."""
ENDINGS = tuple(READERS)
BESIDE = re.compile(r"labels.*\.h5|.*_label\.pkl|.*_num_frame\.npy|.*_(data|finelabels|label)\.csv", re.IGNORECASE)
"""Names of files that describe others."""


def is_motion(path: Path) -> bool:
    """Whether a file is one of motion: by its ending and, of .csv and .json, by how it begins."""
    ending = path.suffix.lower()
    if ending not in READERS or BESIDE.fullmatch(path.name):
        return False
    if ending == ".csv":
        return is_smg(path) or is_imigue(path) or is_egbm(path) or begins_as_frames(path)
    return ending != ".json" or is_openpose(path) or begins_as_frames(path)


def read_file(path: Path, name: str) -> list[SourceClip]:
    """The clips of a motion file.

    Args:
        path: the file.
        name: what to call its clip, or begin the names of its clips with.

    Raises:
        InputError: it cannot be read, or is not what its ending says.
    """
    return READERS[path.suffix.lower()](path, name)
