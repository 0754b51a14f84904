import json

import numpy as np
import pytest

from airfast.data.describe import body_heights, describe
from tests.data.test_motion import small
from tests.data.test_splits import many


def test_facts():
    facts = describe(small())
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["clips"], facts["frames"], facts["seconds"]) == (3, 9, 0.2)  # 6 frames at 30, 3 at 60
    assert facts["fps"] == {"30": 2, "60": 1}
    assert facts["classes"] == {"happy": 1, "sad": 1}
    assert (facts["unlabelled"], facts["subjects"], facts["groups"]) == (1, {"p1": 1, "p2": 1}, {"walk": 1, "run": 1})
    assert facts["clip_frames"] == {"min": 2, "median": 3, "max": 4}
    assert len(facts["joints"]) == 16


def test_body_height_is_the_median_vertical_extent():
    positions = np.zeros((5, 16, 3), dtype=np.float32)
    positions[:, 3, 1] = [1.5, 1.7, 1.9, 1.0, 1.2]
    motion = small(positions=positions, lengths=np.array([3, 1, 1]))
    np.testing.assert_allclose(body_heights(motion), [1.7, 1.0, 1.2])


def warnings_of(motion):
    return describe(motion)["warnings"]


def test_a_plausible_set_has_no_warnings():
    motion = many([0, 1, 2, 0, 1, 2])
    motion.positions[:, 0, 1] = motion.positions[:, 1:, 1].min(axis=1) - 0.01
    motion.positions[:] = motion.positions / np.ptp(motion.positions[:, :, 1], axis=1)[:, None, None] * 1.7
    assert warnings_of(motion) == []


@pytest.mark.parametrize("scale", [0.01, 100])
def test_odd_heights_suggest_the_unit(scale):
    motion = many([0, 1, 2])
    motion.positions[:] *= scale
    (line,) = warnings_of(motion)
    assert line.startswith("3 of 3 body heights are outside 0.5-3 m (unit? y up?), the first c0: ")


def test_short_clips_copies_and_one_class():
    motion = many([0] * 4)
    motion.positions[6:8] = motion.positions[0:2]
    motion.positions[:] *= 0.3
    short = many([0] * 3).select([0, 1, 2])
    short = small(lengths=np.array([1, 4, 4]))
    lines = warnings_of(motion)
    assert "copy: c3: number for number c0" in lines
    assert "only one class: a" in lines
    assert any(line.startswith("1 clips have fewer than 2 frames, the first: a") for line in warnings_of(short))


def test_a_random_split_over_known_subjects_leaks():
    lines = warnings_of(many([0, 1] * 20, ["p", "q"] * 20))
    assert "a random split leaks: 2 of 2 subjects are on both sides, the first: p" in lines


def test_the_split_of_the_source_is_looked_at_first():
    motion = many([0, 1] * 2, ["p", "q", "q", "r"])
    motion.info["split"] = {"c0": "train", "c1": "train", "c2": "test", "c3": "test"}
    assert "declared split shares subjects: c2: 1 of 3 subjects are on both sides, the first: q" in warnings_of(motion)
    motion.info["split"]["c2"] = "train"
    assert not any("split" in line for line in warnings_of(motion))
