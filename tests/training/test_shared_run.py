"""Ranks that train together make the run of one; what ends it ends it for all. Four processes, started once."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import shared_run_at_work as at_work

from airfast.config import load_config
from airfast.runs.folder import read_metrics
from airfast.training.pretrain import NOT_FINITE, pretrain
from tests.forked import run_ranks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
CLOSE = 1e-4  # relative; after four epochs the sums in another order made 1e-6


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder that four ranks have left, beside the run of one process."""
    place = tmp_path_factory.mktemp("together")
    for method, over in at_work.AS_ONE.items():
        alone = place / ("alone" if method == "air" else method)
        pretrain(at_work.walkers(method), load_config("demo", overrides=over, method=method), alone, "cpu")
    ended, told = run_ranks(at_work.__file__, place, ports=2)
    assert ended == [0, 0, 0, -9], told  # the last is the one that was to vanish
    return place


def assert_close(one, other):
    """An epoch's line of the log, by one and by several."""
    assert one.keys() == other.keys() - {"at_work"}
    for key in one.keys() - {"seconds"}:
        assert other[key] == pytest.approx(one[key], rel=CLOSE), (one["epoch"], key)


def said(place, what):
    """By rank, how it ended."""
    told = [json.loads((place / f"{rank}.json").read_text()) for rank in range(at_work.COUNT)]
    return [each[what] for each in told if what in each]


@pytest.mark.parametrize("name", ["run-2", "run-4", "resumed"])
def test_ranks_make_the_run_of_one(place, name):
    alone, together = read_metrics(place / "alone"), read_metrics(place / name)
    assert [line["epoch"] for line in together] == [1, 2, 3, 4]
    for one, other in zip(alone, together, strict=True):
        assert_close(one, other)
    tables = sorted((place / "alone" / "labels").iterdir())
    assert len(tables) == 2
    for table in tables:
        expected, found = pd.read_parquet(table), pd.read_parquet(place / name / "labels" / table.name)
        assert (expected["label"] >= 0).any()
        pd.testing.assert_series_equal(found["label"], expected["label"])


def test_they_end_well_and_one_writes(place):
    assert said(place, "run of 2") == ["done"] * 2
    assert said(place, "run of 4") == said(place, "resumed") == said(place, "cmd resumed") == ["done"] * 4
    names = {"alone", "cut-short", "exploded", "resumed", "run-2", "run-4", "stopped", "cmd-4"}
    names |= {name for method in at_work.SIBLINGS for name in (method, f"{method}-2")}
    assert {each.name for each in place.iterdir() if each.is_dir()} == names


@pytest.mark.parametrize("rank", [0, 1])
def test_layers_know_the_whole_batch(place, rank):
    found, alone = np.load(place / f"layers-{rank}.npz"), at_work.layers()
    for name, expected in alone.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    for name in ("drawn 0", "drawn 1", "next"):
        np.testing.assert_array_equal(found[name], alone[name], err_msg=name)


@pytest.mark.parametrize("name", [*(f"{method}-2" for method in at_work.SIBLINGS), "cmd-4"])
def test_every_method_makes_the_run_of_one(place, name):
    method = name.rpartition("-")[0]
    alone, together = read_metrics(place / method), read_metrics(place / name)
    assert [line["epoch"] for line in together] == [line["epoch"] for line in alone]
    shares = 4 if name == "cmd-4" else 2
    assert {stage: len(each) for stage, each in together[-1]["at_work"].items()} == {
        "labels": shares,
        "training": shares,
    }
    for one, other in zip(alone, together, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("method", at_work.SIBLINGS)
def test_weights_queues_and_random_numbers_are_the_same_on_all_ranks(place, method):
    assert said(place, method) == ["done"] * 2
    first, second = said(place, f"state of {method}")
    assert {name for name in first if first[name] != second[name]} == set()


def test_a_signal_that_one_hears_stops_all_after_the_same_epoch(place):
    assert (
        said(place, "stopped") == ["Stopped: stopped by SIGTERM after epoch 3; the same command goes on from there"] * 2
    )
    assert [line["epoch"] for line in read_metrics(place / "stopped")] == [1, 2, 3]


def test_numbers_that_are_not_finite_end_all_and_one_keeps_them(place):
    first, second = said(place, "exploded")
    assert first.startswith("NonFiniteLoss: epoch 1, batch")
    assert str(place / "exploded" / NOT_FINITE) in first
    assert second == first.partition("; clips")[0]
    assert (place / "exploded" / NOT_FINITE).exists()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("another seed", "group: expected the same configuration on all ranks, found others on rank 1"),
        ("small batches", "group: expected a batch of at least one clip a rank, found 2 for 4 ranks"),
    ],
)
def test_what_ranks_cannot_share_is_said_on_each(place, what, says):
    told = said(place, what)
    assert len(told) in (2, 4)
    assert set(told) == {f"InputError: {says}"}


def test_a_rank_that_is_gone_is_named_and_its_run_goes_on_from_the_last_state(place):
    told = [(place / f"gone-{rank}").read_text() for rank in range(at_work.COUNT - 1)]
    assert any("3 of 4 is gone, as rank " in each for each in told), told  # where others are slow, they are named too
    assert [line["epoch"] for line in read_metrics(place / "cut-short")] == [1]
    pretrain(
        at_work.walkers("cmd"),
        load_config("demo", overrides=at_work.AS_ONE["cmd"], method="cmd"),
        place / "cut-short",
        "cpu",
    )
    for one, other in zip(read_metrics(place / "cmd"), read_metrics(place / "cut-short"), strict=True):
        assert_close(one, other)
