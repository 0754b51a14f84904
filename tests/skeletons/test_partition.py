import numpy as np
import pytest
import torch

from airfast.errors import InputError
from airfast.skeletons.layout import known_layouts, layout_from_record, load_layout
from airfast.skeletons.partition import equal_parts, pooling_matrix


@pytest.mark.parametrize("name", known_layouts())
def test_pooling_is_the_mean_over_the_joints_of_a_part(name):
    layout = load_layout(name)
    clip = torch.randn(3, 4, len(layout.joints), generator=torch.Generator().manual_seed(0))
    for part, parts in ((layout.low, len(layout.low_names)), (layout.high, len(layout.high_names))):
        pooled = torch.einsum("pj,ctj->ctp", pooling_matrix(part, parts), clip)
        for c in range(3):
            for t in range(4):
                for p in range(parts):
                    members = [float(clip[c, t, j]) for j in range(len(part)) if part[j] == p]
                    assert float(pooled[c, t, p]) == pytest.approx(sum(members) / len(members), abs=1e-6)


def test_rows_sum_to_one():
    matrix = pooling_matrix([0, 0, 1, 0], 2)
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, torch.tensor([[1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 1, 0]]))


def test_an_empty_part_and_a_part_out_of_range_are_refused():
    with pytest.raises(InputError, match="part 1 of 3 owns no joint"):
        pooling_matrix([0, 2], 3)
    with pytest.raises(InputError, match=r"must lie in 0 \.\. 1"):
        pooling_matrix([0, 2], 2)


@pytest.mark.parametrize("name", known_layouts())
def test_equal_parts_are_even_and_nested(name):
    layout = load_layout(name)
    equal = equal_parts(layout)
    for parts, count in ((equal.low, len(layout.low_names)), (equal.high, len(layout.high_names))):
        sizes = np.bincount(parts, minlength=count)
        assert len(sizes) == count
        assert list(parts) == sorted(parts)
    assert np.ptp(np.bincount(equal.low)) <= 1
    assert layout_from_record(equal.record(), name).high == equal.high  # a sound layout: trees, no empty part
