from dataclasses import replace

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
    frames = normalise(motion, PAPER_INPUTS.model_copy(update={"facing": "none"}))  # (F, C, J)
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


def test_the_letters_data_face_forward_in_their_first_frame(motion):
    spinning = motion.positions.copy()
    for frame in range(14):  # each clip turns as it goes, so that its first frame is not its mean
        c, s = np.cos(0.2 * frame), np.sin(0.2 * frame)
        spinning[frame] = spinning[frame] @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], dtype=np.float32)
    motion = replace(motion, positions=spinning)
    frames = normalise(motion, PAPER_INPUTS)
    left, right = LAYOUT.shoulders
    across = frames[:, :3, left] - frames[:, :3, right]
    for start in (0, 5):
        assert across[start, 0] > 0
        assert across[start, 2] == pytest.approx(0, abs=1e-5)
        assert abs(across[start + 4, 2]) > 0.3 * abs(across[start, 0])  # turned once a clip, not once a frame


def test_a_family_crop_has_at_least_as_many_frames_as_it_is_resized_to(motion):
    lengths = np.array([30, 64, 80, 1000])
    frames = int(lengths.sum())
    long = replace(
        motion,
        positions=np.zeros((frames, 16, 3), dtype=np.float32),
        lengths=lengths,
        fps=np.full(4, 10, dtype=np.float32),
        names=tuple("abcd"),
    )
    clips = DeviceClips.from_motion(long, PAPER_INPUTS, CPU)
    asked = []

    class Asking(DeviceClips):
        def read(self, clips, start, span):
            asked.append((start, span))
            return super().read(clips, start, span)

    Asking(**vars(clips)).view(torch.arange(4).repeat(2000), torch.Generator().manual_seed(0))
    ((start, span),) = asked
    start, frames = start.view(2000, 4), span.view(2000, 4) + 1
    assert (start >= 0).all()
    assert (start + frames <= torch.tensor(lengths) + 1e-3).all()
    assert (frames[:, 0] == 30).all()  # whole
    assert (frames[:, 1] == 64).all()
    assert frames[:, 2].min() == 64
    assert (frames[:, 2] == 64).float().mean() == pytest.approx(0.78, abs=0.04)  # (0.8 − 0.1) / 0.9
    assert frames[:, 3].min() == pytest.approx(100, abs=5)  # a tenth
    assert frames[:, 3].max() == pytest.approx(1000, abs=5)
    assert start[:, 2].max() > 15  # of 16
