"""Files with a few bytes changed, lost or added: read as motion or refused in one line, never anything else.

Nor are they read for long, or with memory that a file of a few kilobytes has no need of.
"""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airfast.data.readers.choose import read_file
from airfast.errors import InputError
from tests.data.bvh_text import bvh
from tests.data.readers import formats
from tests.data.readers.formats import walk

NAMES = ("a", "b", "c")
LONG, LARGE = 15, 32e6  # seconds (a C3D file gets ten), bytes


def write_bvh(folder):
    path = folder / "a.bvh"
    path.write_text(bvh())
    return path


def write_npz(folder):
    path = folder / "a.npz"
    np.savez(path, positions=walk(4), fps=30)
    return path


WRITERS = {
    "bvh": write_bvh,
    "npz": write_npz,
    "skeleton": lambda folder: formats.write_ntu(folder, walk(25, 3)),
    "pkl": lambda folder: formats.write_pyskl(folder, walk(17, 3)),
    "jsonl": lambda folder: formats.write_lines(folder, walk(3, 3)),
    "json": lambda folder: formats.write_mediapipe(folder, walk(33, 3)),
    "csv": lambda folder: formats.write_table(folder, walk(3, 3), NAMES),
    "ctrgcn": lambda folder: formats.write_ctrgcn(folder, walk(25, 3)),
    "umurl": lambda folder: formats.write_umurl(folder, walk(25, 3)),
    "amass": lambda folder: formats.write_amass(folder, walk(24, 3)),
    "gait": lambda folder: formats.write_gait(folder, walk(16, 3)),
    "c3d": lambda folder: formats.write_c3d(folder, walk(3, 3), NAMES),
    "smg": lambda folder: formats.write_smg(folder, walk(25, 3)),
    "egbm": lambda folder: formats.write_egbm(folder, walk(25, 3)),
    "imigue": lambda folder: formats.write_imigue(folder, walk(35, 3)),
    "openpose": lambda folder: formats.write_openpose(folder, walk(25, 3)),
}
edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(("change", "cut", "add")), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", WRITERS)
def test_never_a_traceback(kind, tmp_path_factory):
    path = WRITERS[kind](tmp_path_factory.mktemp(kind))
    whole = path.read_bytes()
    examples = 8 if kind == "c3d" else 60  # each is a process

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(edits)
    def tried(changes):
        data = bytearray(whole)
        for place, how, value in changes:
            at = int(place * len(data))
            if how == "change" and data:
                data[at] = value
            elif how == "cut":
                del data[at : at + value]
            else:
                data[at:at] = bytes([value])
        path.write_bytes(bytes(data))
        began = time.monotonic()
        tracemalloc.reset_peak()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                clips = read_file(path, "x")
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017 (the line is what is looked at)
                clips = None
        assert time.monotonic() - began < LONG
        assert tracemalloc.get_traced_memory()[1] - before < LARGE
        if clips is None:
            return
        assert clips
        assert all(clip.positions.ndim == 3 and clip.positions.shape[2] == 3 for clip in clips)

    read_file(path, "x")  # imports what reading needs
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tried()
    finally:
        tracemalloc.stop()
