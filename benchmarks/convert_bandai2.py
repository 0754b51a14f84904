"""Turn the positions archive of Bandai-Namco-Research Motion Dataset 2 into a prepared set.

    python benchmarks/convert_bandai2.py FOLDER OUT

FOLDER holds bandai2_positions.npz and labels.csv. The archive keeps x and z relative to the Hips in millimetres, to fit
16 bits; the path of the Hips (root_cm) is added back here. `content` becomes the group.
"""

import argparse
from pathlib import Path

import numpy as np

from airfast._version import __version__
from airfast.data.motion import MotionSet, file_sha256
from airfast.data.readers.labels import Columns, match_rows, read_labels
from airfast.data.readers.names import DATASETS
from airfast.errors import InputError
from airfast.skeletons.layout import load_layout

NOTE = "Bandai-Namco-Research Motion Dataset 2, © 2022 Bandai Namco Research Inc., CC BY-NC 4.0, arXiv 2306.08861"


def convert(archive: Path, labels: Path) -> MotionSet:
    """The archive as a prepared set: positions in metres, global."""
    layout = load_layout("bandai")
    with np.load(archive, allow_pickle=False) as source:
        if tuple(source["joints"]) != layout.joints:
            raise InputError(f"{archive}: expected the joints of layout bandai, found {', '.join(source['joints'])}")
        positions = source["pos_mm"].astype(np.float32) / 1000  # (F, 21, 3) metres
        positions[:, :, [0, 2]] += source["root_cm"][:, None, [0, 2]] / 100
        lengths, names = source["lengths"], tuple(str(name) for name in source["files"])
        fps = np.full(len(lengths), float(source["fps"]), dtype=np.float32)
    row_of, unmatched = match_rows(read_labels(labels, Columns()), names, labels)
    if unmatched or len(row_of) < len(names):
        raise InputError(
            f"{labels}: {len(unmatched)} rows without a clip, {len(names) - len(row_of)} clips without a row"
        )
    classes = tuple(sorted({row.label for row in row_of.values()}))
    return MotionSet(
        positions=positions,
        lengths=lengths.astype(np.int64),
        fps=fps,
        names=names,
        labels=np.array([classes.index(row_of[name].label) for name in names], dtype=np.int64),
        classes=classes,
        subjects=tuple(row_of[name].subject for name in names),
        groups=tuple(row_of[name].group for name in names),
        layout=layout,
        info={
            "name": "bandai2",
            "synthetic": False,
            "note": NOTE,
            "unit": "mm, cm",
            "families": {row.group: DATASETS["bandai"].family(row.group) for row in row_of.values()},
            "version": __version__,
            "sources": [{"file": path.name, "sha256": file_sha256(path)} for path in (archive, labels)],
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    motion = convert(arguments.folder / "bandai2_positions.npz", arguments.folder / "labels.csv")
    motion.save(arguments.out)
    print(f"{arguments.out}: {len(motion)} clips, {len(motion.positions)} frames")
