"""A first draft of a layout from the names and the tree of a file's joints.

Names say which limb and which side a joint is of; the tree says which joint of the limb it is. ``LeftArm`` is a
shoulder where ``LeftForeArm`` and ``LeftHand`` follow, and ``LeftShoulder`` a collar before it or a shoulder where
``LeftElbow`` and ``LeftWrist`` follow: the last joint of an arm before the fingers is the wrist, the one before it the
elbow, and so on up; the last of a leg before the toes is the ankle.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from typing import Any

from airfast.skeletons.layout import METRES, canonical_names, load_layout

SIDES = {"left": "left", "l": "left", "lft": "left", "right": "right", "r": "right", "rgt": "right"}
ARM = ("collar", "clav", "shoulder", "shldr", "arm", "humerus", "elbow", "radius", "wrist", "hand")
LEG = ("hip", "thigh", "femur", "buttock", "leg", "knee", "shin", "calf", "tibia", "foot", "ankle", "toe", "ball")
TOE = ("toe", "ball")
NO_BODY = (
    *("thumb", "index", "middle", "ring", "pinky", "little", "finger", "inhand", "palm", "meta", "prop", "weapon"),
    *("eye", "jaw", "tongue", "teeth", "brow", "cheek", "lip", "hair", "ponytail", "breast", "bust", "skirt", "tail"),
    *("twist", "roll", "helper", "nub", "corrective", "socket", "ik", "site", "end"),
)
UPPER_ARM = ("wrist", "elbow", "shoulder", "collar")  # from the end of the arm upwards
UPPER_LEG = ("ankle", "knee", "hip")
PARTS = {"hip": "thigh", "knee": "thigh", "ankle": "shank", "foot": "shank"}
PARTS |= {"collar": "", "shoulder": "upper_arm", "elbow": "upper_arm", "wrist": "forearm", "hand": "forearm"}
TWIN = {"left": "right", "right": "left"}
USUAL = (1.2, 2.1)  # metres, longest side of a standing body: what a unit must give to be believed


@dataclass(frozen=True)
class Draft:
    """A drafted layout.

    Attributes:
        record: the contents of its JSON file.
        matched: the canonical joint of each joint that has one, by its name in the file.
        doubts: what could not be told, a line each; a layout without all that is needed cannot be loaded.
    """

    record: dict[str, Any]
    matched: dict[str, str]
    doubts: tuple[str, ...]


def draft(names: Sequence[str], parents: Sequence[int], size: float | None = None) -> Draft:
    """Match joints to the canonical ones and draft parts, mirror and unit.

    Args:
        names: of the nodes, parents first; End Sites are ``<joint>_end``.
        parents: index of each node's parent, -1 for a root.
        size: the longest side of the body in the file's unit, for a guess at the unit.
    """
    tree = Tree(names, parents)
    matched: dict[int, str] = {}
    for side in ("left", "right"):
        matched |= arm(tree, side) | leg(tree, side)
    matched |= trunk(tree, {canonical: node for node, canonical in matched.items()})
    doubts = [f"no {joint}" for joint in canonical_names() if needed(joint) and joint not in matched.values()]
    doubts += list(strange(tree, matched))
    kept = sorted({*matched, *between(tree, matched)})
    unit, doubt = guessed_unit(size)
    left_out = [escape(name) for node, name in enumerate(names) if node not in kept and not name.endswith("_end")]
    record = {
        "note": "Drafted by airfast from the names and the tree of a file.",
        "unit": unit,
        "shoulders": [
            next((names[node] for node, joint in matched.items() if joint == f"{side}_shoulder"), None)
            for side in ("left", "right")
        ],
        "drop": left_out,
        "aliases": {},
        **{level: load_layout("canonical").record()[level] for level in ("high", "low")},
        "joints": [joint_record(tree, node, kept, matched) for node in kept],
    }
    return Draft(record, {names[node]: joint for node, joint in sorted(matched.items())}, (*doubts, *doubt))


def needed(joint: str) -> bool:
    """Whether a layout is of no use without this canonical joint; others are placed between their neighbours."""
    return joint in ("pelvis", "head") or joint.endswith(("shoulder", "elbow", "wrist", "_hip", "knee", "ankle"))


def strange(tree: "Tree", matched: dict[int, str]) -> Iterator[str]:
    """What speaks against a match: a joint whose twin is missing, a joint of no known name within a limb."""
    for node, joint in sorted(matched.items()):
        side, _, rest = joint.partition("_")
        twin = TWIN.get(side)
        if twin is None:
            continue
        if f"{twin}_{rest}" not in matched.values():
            yield f"{tree.names[node]} is taken for {joint}, and there is no {twin}_{rest}"
        for above in list(tree.above(node))[1:]:
            if matched.get(above, "").startswith(side) or matched.get(above) == "pelvis" or tree.parents[above] < 0:
                break
            if rest not in ("collar", "shoulder", "hip") and not no_body(tree.names[above], tree.words[above]):
                yield f"{tree.names[above]}, above {tree.names[node]} ({joint})"


class Tree:
    """The nodes of a file, with what their names say."""

    def __init__(self, names: Sequence[str], parents: Sequence[int]) -> None:
        self.names, self.parents = tuple(names), tuple(parents)
        said = [said_by(name) for name in without_prefix(names)]
        self.sides, self.words = [side for side, _ in said], [word for _, word in said]

    def above(self, node: int) -> Iterator[int]:
        """A node and those above it, up to the root."""
        while node >= 0:
            yield node
            node = self.parents[node]

    def common(self, nodes: Sequence[int]) -> int | None:
        """The lowest node that is above, or is, each of these."""
        if not nodes:
            return None
        shared = set.intersection(*(set(self.above(node)) for node in nodes))
        return next((node for node in self.above(nodes[0]) if node in shared), None)

    def chain(self, side: str, words: Sequence[str]) -> list[int]:
        """The nodes of a limb from the trunk outwards: of those that are named so, the longest line."""
        of_limb = {
            node
            for node, word in enumerate(self.words)
            if self.sides[node] == side and has(word, words) and not no_body(self.names[node], word)
        }
        lines = [[each for each in self.above(node) if each in of_limb][::-1] for node in sorted(of_limb)]
        return max(lines, key=len, default=[])


def arm(tree: Tree, side: str) -> dict[int, str]:
    """Collar to hand of one side, by node."""
    chain = tree.chain(side, ARM)
    found = {}
    if len(chain) > 3 and has(tree.words[chain[-1]], ("hand",)) and has(tree.words[chain[-2]], ("wrist",)):
        found[chain.pop()] = f"{side}_hand"
    return found | {node: f"{side}_{joint}" for node, joint in zip(reversed(chain), UPPER_ARM, strict=False)}


def leg(tree: Tree, side: str) -> dict[int, str]:
    """Hip to foot of one side, by node; a foot without toes ends in its End Site."""
    chain = tree.chain(side, LEG)
    toes = [node for node in chain if has(tree.words[node], TOE)]
    upper = [node for node in chain if node not in toes]
    if not toes and len(upper) > 3 and has(tree.words[upper[-2]], ("ankle",)):
        toes = [upper.pop()]  # a foot beyond an ankle
    found = {node: f"{side}_{joint}" for node, joint in zip(reversed(upper), UPPER_LEG, strict=False)}
    ends = [node for node, name in enumerate(tree.names) if upper and name == f"{tree.names[upper[-1]]}_end"]
    return found | dict.fromkeys((toes or ends)[:1], f"{side}_foot")


def trunk(tree: Tree, limbs: dict[str, int]) -> dict[int, str]:
    """Pelvis, spine, neck and head, by node; ``limbs`` are the nodes of canonical joints found so far."""
    middle = [
        node for node, word in enumerate(tree.words) if not tree.sides[node] and not no_body(tree.names[node], word)
    ]
    found: dict[int, str] = {}
    legs = tree.common([limbs[joint] for joint in ("left_hip", "right_hip") if joint in limbs])
    over_legs = list(tree.above(legs)) if legs is not None else []
    named = [node for node in over_legs if has(tree.words[node], ("hip", "pelvis"))]
    pelvis = next(iter([*named, *over_legs]), None)
    head = next((node for node in middle if has(tree.words[node], ("head",))), None)
    if pelvis is not None:
        found[pelvis] = "pelvis"
    if head is None:
        return found
    found[head] = "head"
    necks = [node for node in middle if has(tree.words[node], ("neck",)) and node in tree.above(head)]
    if necks:
        found[necks[0]] = "neck"
    arms = [limbs[joint] for joint in ("left_shoulder", "right_shoulder") if joint in limbs]
    chest = tree.common([*arms, head])
    if pelvis is None or chest is None:
        return found
    spine = [node for node in tree.above(chest) if node in middle and node not in found and pelvis in tree.above(node)]
    spine.reverse()
    places = {0: (), 1: ("spine3",), 2: ("spine1", "spine3")}.get(len(spine), ("spine1", "spine2", "spine3"))
    return found | dict(zip([*spine[: len(places) - 1], *spine[-1:]], places, strict=True))


def between(tree: Tree, matched: dict[int, str]) -> list[int]:
    """Nodes of the trunk between matched ones: further vertebrae, kept without a canonical name."""
    on_the_way = {
        each
        for node, joint in matched.items()
        if not joint.startswith(("left", "right"))
        for each in tree.above(node)
        if any(matched.get(above) == "pelvis" for above in tree.above(each))
    }
    return [node for node in on_the_way if not no_body(tree.names[node], tree.words[node])]


def joint_record(tree: Tree, node: int, kept: Sequence[int], matched: dict[int, str]) -> dict[str, Any]:
    """The entry of one joint in the layout's file."""
    joint = matched.get(node)
    parent = next((above for above in tree.above(tree.parents[node]) if above in kept), None)
    side, _, rest = (joint or "").partition("_")
    record = {"name": tree.names[node], "parent": None if parent is None else tree.names[parent]}
    twin = TWIN.get(side)
    if twin is None:
        head = joint == "head" or any(matched.get(above) == "neck" for above in tree.above(node))
        return record | {"part": "head" if head else "torso", "canonical": joint}
    mirror = next((tree.names[other] for other, name in matched.items() if name == f"{twin}_{rest}"), tree.names[node])
    return record | {"part": f"{side}_{PARTS[rest]}" if PARTS[rest] else "torso", "mirror": mirror, "canonical": joint}


def guessed_unit(size: float | None) -> tuple[str, tuple[str, ...]]:
    """The unit in which a body of this size is a person's, and a doubt where there is none or more than one."""
    fit = [unit for unit, metres in METRES.items() if size is not None and USUAL[0] <= size * metres <= USUAL[1]]
    if len(fit) == 1:
        return fit[0], ()
    found = "" if size is None else f"; the body's longest side is {size:.3g}"
    return "cm", (f"the unit: cm is written{found}",)


def without_prefix(names: Sequence[str]) -> list[str]:
    """Names without what all of them begin with, up to a mark (``mixamorig:``, ``Bip01 ``), or namespaces."""
    bare = [name.rpartition(":")[2] for name in names]
    marked = [
        match.group() for name in bare if (match := re.match(r"[A-Za-z]+\d*[ _.\-]|mixamorig\d*|Character\d+_", name))
    ]
    common = max(set(marked), key=marked.count, default="")
    if common and marked.count(common) * 2 > len(bare) and common.strip(" _.-").lower() not in SIDES:
        bare = [name.removeprefix(common) for name in bare]
    return bare


def said_by(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and body word (lower case, without digits) of a joint's name."""
    tokens = [each.lower() for each in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)]
    side = next((SIDES[each] for each in tokens if each in SIDES), "")
    word = "".join(each for each in tokens if each not in SIDES)
    if not side:  # lowercase and joined: leftarm, rthigh
        for mark in ("left", "right", "l", "r"):
            rest = word.removeprefix(mark)
            if rest != word and rest.startswith((*ARM, *LEG, "up", "fore", "lower")):
                return SIDES[mark], rest
    return side, word


def has(word: str, pieces: Sequence[str]) -> bool:
    """Whether a word contains one of these."""
    return any(piece in word for piece in pieces)


def no_body(name: str, word: str) -> bool:
    """Whether a node is of a hand, a face or a prop, or of what an animator needs; End Sites are none either."""
    return name.endswith("_end") or has(word, NO_BODY) or not word
