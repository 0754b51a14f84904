import numpy as np
import pytest
import torch

from airfast.config import PAPER_INPUTS, Inputs
from airfast.data.dataset import DeviceClips, normalise
from airfast.data.motion import MotionSet
from airfast.skeletons.layout import load_layout

LAYOUT = load_layout("gait16")
CPU = torch.device("cpu")


@pytest.fixture
def motion():
    """Two clips of a stiff body that walks along its own path: 5 and 9 frames, 10 frames a second."""
    rng = np.random.default_rng(0)
    lengths = np.array([5, 9])
    pose = rng.normal(size=(1, 16, 3)).astype(np.float32)
    path = np.arange(14, dtype=np.float32)[:, None, None] * np.array([0.02, 0, 0.05], dtype=np.float32)
    return MotionSet(
        positions=pose + path,
        lengths=lengths,
        fps=np.full(2, 10, dtype=np.float32),
        names=("a", "b"),
        labels=np.array([0, 1]),
        classes=("x", "y"),
        subjects=("", ""),
        groups=("", ""),
        layout=LAYOUT,
        info={},
    )


def test_letter_is_root_centred_positions_alone(motion):
    frames = normalise(motion, PAPER_INPUTS)  # (F, C, J)
    assert frames.shape == (14, 3, 16)
    expected = (motion.positions - motion.positions[:, [LAYOUT.root]]).transpose(0, 2, 1)
    np.testing.assert_allclose(frames, expected, atol=1e-6)


def test_default_faces_forward_and_keeps_true_velocity(motion):
    frames = normalise(motion, Inputs())
    left, right = LAYOUT.shoulders
    across = frames[:5, :3, left].mean(0) - frames[:5, :3, right].mean(0)
    assert across[0] > 0
    assert across[2] == pytest.approx(0, abs=1e-6)
    speed = np.linalg.norm(frames[:, 3:], axis=1)
    np.testing.assert_allclose(speed, 10 * np.hypot(0.02, 0.05), rtol=1e-3)  # metres a frame times frames a second


def test_whole_clips_are_linear_interpolation(motion):
    clips = DeviceClips.from_motion(motion, Inputs(frames=7), CPU)
    read = clips.whole(torch.tensor([1, 0]))
    frames = normalise(motion, Inputs())
    for row, (start, length) in enumerate(((5, 9), (0, 5))):
        for step in range(7):
            time = step / 6 * (length - 1)
            before = min(int(time), length - 2)
            part = time - before
            expected = (1 - part) * frames[start + before] + part * frames[start + before + 1]
            np.testing.assert_allclose(read[row, :, step], expected, atol=1e-5)


@pytest.mark.parametrize("inputs", [Inputs(frames=8), PAPER_INPUTS])
def test_views_depend_on_the_generator_alone(motion, inputs):
    clips = DeviceClips.from_motion(motion, inputs, CPU)
    index = torch.tensor([0, 1, 1])
    first, again, other = (clips.view(index, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 3 if inputs is PAPER_INPUTS else 6, inputs.frames, 16)
    assert torch.isfinite(first).all()
    assert not torch.equal(first[1], first[2])  # two views of one clip


def test_resampling_does_not_change_a_true_velocity(motion):
    clips = DeviceClips.from_motion(motion, Inputs(frames=33), CPU)
    speed = clips.whole(torch.tensor([0, 1]))[:, 3:].norm(dim=1)
    torch.testing.assert_close(speed, torch.full_like(speed, 10 * float(np.hypot(0.02, 0.05))), rtol=1e-3, atol=0)
