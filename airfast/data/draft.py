"""A layout drafted from a motion file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airfast.atomic import check_ending, write_text
from airfast.data.gate import body_size
from airfast.data.readers.choose import ENDINGS, read_file
from airfast.errors import InputError
from airfast.skeletons.draft import Draft, draft
from airfast.skeletons.draft_names import draft_names
from airfast.skeletons.layout import layout_from_record


@dataclass(frozen=True)
class FileDraft:
    """The nodes of a file, how deep each lies in its tree, and the draft of a layout."""

    names: tuple[str, ...]
    depths: tuple[int, ...]
    draft: Draft


def draft_layout(path: Path) -> FileDraft:
    """Draft a layout from a file whose joints have names: by names, the tree where there is one, and the body's size.

    Raises:
        InputError: a file that cannot be read, or one without names.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: expected a motion file, one that ends in {', '.join(ENDINGS)}")
    clip = read_file(path, path.name)[0]
    if clip.joints is None:
        raise InputError(
            f"{path}: its joints have no names; a layout for it is written by hand, in the order of its joints"
        )
    seen = clip.positions[np.isfinite(clip.positions).all(axis=(1, 2))].astype(np.float32)
    if clip.parents is None:
        named = draft_names(clip.joints).matched
        body = [name in named for name in clip.joints]  # not what lies beside it
        return FileDraft(clip.joints, (0,) * len(body), draft_names(clip.joints, body_size(seen[:, body])))
    depths: list[int] = []
    for parent in clip.parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    return FileDraft(clip.joints, tuple(depths), draft(clip.joints, clip.parents, body_size(seen)))


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
