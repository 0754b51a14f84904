import json

import numpy as np
import pytest
from scipy import stats

from airfast.evaluate.metrics import score
from airfast.evaluate.table import Row, half_width, over_seeds, save_table


def row(*predictions):
    true = np.array([0, 0, 1, 1])
    return Row("pre-trained", "linear", tuple(score(true, np.array(each), 3) for each in predictions))


def test_interval_is_students():
    values = [0.41, 0.55, 0.47, 0.52]
    low, high = stats.t.interval(0.95, df=3, loc=np.mean(values), scale=stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)
    low, high = stats.t.interval(0.95, df=1, loc=np.mean(values[:2]), scale=stats.sem(values[:2]))
    assert half_width(values[:2]) == pytest.approx((high - low) / 2)
    assert half_width(values[:1]) is None


def test_splits_of_the_same_clips_are_not_independent():
    values = [0.41, 0.55, 0.47, 0.52, 0.5]
    assert half_width(values, 0.25) == pytest.approx(1.5 * half_width(values))  # √(1/5 + 1/4) for √(1/5)
    alone = Row("x", "linear", row([0, 0, 1, 1], [0, 1, 1, 1]).scores)
    drawn = over_seeds([[row([0, 0, 1, 1])], [row([0, 1, 1, 1])]], 0.25)[0]
    assert drawn.half_width("accuracy") == pytest.approx(1.5**0.5 * alone.half_width("accuracy"))
    low, high = drawn.record()["accuracy"]["interval_95"]
    assert high - low == pytest.approx(2 * drawn.half_width("accuracy"))


def test_seeds_are_put_together():
    both = over_seeds([[row([0, 0, 1, 1])], [row([0, 1, 1, 1])]])[0]
    assert both.values("accuracy") == [1.0, 0.75]
    assert both.confusion().tolist() == [[3, 1, 0], [0, 4, 0], [0, 0, 0]]
    assert both.recall()[:2] == [0.75, 1.0]


def test_a_class_of_one_test_clip_has_a_recall():
    alone = Row("x", "linear", (score(np.array([0, 0, 1]), np.array([0, 1, 1]), 3),))
    assert alone.recall()[:2] == [0.5, 1.0]
    assert np.isnan(alone.recall()[2])


def test_the_file_is_json_to_everybody(tmp_path):
    save_table(tmp_path / "t.json", {"set": "x"}, [row([0, 0, 1, 1])])
    found = json.loads((tmp_path / "t.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert found["rows"][0]["scores"][0]["recall"] == [1.0, 1.0, None]
    assert found["rows"][0]["accuracy"] == {"mean": 1.0, "sd": 0.0, "interval_95": None}
