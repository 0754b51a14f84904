"""Any layout's joints as the canonical ones, by name: what makes two data sets one (METHOD 1)."""

import numpy as np
from numpy.typing import NDArray

from airfast.errors import InputError
from airfast.skeletons.layout import Layout

Weights = NDArray[np.float32]


def canonical_joints(layout: Layout, canonical: Layout) -> tuple[Weights, tuple[str, ...]]:
    """How the canonical joints follow from a layout's own, and which of them it lacks.

    A joint that the layout names is taken as it is. One that it lacks lies halfway between its nearest ancestor and
    the mean of its nearest descendants that are there (a spine or a collar), or where the one of the two is that
    exists (a hand on its wrist).

    Returns:
        (24, J) float32 weights whose rows sum to 1, and the names that are lacking.

    Raises:
        InputError: the layout names no canonical joint, or the same one twice, or is of a part of the body alone.
    """
    named = [name for name in layout.canonical if name is not None]
    if not named or len(set(named)) < len(named) or not set(named) <= set(canonical.joints):
        raise InputError(f"layout {layout.name}: its joints do not name canonical joints, each once, in 'canonical'")
    own = np.eye(len(layout.joints), dtype=np.float32)
    row: dict[str, Weights] = {name: own[layout.canonical.index(name)] for name in named}
    children: dict[int, list[int]] = {joint: [] for joint in range(-1, len(canonical.joints))}
    for joint, parent in enumerate(canonical.parents):
        children[parent].append(joint)

    def above(joint: int) -> list[Weights]:
        parent = canonical.parents[joint]
        if parent < 0:
            return []
        return [row[canonical.joints[parent]]] if canonical.joints[parent] in row else above(parent)

    def below(joint: int) -> list[Weights]:
        found: list[Weights] = []
        for child in children[joint]:
            name = canonical.joints[child]
            found += [row[name]] if name in row else below(child)
        return found

    def place(joint: int) -> Weights:
        name = canonical.joints[joint]
        if name in row:
            return row[name]
        ends = [np.mean(end, axis=0) for end in (above(joint), below(joint)) if end]
        if not ends:
            raise InputError(f"layout {layout.name}: canonical joint {name!r} has no joint of it above or below")
        return np.asarray(np.mean(ends, axis=0), dtype=np.float32)

    lacking = tuple(name for name in canonical.joints if name not in row)
    return np.stack([place(joint) for joint in range(len(canonical.joints))]), lacking
