"""Which clips train and which test (METHOD section 7), and what leaks between them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from airfast.data.motion import MotionSet
from airfast.errors import InputError, nearest

Drawn = Literal["random", "subject", "group", "family"]
SplitKind = Literal["random", "subject", "group", "family", "declared"]
Indices = NDArray[np.int64]
NAMED = 3  # copies that a line names


def split(
    motion: MotionSet, kind: SplitKind, seed: int, test_fraction: float = 0.2, held_out: str = ""
) -> tuple[Indices, Indices]:
    """Divide the clips in two.

    - random: stratified: of every class `test_fraction` of its clips, at least one if it has two. Unlabelled clips
      train. Clips of one recording (`info["recordings"]`) are on one side, and are counted as one.
    - subject, group, family: whole subjects, groups or families of groups are held out, in random order as long as each
      brings the number of test clips nearer to `test_fraction` of all, and at least one; or that of the name `held_out`
      alone. Unlabelled clips of those held out are on neither side.
    - declared: the sides that the source declares, whatever the seed (see :func:`declared_sides`).

    Args:
        motion: the prepared set.
        kind: see above.
        seed: the same seed gives the same split on every machine.
        test_fraction: share of the clips to test on, between 0 and 1.
        held_out: a subject, group or family by name; nothing is drawn then.

    Returns:
        Indices of the training and of the test clips, ascending; test clips are always labelled.

    Raises:
        InputError: no clip is labelled, every class has one clip only, a clip's subject, group or family is unknown,
            there are fewer than 2 of them, none has the name, or the source declares no split.
    """
    if not 0 < test_fraction < 1:
        raise InputError(f"split: expected a test fraction between 0 and 1, found {test_fraction}")
    rng = np.random.default_rng(seed)
    labelled = motion.labels >= 0
    if not labelled.any():
        raise InputError("split: expected labelled clips, found none; -o split.kind=none trains on all")
    if kind == "declared":
        train, tested = declared_sides(motion)
        if not len(train) or not labelled[tested].any():
            raise InputError("split declared: the set declares no training and test side; -o split.kind=random")
        return train, tested[labelled[tested]]
    if kind == "random":
        first, of = recordings(motion)
        out = _stratified(motion.labels[first], test_fraction, rng)[of]
    else:
        keys = {"subject": motion.subjects, "group": motion.groups, "family": motion.families}[kind]
        out = _whole(keys, kind, motion, test_fraction, rng, held_out)
    test = out & labelled
    if not test.any():
        raise InputError(f"split {kind}: no labelled clip is left to test on")
    return np.flatnonzero(~out), np.flatnonzero(test)


def declared_sides(motion: MotionSet) -> tuple[Indices, Indices]:
    """The clips that the source declares for training, and those that it declares for anything else."""
    declared = motion.info.get("split", {})
    of = np.array([declared.get(name, "") for name in motion.names], dtype=object)
    named = sorted(set(of.tolist()) - {""})
    train = next((side for side in named if side.lower().startswith("tr")), named[0] if len(named) > 1 else "")
    return np.flatnonzero((of == train) & (of != "")), np.flatnonzero((of != train) & (of != ""))


def recordings(motion: MotionSet) -> tuple[Indices, Indices]:
    """The first clip of every recording, and of every clip the index of its recording; each clip its own by default."""
    known = motion.info.get("recordings", {})
    names = [known.get(name, name) for name in motion.names]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    of = np.array([index[name] for name in names], dtype=np.int64)
    return np.unique(of, return_index=True)[1].astype(np.int64), of


def leaks(motion: MotionSet, train: Sequence[int] | Indices, test: Sequence[int] | Indices) -> list[str]:
    """What the two sides of a split share: clips, identical recordings, subjects, groups; one line each, or nothing."""
    found = []
    same = set(map(int, train)) & set(map(int, test))
    if same:
        found.append(f"{len(same)} clips are on both sides, the first: {motion.names[min(same)]}")
    found += copied(motion, train, test)
    columns = {"subjects": motion.subjects, "groups": motion.groups, "families of groups": motion.families}
    for kinds, column in columns.items():
        both = ({column[i] for i in train} & {column[i] for i in test}) - {""}
        total = len(set(column) - {""})
        if both:
            found.append(f"{len(both)} of {total} {kinds} are on both sides, the first: {min(both)}")
    return found


def copied(motion: MotionSet, train: Sequence[int] | Indices, test: Sequence[int] | Indices) -> list[str]:
    """A line that names the recordings of the test side that the training side has too, number for number."""
    learnt = {clip_key(motion, i): i for i in train}
    twins = [(i, learnt[key]) for i in test if (key := clip_key(motion, i)) in learnt and learnt[key] != i]
    if not twins:
        return []
    named = ", ".join(f"{motion.names[one]} as {motion.names[other]}" for one, other in twins[:NAMED])
    more = f" and {len(twins) - NAMED} more" if len(twins) > NAMED else ""
    return [f"{len(twins)} recordings of the test side occur, number for number, on the training side: {named}{more}"]


def clip_key(motion: MotionSet, index: int) -> bytes:
    """A hash of the clip's positions: equal for identical recordings."""
    return hashlib.blake2b(motion.clip(int(index)).tobytes(), digest_size=16).digest()


def _stratified(labels: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Largest remainders: the total is as near to the fraction as the classes allow."""
    held_out = np.zeros(len(labels), dtype=bool)
    classes, sizes = np.unique(labels[labels >= 0], return_counts=True)
    counts = np.floor(sizes * fraction).astype(np.int64)
    order = rng.permutation(len(classes))
    order = order[np.argsort((counts - sizes * fraction)[order], kind="stable")]
    counts[order[: round(sizes.sum() * fraction) - counts.sum()]] += 1
    for label, count in zip(classes, np.clip(counts, 1, None).clip(max=sizes - 1), strict=True):
        held_out[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
    return held_out


def _whole(
    keys: Sequence[str], kind: str, motion: MotionSet, fraction: float, rng: np.random.Generator, held_out: str
) -> NDArray[np.bool_]:
    if "" in keys:
        raise InputError(
            f"split {kind}: the {kind} of clip {motion.names[keys.index('')]!r} is unknown; -o split.kind=random"
        )
    sizes = Counter(keys)
    if len(sizes) < 2:
        raise InputError(f"split {kind}: expected at least 2 {kind}s, found {len(sizes)}: {', '.join(sizes)}")
    if held_out and held_out not in sizes:
        known = ", ".join(sorted(sizes))
        raise InputError(f"split.held_out={held_out}: no such {kind}{nearest(held_out, sizes)}; known: {known}")
    if held_out:
        return np.array([key == held_out for key in keys])
    order = [str(key) for key in rng.permutation(sorted(sizes))]
    target, count, chosen = fraction * len(keys), 0, set[str]()
    for key in order:
        if abs(count + sizes[key] - target) < abs(count - target) and len(chosen) < len(order) - 1:
            chosen.add(key)
            count += sizes[key]
    chosen = chosen or {min(order, key=lambda key: sizes[key])}
    return np.array([key in chosen for key in keys])
