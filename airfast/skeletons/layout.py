"""Skeleton layouts: joint names, tree, left/right pairs and body parts, as data.

A layout is one JSON file; those shipped lie in `layouts/` beside this module, and a path to another works the same.
Its keys:

    note       what is known and what is inferred of the source format (text)
    unit       "m", "cm" or "mm": the unit of the source files
    shoulders  [left, right] joint names, used to find which way a body faces
    drop       source joints to leave out, shell patterns allowed
    aliases    {source name: joint name}
    points     names of the points of a source without names, in its order; the joints if left out
    derived    {joint: {"mean": [names of points]}}: joints in the middle of others, where a source has none of the name
    high       {part: {"parent": part or null}}: the coarse parts (HA), usually four limbs and the trunk
    low        {part: {"parent": part or null, "high": part}}: the fine parts (LA), usually ten
    joints     [{"name", "parent": name or null, "part": low part, "mirror": name (self if left out),
                "canonical": name of the matching joint of the canonical layout (none if left out)}]

An End Site of a BVH file is called `<joint>_end`.

Low parts follow Fig. 3 of the paper: upper and lower segment of each limb, head, torso. A limb's upper segment owns
both its end joints (shoulder and elbow, hip and knee), so that the mean of the part is the middle of the segment and
moves with it; the lower segment owns what lies beyond. Collars belong to the torso, the neck to the head.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from airfast.errors import InputError
from airfast.reading import SETTINGS, read_json

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "ft": 0.3048}
"""Metres in one unit of length."""


@dataclass(frozen=True)
class Layout:
    """A skeleton of J joints: its tree, its mirror and its partition into body parts.

    Attributes:
        name: the name it was loaded by.
        joints: (J,) joint names.
        parents: (J,) index of each joint's parent, -1 for the root.
        mirror: (J,) permutation that swaps left and right.
        low: (J,) low (LA) part of each joint, an index into `low_names`.
        high: (J,) high (HA) part of each joint, an index into `high_names`; a coarsening of `low`.
        low_names: names of the low parts.
        low_parents: parent of each low part, -1 for the torso.
        high_names: names of the high parts.
        high_parents: parent of each high part, -1 for the trunk.
        canonical: (J,) name of the matching joint of the `canonical` layout, or None.
        shoulders: joint indices of the (left, right) shoulder.
        drop: patterns of source joints to leave out.
        aliases: source joint name -> joint name.
        points: names of a source's points where it does not name them, in its order; () for those of `joints`.
        derived: joint -> the points that it is the mean of.
        unit: unit of the source files: "m", "cm" or "mm".
        note: what is inferred of the format.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    low_names: tuple[str, ...]
    low_parents: tuple[int, ...]
    high_names: tuple[str, ...]
    high_parents: tuple[int, ...]
    canonical: tuple[str | None, ...]
    shoulders: tuple[int, int]
    drop: tuple[str, ...]
    aliases: Mapping[str, str]
    points: tuple[str, ...]
    derived: Mapping[str, tuple[str, ...]]
    unit: str
    note: str

    @property
    def root(self) -> int:
        """Index of the root joint."""
        return self.parents.index(-1)

    @property
    def arms(self) -> frozenset[int]:
        """Joints of the coarse parts that own a shoulder."""
        limbs = {self.high[joint] for joint in self.shoulders}
        return frozenset(joint for joint, part in enumerate(self.high) if part in limbs)

    @property
    def legs(self) -> frozenset[int]:
        """Joints of the limbs that are no arms: what hangs on another coarse part and owns no shoulder."""
        limbs = {part for part, parent in enumerate(self.high_parents) if parent >= 0}
        return frozenset(joint for joint, part in enumerate(self.high) if part in limbs) - self.arms

    def record(self) -> dict[str, Any]:
        """The layout as the contents of its JSON file; `layout_from_record` is the inverse."""
        high_of = dict(zip(self.low, self.high, strict=True))
        return {
            "note": self.note,
            "unit": self.unit,
            "shoulders": [self.joints[i] for i in self.shoulders],
            "drop": list(self.drop),
            "aliases": dict(self.aliases),
            "points": list(self.points),
            "derived": {joint: {"mean": list(sources)} for joint, sources in self.derived.items()},
            "high": {
                part: {"parent": _name(self.high_names, p)} for part, p in _pairs(self.high_names, self.high_parents)
            },
            "low": {
                part: {"parent": _name(self.low_names, p), "high": self.high_names[high_of[i]]}
                for i, (part, p) in enumerate(_pairs(self.low_names, self.low_parents))
            },
            "joints": [self._joint_record(i) for i in range(len(self.joints))],
        }

    def _joint_record(self, i: int) -> dict[str, Any]:
        return {
            "name": self.joints[i],
            "parent": _name(self.joints, self.parents[i]),
            "part": self.low_names[self.low[i]],
            "mirror": self.joints[self.mirror[i]],
            "canonical": self.canonical[i],
        }


def known_layouts() -> tuple[str, ...]:
    """Names of the layouts that are shipped, sorted."""
    entries = (files("airfast.skeletons") / "layouts").iterdir()
    return tuple(sorted(entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")))


def _shipped(name: str) -> Any:
    return json.loads((files("airfast.skeletons") / "layouts" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def canonical_names() -> tuple[str, ...]:
    """Joints of the layout ``canonical``, in its order: those that joints of every layout can be matched to."""
    return tuple(row["name"] for row in _shipped("canonical")["joints"])


def load_layout(name_or_path: str | Path) -> Layout:
    """Load a shipped layout by name, or any layout from the path of its `.json` file.

    Raises:
        InputError: no such layout (the known ones are listed, the nearest first), or its file is not valid.
    """
    known = known_layouts()
    if str(name_or_path) in known:
        name = str(name_or_path)
        return layout_from_record(_shipped(name), name)
    path = Path(name_or_path)
    if path.suffix == ".json" and path.is_file():
        return layout_from_record(_read_json(path), path.stem, str(path))
    near = get_close_matches(str(name_or_path).lower(), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"unknown layout {str(name_or_path)!r}: {hint}known are {', '.join(known)}, or the path of a .json file"
    )


def layout_from_record(record: Any, name: str, where: str | None = None) -> Layout:
    """Check the contents of a layout file and build the Layout.

    Args:
        record: the parsed JSON (see the module's docstring).
        name: the layout's name.
        where: the file named in error messages; the layout's name if left out.

    Raises:
        InputError: a key is missing, a name is unknown, or the tree, the mirror or the partition is not sound.
    """
    where = where or f"layout {name}"
    try:
        layout = _build(record, name, where)
    except InputError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{where}: not a layout, missing or malformed entry {error}") from error
    _check(layout, where)
    return layout


KEYS = {
    "layout": ("note", "unit", "shoulders", "drop", "aliases", "points", "derived", "high", "low", "joints", "name"),
    "joint": ("name", "parent", "part", "mirror", "canonical"),
    "high part": ("parent",),
    "low part": ("parent", "high"),
    "derived joint": ("mean",),
}


def _unknown_keys(record: Mapping[str, Any]) -> list[str]:
    """A line for every key that a layout has no use for: most likely one that is spelt wrongly."""
    entries = [("layout", "", record), *(("joint", f" of {row['name']!r}", row) for row in record["joints"])]
    entries += [
        (f"{level} part", f" of {name!r}", row) for level in ("high", "low") for name, row in record[level].items()
    ]
    entries += [("derived joint", f" of {name!r}", row) for name, row in record.get("derived", {}).items()]
    faults = []
    for kind, whose, row in entries:
        for key in [key for key in row if key not in KEYS[kind]]:
            faults.append(f"unknown key {key!r}{whose}{_hint(key, KEYS[kind])}")
    return faults


def _build(record: Mapping[str, Any], name: str, where: str) -> Layout:
    rows: Sequence[Mapping[str, Any]] = record["joints"]
    if faults := _unknown_keys(record):
        raise InputError(f"{where}: {'; '.join(faults)}")
    low_rows: Mapping[str, Mapping[str, Any]] = record["low"]
    joints = tuple(str(row["name"]) for row in rows)
    low_names, high_names = tuple(low_rows), tuple(record["high"])
    low = tuple(_named(low_names, row["part"], "part", where) for row in rows)
    high_of_low = [_named(high_names, row["high"], "part", where) for row in low_rows.values()]
    left, right = (_named(joints, joint, "joint", where) for joint in record["shoulders"])
    return Layout(
        name=name,
        joints=joints,
        parents=tuple(_index(joints, row["parent"], "joint", where) for row in rows),
        mirror=tuple(_named(joints, row.get("mirror", row["name"]), "joint", where) for row in rows),
        low=low,
        high=tuple(high_of_low[part] for part in low),
        low_names=low_names,
        low_parents=tuple(_index(low_names, row["parent"], "part", where) for row in low_rows.values()),
        high_names=high_names,
        high_parents=tuple(_index(high_names, row["parent"], "part", where) for row in record["high"].values()),
        canonical=_canonical(rows, where),
        shoulders=(left, right),
        drop=tuple(record.get("drop", ())),
        aliases=dict(record.get("aliases", {})),
        points=tuple(map(str, record.get("points", ()))),
        derived={str(name): tuple(map(str, row["mean"])) for name, row in record.get("derived", {}).items()},
        unit=str(record["unit"]),
        note=str(record.get("note", "")),
    )


def _canonical(rows: Sequence[Mapping[str, Any]], where: str) -> tuple[str | None, ...]:
    """The canonical joint of each joint; InputError for one that there is not, or that two joints claim."""
    named = [row.get("canonical") for row in rows]
    faults = []
    for name in sorted({str(name) for name in named if name}):
        if name not in canonical_names():
            faults.append(f"unknown canonical joint {name!r}{_hint(name, canonical_names())}")
        elif named.count(name) > 1:
            faults.append(f"canonical joint {name!r} is given to {named.count(name)} joints")
    if faults:
        raise InputError(f"{where}: {'; '.join(faults)}")
    return tuple(named)


def _check(layout: Layout, where: str) -> None:
    """Raise InputError, which lists all that is wrong, unless tree, mirror, parts and shoulders are sound."""
    if faults := list(_faults(layout)):
        raise InputError(f"{where}: {'; '.join(faults)}")


def _faults(layout: Layout) -> Iterator[str]:
    twice = {joint for joint in layout.joints if layout.joints.count(joint) > 1}
    yield from (f"joint {joint!r} is listed twice" for joint in sorted(twice))
    trees = (
        (layout.joints, layout.parents),
        (layout.low_names, layout.low_parents),
        (layout.high_names, layout.high_parents),
    )
    for names, parents in trees:
        yield from _tree_faults(names, parents)
    for i, j in enumerate(layout.mirror):
        if layout.mirror[j] != i:
            yield f"{layout.joints[i]!r} mirrors {layout.joints[j]!r}, which does not mirror it back"
    for names, owners in ((layout.low_names, layout.low), (layout.high_names, layout.high)):
        yield from (f"part {names[part]!r} owns no joint" for part in sorted(set(range(len(names))) - set(owners)))
    left, right = layout.shoulders
    if left == right:
        yield f"both shoulders are {layout.joints[left]!r}, expected two joints"
    elif layout.mirror[left] != right:
        yield f"shoulders: {layout.joints[left]!r} and {layout.joints[right]!r} do not mirror each other"
    elif any((layout.canonical[joint] or "").startswith(other) for joint, other in ((left, "right"), (right, "left"))):
        yield f"shoulders: expected left and right, found {layout.joints[left]!r} and {layout.joints[right]!r}"
    yield from _derived_faults(layout)
    if layout.unit not in METRES:
        yield f"unit {layout.unit!r} is not one of {', '.join(METRES)}"


def _derived_faults(layout: Layout) -> Iterator[str]:
    for joint, sources in layout.derived.items():
        if joint not in layout.joints:
            yield f"derived joint {joint!r} is none of the joints{_hint(joint, layout.joints)}"
        if not sources:
            yield f"derived joint {joint!r}: expected the names that it is the mean of, found none"
        for source in sources:
            if source in layout.derived:
                yield f"derived joint {joint!r}: {source!r} is derived itself"
            elif layout.points and source not in layout.points:
                yield f"derived joint {joint!r}: unknown point {source!r}{_hint(source, layout.points)}"


def _tree_faults(names: Sequence[str], parents: Sequence[int]) -> Iterator[str]:
    roots = [name for name, parent in _pairs(names, parents) if parent < 0]
    if len(roots) != 1:
        yield f"expected one root (parent null), found {len(roots)}: {', '.join(roots) or 'none'}"
    for start in range(len(names)):
        node, steps = start, 0
        while parents[node] >= 0 and steps <= len(names):
            node, steps = parents[node], steps + 1
        if steps > len(names):
            yield f"{names[start]!r} hangs on a cycle of parents"
            return


def _named(names: Sequence[str], name: str | None, kind: str, where: str) -> int:
    """As `_index`, of what cannot be left out."""
    if name is None:
        raise InputError(f"{where}: expected the name of a {kind}, found null")
    return _index(names, name, kind, where)


def _index(names: Sequence[str], name: str | None, kind: str, where: str) -> int:
    if name is None:
        return -1
    if name not in names:
        raise InputError(f"{where}: unknown {kind} {name!r}{_hint(name, names)}")
    return names.index(name)


def _hint(word: object, known: Sequence[str]) -> str:
    near = get_close_matches(str(word), known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _name(names: Sequence[str], index: int) -> str | None:
    return None if index < 0 else names[index]


def _pairs(names: Sequence[str], parents: Sequence[int]) -> list[tuple[str, int]]:
    return list(zip(names, parents, strict=True))


def _read_json(path: Path) -> Any:
    return read_json(path, SETTINGS)
