"""A layout drafted from a motion file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airfast.atomic import check_ending, write_text
from airfast.data.gate import body_size
from airfast.data.readers.bvh import read_bvh
from airfast.errors import InputError
from airfast.skeletons.draft import Draft, draft
from airfast.skeletons.layout import layout_from_record


@dataclass(frozen=True)
class FileDraft:
    """The nodes of a file, how deep each lies in its tree, and the draft of a layout."""

    names: tuple[str, ...]
    depths: tuple[int, ...]
    draft: Draft


def draft_layout(path: Path) -> FileDraft:
    """Draft a layout from a BVH file: joints by their names and places, unit by the size of the body.

    Raises:
        InputError: no BVH file, or one that cannot be read.
    """
    if path.suffix.lower() != ".bvh":
        raise InputError(f"{path}: expected a .bvh file, whose joints have names; arrays need a layout that is written")
    bvh = read_bvh(path)
    depths: list[int] = []
    for parent in bvh.parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    size = body_size(bvh.positions.astype(np.float32))
    return FileDraft(bvh.names, tuple(depths), draft(bvh.names, bvh.parents, size))


def write_draft(found: FileDraft, out: Path) -> None:
    """Write a draft as a layout file, whether or not all could be told.

    Raises:
        InputError: another ending than .json, or a draft that lacks what a layout must have (it is written before, to
            be completed by hand).
    """
    check_ending(out, (".json",))
    write_text(out, json.dumps(found.draft.record, indent=1, ensure_ascii=False) + "\n")
    try:
        layout_from_record(found.draft.record, out.stem, str(out))
    except InputError as error:
        raise InputError(f"{error} (the draft is written; complete it by hand)") from None
