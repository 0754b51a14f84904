"""Several ranks give the bits of one, and whoever fails is named: three processes, started once, do all of it."""

import json
import os
from functools import cache

import numpy as np
import pandas as pd
import pytest
import ranks_at_work as work
from label_sets import clustered

from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.ranks import halves, meetings
from tests.forked import run_ranks

COUNT = work.COUNT
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder that three ranks have left."""
    place = tmp_path_factory.mktemp("ranks")
    np.save(place / "good.npy", clustered(200, 16, 8, 0.5, 0))
    ended, said = run_ranks(work.__file__, place, ports=4)
    assert ended == [0, 0, -9], said  # the last is the one that was to vanish
    return place


@pytest.fixture(scope="module")
def found(place):
    """The arrays of each rank."""
    return [dict(np.load(place / f"{rank}.npz")) for rank in range(COUNT)]


@cache
def alone(name, options):
    return work.answers(name, options)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("name", "options"), work.CASES)
def test_ranks_give_the_bits_of_one(found, name, options, count):
    for each in found[:count]:
        for place, expected in enumerate(alone(name, options)):
            assert each[f"plain|{count}|{name}|{options}|{place}"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("way", work.WAYS)
def test_however_it_is_come_by(found, way):
    asked = [key for key in found[0] if key.startswith(way)]
    assert {key.split("|")[1] for key in asked} == {"1", "2", "3"}
    for key in asked:
        _, count, name, options, place = key.split("|")
        for each in found[: int(count)]:
            assert each[key].tobytes() == alone(name, options)[int(place)].tobytes(), key


@pytest.mark.parametrize(
    ("what", "says", "who"),
    [
        ("approximate", "group: ranks search exactly; expected knn exact, found ivf", {0, 1, 2}),
        ("groups", "group: k1=(within, across) is for one process", {0, 1, 2}),
        ("features", "group: expected the same features or views on all ranks, found others on rank 1", {0, 1, 2}),
        ("options", "group: expected the same options", {0, 1, 2}),
        ("nobody's", "group: expected a process group of torch.distributed that this process is in", {1, 2}),
    ],
)
def test_what_ranks_cannot_do_is_said_on_each(place, what, says, who):
    said = [json.loads((place / f"{rank}.json").read_text())["said"] for rank in range(COUNT)]
    assert {rank for rank, each in enumerate(said) if what in each} == who
    assert all(says in each[what] for each in said if what in each)


def test_the_log_says_who_worked_for_how_long_and_what_was_sent(place):
    notes = {json.loads((place / f"{rank}.json").read_text())["note"] for rank in range(COUNT)}
    (note,) = notes  # the same on each
    seconds, sent = note.removeprefix("3 ranks: at work for ").split(" s, the rest spent waiting; sent ")
    assert len(seconds.split(", ")) == COUNT
    assert 0.1 < float(sent.removesuffix(" MB")) < 5  # 400 rows of 30 neighbours, 46 KB of index alone, to two others


def test_one_rank_writes_and_speaks(place):
    told = [(place / f"labelled-{rank}.txt").read_text() for rank in range(COUNT)]
    assert "written to" in told[0]
    assert "3 ranks: at work for" in told[0].replace("\n", " ")
    assert told[1:] == ["", ""]
    assert sorted(each.name for each in place.glob("out-*")) == ["out-1-0.parquet"]
    table = pd.read_parquet(place / "out-1-0.parquet")
    np.testing.assert_array_equal(table["label"], generate_labels(np.load(place / "good.npy")).labels)


def test_a_rank_that_fails_is_named_once(place):
    told = [(place / f"failed-{rank}.txt").read_text() for rank in range(COUNT)]
    assert told[1] == f"error: rank 1 of 3: {place / 'none.npy'}: no such file\n"
    assert "error" not in told[0] + told[2]


def test_a_rank_that_vanishes_is_named_once(place):
    told = "".join((place / f"gone-{rank}.txt").read_text() for rank in range(COUNT))
    assert told.count("\n") == 1
    assert told.startswith("error: rank 2 of 3 is gone, as rank ")
    assert not (place / "gone.parquet").exists()


def test_a_group_needs_processes():
    with pytest.raises(InputError, match="group: expected a process group"):
        generate_labels(np.eye(4, dtype=np.float32), group=object())


@pytest.mark.parametrize("n", [0, 1, 5, 90])
@pytest.mark.parametrize("count", range(1, 9))
def test_every_two_rows_of_different_shards_meet_once_and_all_have_as_much_to_do(count, n):
    shards = [(rank * n // count, (rank + 1) * n // count) for rank in range(count)]
    met, work_of = np.zeros((n, n), int), []
    for rank in range(count):
        done = 0
        for guest, host in meetings(rank, count):
            (a, b), (c, d) = halves(shards, rank, guest)
            met[a:b, c:d] += 1
            met[c:d, a:b] += 1
            done += (b - a) * (d - c)
            assert rank in [each for each, _ in meetings(host, count)]
        work_of.append(done)
    apart = np.searchsorted([last for _, last in shards], np.arange(n), side="right")
    np.testing.assert_array_equal(met, (apart[:, None] != apart).astype(int))
    if n == 90:
        assert max(work_of) - min(work_of) <= 0.1 * (n / count) ** 2 * count
