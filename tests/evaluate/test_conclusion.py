import numpy as np
import pytest

from airfast.evaluate.conclusion import conclusion
from airfast.evaluate.metrics import score
from airfast.evaluate.table import Row


def row(features, probe, hits, **also):
    """A row of accuracies hits/20, one a seed."""
    true = np.zeros(20, dtype=np.int64)
    return Row(
        features, probe, tuple(score(true, (np.arange(20) >= each).astype(np.int64), 2) for each in hits), **also
    )


def few(features, each, hits):
    return row(features, "logistic", hits, each=each)


LINEAR = [
    row("hand-made", "linear", (18, 19)),
    row("untrained", "linear", (9, 8)),
    row("pre-trained", "linear", (15, 14)),
]


def test_above_below_and_level_from_few_labels_and_from_all():
    rows = [few("untrained", 5, (0, 0, 0)), few("pre-trained", 5, (20, 20, 20)), few("hand-made", 5, (0, 0, 0))]
    rows += [few("untrained", 1, (2, 6, 4)), few("pre-trained", 1, (5, 9, 7)), few("hand-made", 1, (7, 7, 7))]
    assert conclusion([*rows, *LINEAR]) == (
        "the pre-trained encoder is, with 1 labelled clip a class 15.0 points above its untrained twin and level with "
        "hand-made statistics; with all labels 30.0 points above its untrained twin and level with hand-made statistics"
    )


def test_below_with_all_labels_alone():
    rows = [*LINEAR[1:], row("hand-made", "linear", (19, 18))]
    assert conclusion(rows).endswith(
        "with all labels 30.0 points above its untrained twin and 20.0 points below hand-made statistics"
    )
    assert conclusion([row("hand-made", "1-NN", (3,))]) == ""


@pytest.mark.parametrize(("shared", "said"), [(0, "15.0 points above"), (9, "level with")])
def test_splits_that_overlap_widen_the_interval(shared, said):
    rows = [
        row("untrained", "linear", (4, 5, 4), shared=shared),
        row("pre-trained", "linear", (6, 8, 8), shared=shared),
    ]
    assert said in conclusion(rows)
