import numpy as np
import pytest

from airfast.data.splits import copied, declared_sides, leaks, split
from airfast.errors import InputError
from tests.data.test_motion import small


def many(labels, subjects=None, groups=None):
    """One clip of two frames for every label, no two alike."""
    count = len(labels)
    return small(
        positions=np.random.default_rng(1).normal(size=(2 * count, 16, 3)).astype(np.float32),
        lengths=np.full(count, 2),
        fps=np.full(count, 30, dtype=np.float32),
        names=tuple(f"c{i}" for i in range(count)),
        labels=np.array(labels),
        classes=("a", "b", "c"),
        subjects=tuple(subjects or [""] * count),
        groups=tuple(groups or [""] * count),
    )


def declaring(*of):
    motion = many([0, 1] * (len(of) // 2))
    motion.info["split"] = {name: side for name, side in zip(motion.names, of, strict=True) if side}
    return motion


@pytest.mark.parametrize("tested", ["test", "val", "Validation"])
def test_the_sides_that_a_source_declares(tested):
    motion = declaring("train", tested, "", "train", tested, "train")
    motion.labels[4] = -1
    for seed in (0, 1):
        train, test = split(motion, "declared", seed)
        assert (train.tolist(), test.tolist()) == ([0, 3, 5], [1])  # an unlabelled clip tests nothing
    train, tests = declared_sides(motion)
    assert tests.tolist() == [1, 4]
    assert train.dtype == tests.dtype == np.int64


def test_sides_without_a_telling_name_are_in_the_order_of_their_names():
    train, test = split(declaring("b", "a", "a", "b"), "declared", 0)
    assert (train.tolist(), test.tolist()) == ([1, 2], [0, 3])


@pytest.mark.parametrize("of", [("", ""), ("train", "train"), ("test", "test"), ("train", "")])
def test_a_set_that_declares_no_two_sides(of):
    with pytest.raises(InputError, match=r"split declared: the set declares no training and test side; -o split\.kind"):
        split(declaring(*of), "declared", 0)


def test_random_is_stratified_four_to_one():
    motion = many([0] * 50 + [1] * 20 + [2] * 5)
    train, test = split(motion, "random", seed=0)
    assert np.bincount(motion.labels[test]).tolist() == [10, 4, 1]
    assert sorted([*train, *test]) == list(range(75))
    assert train.dtype == test.dtype == np.int64


def test_random_shares_out_what_does_not_divide():
    # 15 classes as in bandai1 would each lose 0.2 of a clip to rounding; here 3 x 11: 6.6 of 33.
    _, test = split(many([0] * 11 + [1] * 11 + [2] * 11), "random", seed=3)
    assert len(test) == 7


def test_random_trains_on_single_and_unlabelled_clips():
    motion = many([0, 1, 1, -1, -1, 2, 2])
    train, test = split(motion, "random", seed=0)
    assert {0, 3, 4} <= set(train)
    assert sorted(motion.labels[test]) == [1, 2]


def test_a_seed_gives_one_split_and_another_another():
    motion = many([0, 1] * 40)
    first, again, other = (split(motion, "random", seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("kind", ["subject", "group", "family"])
@pytest.mark.parametrize("seed", range(5))
def test_whole_subjects_or_groups_are_held_out(kind, seed):
    keys = [f"p{i % 10}" for i in range(100)]
    motion = many([i % 3 for i in range(100)], keys, keys)
    motion.info["families"] = {key: key for key in keys}
    train, test = split(motion, kind, seed)
    assert len(test) == 20  # two of ten
    assert not {keys[i] for i in train} & {keys[i] for i in test}


def test_uneven_groups_come_near_the_fraction():
    keys = ["walk"] * 60 + ["run"] * 15 + ["kick"] * 20 + ["bow"] * 5
    motion = many([0, 1] * 50, groups=keys)
    for seed in range(10):
        _, test = split(motion, "group", seed)
        assert 15 <= len(test) <= 25


FAMILIES = {"walk": "steps", "run": "steps", "wave": "arms", "bow": "back"}


def with_families():
    motion = many([0, 1] * 4, ["p", "q"] * 4, ["walk", "walk", "run", "run", "wave", "wave", "bow", "bow"])
    motion.info["families"] = FAMILIES
    return motion


def test_groups_of_one_family_are_on_one_side():
    motion, held_out = with_families(), set()
    for seed in range(8):
        _, test = split(motion, "family", seed)
        held_out.add(frozenset(motion.groups[i] for i in test))
    assert held_out == {frozenset({"wave"}), frozenset({"bow"})}  # steps are half of the clips


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [("family", "steps", [0, 1, 2, 3]), ("group", "run", [2, 3]), ("subject", "q", [1, 3, 5, 7])],
)
def test_what_is_named_is_held_out(kind, name, expected):
    motion = with_families()
    train, test = split(motion, kind, seed=0, held_out=name)
    assert test.tolist() == expected
    assert sorted([*train, *test]) == list(range(8))


def test_leaks_name_families():
    motion = with_families()
    assert leaks(motion, [0, 4, 6], [2])[-1] == "1 of 3 families of groups are on both sides, the first: steps"
    assert not any("families" in line for line in leaks(motion, [4, 6], [2]))


def test_names_and_families_that_are_not_there():
    with pytest.raises(InputError, match=r"split\.held_out=step: no such family \(did you mean 'steps'\?\)"):
        split(with_families(), "family", seed=0, held_out="step")
    with pytest.raises(InputError, match="the family of clip 'c0' is unknown"):
        split(many([0, 1], groups=["walk", "run"]), "family", seed=0)


def test_one_of_two_subjects_is_held_out():
    train, test = split(many([0, 1, 0, 1], ["p", "p", "q", "q"]), "subject", seed=0)
    assert (len(train), len(test)) == (2, 2)


def test_unlabelled_clips_of_a_held_out_subject_are_on_neither_side():
    motion = many([0, -1, 0, -1], ["p", "p", "q", "q"])
    train, test = split(motion, "subject", seed=0)
    assert len(test) == 1
    assert len(train) == 2
    assert motion.subjects[test[0]] not in {motion.subjects[i] for i in train}


@pytest.mark.parametrize(
    ("motion", "kind", "message"),
    [
        (many([0, 0], ["p", ""]), "subject", "split subject: the subject of clip 'c1' is unknown"),
        (many([0, 0], ["p", "p"]), "subject", "split subject: expected at least 2 subjects, found 1: p"),
        (many([0, 0]), "group", "split group: the group of clip 'c0' is unknown"),
        (many([-1, -1]), "random", "expected labelled clips, found none; -o split.kind=none trains on all"),
        (many([0, 1, 2]), "random", "no labelled clip is left to test on"),
    ],
)
def test_splits_that_cannot_be_made(motion, kind, message):
    with pytest.raises(InputError, match=message):
        split(motion, kind, seed=0)


def test_a_fraction_out_of_range():
    with pytest.raises(InputError, match="between 0 and 1, found 1"):
        split(many([0, 0]), "random", 0, test_fraction=1)


def test_leaks():
    motion = many([0] * 6, ["p", "p", "q", "q", "r", ""], ["g"] * 3 + ["h"] * 3)
    motion.positions[8:10] = motion.positions[0:2]  # clip 4 is a copy of clip 0
    assert leaks(motion, [0, 1, 2], [3, 4, 5]) == [
        "1 recordings of the test side occur, number for number, on the training side: c4 as c0",
        "1 of 3 subjects are on both sides, the first: q",
    ]
    assert leaks(motion, [1, 2], [5]) == []
    assert leaks(motion, [0, 3], [3, 1])[0] == "1 clips are on both sides, the first: c3"
    assert "1 of 2 groups are on both sides, the first: g" in leaks(motion, [0], [1])
    motion.positions[:] = np.tile(motion.positions[:2], (6, 1, 1))  # all are copies of clip 0
    named = "c1 as c0, c2 as c0, c3 as c0 and 2 more"
    assert copied(motion, [0], [1, 2, 3, 4, 5]) == [
        f"5 recordings of the test side occur, number for number, on the training side: {named}"
    ]
    assert copied(motion, [0], [0]) == []  # on both sides, which is another line
