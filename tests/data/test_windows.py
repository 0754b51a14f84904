"""Windows cover every frame of every clip, in order, and know where they come from."""

import numpy as np
import pytest

from airfast.data.windows import cut
from airfast.errors import InputError


def test_windows_by_plain_slicing(walkers):
    few = walkers.select([3, 0, 7])
    fps = float(few.fps[0])
    found = cut(few, 1.0, 0.4)
    size, step = round(fps), round(0.4 * fps)
    at = 0
    for clip in range(3):
        frames = few.clip(clip)
        first = 0
        while True:
            first = min(first, len(frames) - size)
            assert (found.clip[at], found.first[at], found.motion.names[at]) == (clip, first, few.names[clip])
            np.testing.assert_array_equal(found.motion.clip(at), frames[first : first + size])
            assert found.motion.labels[at] == few.labels[clip]
            at += 1
            if first == len(frames) - size:
                break
            first += step
    assert at == len(found.motion)
    found.motion.check("windows")


def test_a_short_clip_is_one_window(walkers):
    found = cut(walkers.select([0, 1]), 1e4)
    assert found.clip.tolist() == [0, 1]
    np.testing.assert_array_equal(found.motion.clip(1), walkers.clip(1))


@pytest.mark.parametrize(("seconds", "hop"), [(0.0, None), (1.0, 2.0), (1.0, 0.0), (float("nan"), None), (1e9, 1.0)])
def test_what_is_no_window(walkers, seconds, hop):
    with pytest.raises(InputError, match="expected 0 < hop ≤ window"):
        cut(walkers, seconds, hop)
