"""A first draft of a layout from the names of points alone: markers, tables and lines of frames have no tree.

``LeftShoulder``, ``l_shoulder``, ``Shoulder.L`` and ``LSHO`` are one joint by their side and their word. The tree is
the canonical one; a pelvis, neck or head that no point is named after is the mean of the points beside it.
"""

from collections.abc import Sequence
from glob import escape
from typing import Any

from airfast.skeletons.draft import (
    PARTS,
    SIDES,
    TWIN,
    Draft,
    guessed_unit,
    has,
    needed,
    no_body,
    said_by,
    without_prefix,
)
from airfast.skeletons.layout import canonical_names, load_layout

OF_A_SIDE = {
    "collar": ("collar", "clav"),
    "shoulder": ("shoulder", "shldr", "sho", "upperarm", "uparm"),
    "elbow": ("elbow", "elb", "forearm", "lowerarm"),
    "wrist": ("wrist", "wra", "wri", "hand"),
    "hand": ("hand", "fin"),
    "hip": ("hip", "thigh", "upleg", "upperleg", "asi"),
    "knee": ("knee", "kne", "shin", "calf", "lowerleg"),
    "ankle": ("ankle", "ank", "foot"),
    "foot": ("foot", "toe"),
}
"""Words of a joint, the surest first; a point is one joint, so that a hand is a wrist only where no wrist is named."""
OF_THE_TRUNK = {
    "pelvis": ("pelvis", "hips", "midhip", "hip", "root", "sacr"),
    "neck": ("neck",),
    "head": ("head",),
}
SPINE = ("abdomen", "waist", "spine", "torso", "thorax", "chest")
MEANS = {
    "pelvis": ("hip",),
    "neck": ("shoulder",),
    "head": ("ear", "eye", "nose"),
}
"""What stands in for a joint that is not named: the midst of a pair, by joint or word, or one point of neither side."""


def draft_names(names: Sequence[str], size: float | None = None) -> Draft:
    """Match points to the canonical joints and draft tree, parts, mirror and unit.

    Args:
        names: of the points, in any order.
        size: the longest side of the body in the file's unit, for a guess at the unit.
    """
    said = dict(zip(names, map(side_and_word, without_prefix(names)), strict=True))
    matched = named(said)
    derived = means(said, {joint: name for name, joint in matched.items()})
    canonical = load_layout("canonical").record()
    parents = {each["name"]: each["parent"] for each in canonical["joints"]}
    present = {joint: name for name, joint in matched.items()} | {joint: joint for joint in derived}
    unit, doubt = guessed_unit(size)
    missing = [f"no {joint}" for joint in canonical_names() if needed(joint) and joint not in present]
    used = {*matched, *(each for several in derived.values() for each in several)}
    record = {
        "note": "Drafted by airfast from the names of a file's points.",
        "unit": unit,
        "shoulders": [present.get(f"{side}_shoulder") for side in ("left", "right")],
        "drop": [escape(name) for name in names if name not in used],
        "aliases": {},
        **({"derived": {joint: {"mean": list(each)} for joint, each in derived.items()}} if derived else {}),
        **{level: canonical[level] for level in ("high", "low")},
        "joints": [entry(joint, present, parents) for joint in canonical_names() if joint in present],
    }
    return Draft(record, matched | {joint: joint for joint in derived}, (*missing, *doubt))


def side_and_word(name: str) -> tuple[str, str]:
    """As :func:`airfast.skeletons.draft.said_by`, of the short names of markers too: ``LSHO``, ``RKNE``."""
    side, word = said_by(name)
    rest = word[1:]
    if (
        not side
        and word[:1] in SIDES
        and rest.startswith(tuple(each for words in OF_A_SIDE.values() for each in words))
    ):
        return SIDES[word[0]], rest
    return side, word


def named(said: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The canonical joint of every point that is named after one, from the side and the word of all."""
    free = [name for name in said if not no_body(name, said[name][1])]
    matched: dict[str, str] = {}
    wanted = [(side, f"{side}_{joint}", words) for side in TWIN for joint, words in OF_A_SIDE.items()]
    wanted += [("", joint, words) for joint, words in OF_THE_TRUNK.items()]
    for side, joint, words in wanted:
        there = [name for word in words for name in free if said[name][0] == side and has(said[name][1], (word,))]
        if there:
            matched[there[0]] = joint
            free.remove(there[0])
    spine = [name for word in SPINE for name in free if not said[name][0] and has(said[name][1], (word,))]
    spine = list(dict.fromkeys(spine))  # upwards, if the file lists one kind of vertebra so
    places = {0: (), 1: ("spine3",), 2: ("spine1", "spine3")}.get(len(spine), ("spine1", "spine2", "spine3"))
    return matched | dict(zip([*spine[: len(places) - 1], *spine[-1:]], places, strict=True))


def means(said: dict[str, tuple[str, str]], of: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The points in whose midst a joint of the trunk lies that none is named after; ``of``: points by their joint."""
    found: dict[str, tuple[str, ...]] = {}
    for joint, words in MEANS.items():
        for word in words:
            pair = [of.get(f"{side}_{word}") or beside(said, side, word) for side in TWIN]
            alone = beside(said, "", word)
            points = pair if all(pair) else [alone] if alone else []
            if joint not in of and joint not in found and points:
                found[joint] = tuple(map(str, points))
    return found


def beside(said: dict[str, tuple[str, str]], side: str, word: str) -> str | None:
    """The first point of a side whose name holds a word."""
    return next((name for name, (its, holds) in said.items() if its == side and has(holds, (word,))), None)


def entry(joint: str, present: dict[str, str], parents: dict[str, str | None]) -> dict[str, Any]:
    """The entry of one joint in the layout's file."""
    above = parents[joint]
    while above is not None and above not in present:
        above = parents[above]
    record = {"name": present[joint], "parent": None if above is None else present[above]}
    side, _, rest = joint.partition("_")
    twin = TWIN.get(side)
    if twin is None:
        return record | {"part": "head" if joint in ("neck", "head") else "torso", "canonical": joint}
    mirror = present.get(f"{twin}_{rest}", present[joint])
    return record | {"part": f"{side}_{PARTS[rest]}" if PARTS[rest] else "torso", "mirror": mirror, "canonical": joint}
