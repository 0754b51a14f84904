"""Ranks that train together make the run of one; what ends it ends it for all. Four processes, started once."""

import json
import os

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
    pretrain(at_work.walkers(), load_config("demo", overrides=at_work.OVER), place / "alone", "cpu")
    ended, told = run_ranks(at_work.__file__, place, ports=1)
    assert ended == [0] * at_work.COUNT, told
    return place


def said(place, what):
    """By rank, how it ended."""
    told = [json.loads((place / f"{rank}.json").read_text()) for rank in range(at_work.COUNT)]
    return [each[what] for each in told if what in each]


@pytest.mark.parametrize("name", ["run-2", "run-4", "resumed"])
def test_ranks_make_the_run_of_one(place, name):
    alone, together = read_metrics(place / "alone"), read_metrics(place / name)
    assert [line["epoch"] for line in together] == [1, 2, 3, 4]
    for one, other in zip(alone, together, strict=True):
        assert one.keys() == other.keys()
        for key in one.keys() - {"seconds"}:
            assert other[key] == pytest.approx(one[key], rel=CLOSE), (one["epoch"], key)
    tables = sorted((place / "alone" / "labels").iterdir())
    assert len(tables) == 2
    for table in tables:
        expected, found = pd.read_parquet(table), pd.read_parquet(place / name / "labels" / table.name)
        assert (expected["label"] >= 0).any()
        pd.testing.assert_series_equal(found["label"], expected["label"])


def test_they_end_well_and_one_writes(place):
    assert said(place, "run of 2") == ["done"] * 2
    assert said(place, "run of 4") == said(place, "resumed") == ["done"] * 4
    assert sorted(each.name for each in place.iterdir() if each.is_dir()) == [
        "alone",
        "exploded",
        "resumed",
        "run-2",
        "run-4",
        "stopped",
    ]


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
        ("another method", "group: expected a method whose batches ranks can share (air), found cmd"),
        ("another seed", "group: expected the same configuration on all ranks, found others on rank 1"),
        ("small batches", "group: expected a batch of at least one clip a rank, found 3 for 4 ranks"),
    ],
)
def test_what_ranks_cannot_share_is_said_on_each(place, what, says):
    told = said(place, what)
    assert len(told) in (2, 4)
    assert set(told) == {f"InputError: {says}"}
