import numpy as np
import pytest

from airfast.evaluate.semi import draw_few, draw_labelled

LABELS = np.repeat(np.arange(4), (40, 20, 10, 1))


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.01, [1, 1, 1, 1]), (0.1, [4, 2, 1, 1]), (0.5, [20, 10, 5, 1]), (1.0, [40, 20, 10, 1])],
)
def test_a_share_of_every_class_and_at_least_one(fraction, expected):
    drawn = draw_labelled(LABELS, fraction, seed=0)
    assert np.bincount(LABELS[drawn]).tolist() == expected
    assert len(set(drawn.tolist())) == len(drawn)


def test_seeds_differ_and_larger_shares_hold_smaller_ones():
    one, again, other = (draw_labelled(LABELS, 0.1, seed).tolist() for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert set(one) < set(draw_labelled(LABELS, 0.5, 0).tolist())


def test_a_few_of_every_class_and_all_of_a_small_one():
    drawn = draw_few(LABELS, 3, seed=0)
    assert np.bincount(LABELS[drawn]).tolist() == [3, 3, 3, 1]
    assert drawn.tolist() == sorted(set(drawn.tolist())) == draw_few(LABELS, 3, 0).tolist()
    assert drawn.tolist() != draw_few(LABELS, 3, 1).tolist()
    assert set(drawn) < set(draw_few(LABELS, 5, 0))
