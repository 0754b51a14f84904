"""Views as single methods were published with (FAMILY 2); the ordinary ones are those of ``DeviceClips.view``."""

import torch
from torch import Generator, Tensor

from airfast.data.augment import chosen_joints, crop_pad, jitter, shears, transform_coordinates, uniform
from airfast.data.dataset import DeviceClips

JITTERED = 10 / 16  # share of the joints that CAGE distorts


def cage(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """CAGE's ordinary view: crop_pad of a sixth, jitter of 10 in 16 joints: (B, C, T, J)."""
    return jitter(crop_pad(clips.whole(batch), 6, generator), JITTERED, generator)


def ambiguous(clips: DeviceClips, batch: Tensor, generator: Generator, speed: float) -> Tensor:
    """CAGE's ambiguous sample: the whole clip at another speed, sheared on 10 in 16 joints.

    Args:
        clips: the set.
        batch: (B,) indices.
        generator: on the device of the clips.
        speed: r ≥ 1: every r-th frame from a random one of the first r, (B, C, T/r, J); r < 1: a stretch of r·n of the
            clip's n frames, (B, C, T, J).
    """
    moved = faster(clips.whole(batch), int(speed), generator) if speed >= 1 else slower(clips, batch, speed, generator)
    sheared = transform_coordinates(moved, shears(moved, generator, 0.5))
    return torch.where(chosen_joints(moved, JITTERED, generator), sheared, moved)


def faster(whole: Tensor, speed: int, generator: Generator) -> Tensor:
    """Frames i, i + r, … of clips (B, C, T, J), i drawn below r: (B, C, T/r, J)."""
    batch, channels, frames, joints = whole.shape
    first = torch.randint(speed, (batch, 1), generator=generator, device=whole.device)
    time = first + speed * torch.arange(frames // speed, device=whole.device)
    return whole.gather(2, time[:, None, :, None].expand(-1, channels, -1, joints))


def slower(clips: DeviceClips, batch: Tensor, share: float, generator: Generator) -> Tensor:
    """A random stretch of a share of each clip, resampled to T frames."""
    length = (clips.lengths[batch] - 1).float()
    span = length * share
    return clips.read(batch, (length - span) * uniform(length.shape, 0.0, 1.0, length, generator), span)
