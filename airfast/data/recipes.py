"""Views as single methods were published with (FAMILY 2); the ordinary ones are those of ``DeviceClips.view``."""

from typing import Literal

import torch
from torch import Generator, Tensor

from airfast.data.augment import (
    chosen_joints,
    coin,
    crop_pad,
    distorted,
    flip,
    graph_mask,
    jitter,
    part_mask,
    rotations,
    segment_mask,
    shears,
    transform_coordinates,
    uniform,
)
from airfast.data.dataset import DeviceClips

JITTERED = 10 / 16  # share of the joints that CAGE distorts


def cage(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """CAGE's ordinary view: crop_pad of a sixth, jitter of 10 in 16 joints: (B, C, T, J)."""
    return jitter(crop_pad(clips.whole(batch), 6, generator), JITTERED, generator)


def sheared(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """The view of CrosSCLR and SSAL: crop_pad of a sixth, shear of at most a half: (B, C, T, J)."""
    cropped = crop_pad(clips.whole(batch), 6, generator)
    return transform_coordinates(cropped, shears(cropped, generator, 0.5))


def turned(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """MGRL's view: crop_pad of a sixth, shear, rotation, flip: (B, C, T, J)."""
    cropped = crop_pad(clips.whole(batch), 6, generator)
    moved = transform_coordinates(
        transform_coordinates(cropped, shears(cropped, generator)), rotations(cropped, generator)
    )
    return flip(moved, clips.mirror, generator)


def cropped_and_turned(clips: DeviceClips, batch: Tensor, generator: Generator) -> Tensor:
    """SCD-Net's view before its masks: crop, half of the clips rotated, half flipped, shear: (B, C, T, J)."""
    cropped = clips.family_crop(batch, generator)
    rotated = transform_coordinates(cropped, rotations(cropped, generator))
    moved = flip(torch.where(coin(cropped, generator), rotated, cropped), clips.mirror, generator)
    return transform_coordinates(moved, shears(moved, generator))


def masked(
    view: Tensor, near: Tensor, which: Literal["both", "graph", "segment", "none"], generator: Generator
) -> Tensor:
    """A view (B, C, T, J) of which half of the clips lose joints that hang together, and half lose runs of frames.

    Args:
        view: (B, C, T, J).
        near: (J, J), see :func:`airfast.data.augment.neighbourhood`.
        which: of the two masks.
        generator: on the device of the view.
    """
    if which in ("both", "graph"):
        view = torch.where(coin(view, generator), graph_mask(view, near, generator), view)
    if which in ("both", "segment"):
        view = torch.where(coin(view, generator), segment_mask(view, generator), view)
    return view


def strong(
    view: Tensor, arms: Tensor, parts: Tensor, count: int, how: Literal["both", "jitter", "mask"], generator: Generator
) -> Tensor:
    """SSAL's strong view of an ordinary one: half of the clips have both arms distorted, half are masked.

    Args:
        view: (B, C, T, J).
        arms: (J,) bool, the joints of both arms; one 3×3 matrix of U(−1, 1) a clip distorts them.
        parts: (J,) int64, the coarse part of each joint.
        count: number of coarse parts, see :func:`airfast.data.augment.part_mask`.
        how: jitter or mask alone, or both, each by the toss of a coin.
        generator: on the device of the view.
    """
    if how != "mask":
        mixed = distorted(view, generator)
        view = torch.where(coin(view, generator) & arms, mixed, view)
    if how != "jitter":
        view = torch.where(coin(view, generator), part_mask(view, parts, count, generator), view)
    return view


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
