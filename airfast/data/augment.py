"""Views of a clip: tensor operations on the device, every random number from one explicit generator (METHOD 6 and 8).

A clip is (B, 3, T, J) positions or (B, 6, T, J) positions followed by velocities. What is linear in the positions
(mirror, turn, shear, corruption) is applied to both, so that a velocity stays the velocity of its clip.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def uniform(shape: Sequence[int], low: float, high: float, like: Tensor, generator: Generator) -> Tensor:
    """U[low, high) of a shape, on the device of ``like``."""
    return torch.rand(tuple(shape), generator=generator, device=like.device, dtype=like.dtype) * (high - low) + low


def transform_coordinates(clips: Tensor, matrices: Tensor) -> Tensor:
    """Multiply every coordinate triple by its clip's matrix (B, 3, 3)."""
    return torch.einsum("bxy,bcytj->bcxtj", matrices, torch.unflatten(clips, 1, (-1, 3))).flatten(1, 2)


def mild(clips: Tensor, mirror: Tensor, generator: Generator) -> Tensor:
    """The default views: half of the clips mirrored, a turn of at most 15 degrees, 5 mm of jitter.

    Args:
        clips: (B, 3 or 6, T, J), metres, y up, x across the body.
        mirror: (J,) int64, the layout's permutation of left and right, on the device of the clips.
        generator: on the device of the clips.
    """
    mirrored = coin(clips, generator)
    swapped = torch.where(mirrored, clips.index_select(-1, mirror), clips)
    turn = turns(clips, math.radians(15), generator)
    across = torch.where(mirrored[..., 0], -turn[:, :, :1], turn[:, :, :1])  # x changes sign with the sides
    clips = transform_coordinates(swapped, torch.cat([across, turn[:, :, 1:]], dim=2))
    jitter = torch.randn(clips[:, :3].shape, generator=generator, device=clips.device, dtype=clips.dtype) * 0.005
    return torch.cat([clips[:, :3] + jitter, clips[:, 3:]], dim=1)


def turns(clips: Tensor, limit: float, generator: Generator) -> Tensor:
    """Rotations about the vertical axis by U(−limit, limit) radians: (B, 3, 3)."""
    angle = uniform((clips.shape[0],), -limit, limit, clips, generator)
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [angle.cos(), zero, angle.sin(), zero, one, zero, -angle.sin(), zero, angle.cos()]
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def family(clips: Tensor, generator: Generator) -> Tensor:
    """The paper's family: for each clip joint corruption or shear, by the toss of a coin.

    Args:
        clips: (B, 3, T, J).
        generator: on the device of the clips.
    """
    shear = coin(clips, generator)
    sheared = transform_coordinates(clips, shears(clips, generator))
    return torch.where(shear, sheared, corrupt_joints(clips, generator))


def shears(clips: Tensor, generator: Generator, limit: float = 1) -> Tensor:
    """Matrices (B, 3, 3) with ones on the diagonal and U(−limit, limit) elsewhere."""
    off = uniform((clips.shape[0], 3, 3), -limit, limit, clips, generator)
    eye = torch.eye(3, device=clips.device, dtype=clips.dtype)
    return eye + off * (1 - eye)


def corrupt_joints(clips: Tensor, generator: Generator) -> Tensor:
    """60 % of the joints, by the toss of a coin a clip: zeroed, or multiplied by one 3×3 matrix of U(−1, 1).

    The joints and the matrix are drawn for each clip, one matrix for all of its chosen joints; the others stay as they
    are, bit for bit. As the public code of the family does it (15 of 25 joints).
    """
    chosen = chosen_joints(clips, 0.6, generator)
    zero = coin(clips, generator)
    return torch.where(chosen, torch.where(zero, 0.0, distorted(clips, generator)), clips)


def crop_pad(clips: Tensor, share: int, generator: Generator) -> Tensor:
    """Mirror ⌊T/share⌋ frames of either end outwards and read T frames from a random one: (B, C, T, J) alike."""
    batch, channels, frames, joints = clips.shape
    pad = frames // share
    start = torch.randint(2 * pad + 1, (batch, 1), generator=generator, device=clips.device)
    time = start - pad + torch.arange(frames, device=clips.device)  # (B, T), may point outside by up to `pad`
    time = torch.where(time < 0, -1 - time, time)
    time = torch.where(time >= frames, 2 * frames - 1 - time, time)
    return clips.gather(2, time[:, None, :, None].expand(-1, channels, -1, joints))


def chosen_joints(clips: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the joints, drawn for each clip: (B, 1, 1, J) bool."""
    joints = clips.shape[-1]
    return (random_ranks(clips, joints, generator) < round(share * joints))[:, None, None]


def jitter(clips: Tensor, share: float, generator: Generator) -> Tensor:
    """A share of the joints, drawn for each clip, multiplied by one 3×3 matrix of U(−1, 1); the others stay."""
    chosen = chosen_joints(clips, share, generator)
    return torch.where(chosen, distorted(clips, generator), clips)


def random_ranks(clips: Tensor, count: int, generator: Generator) -> Tensor:
    """A permutation of 0..count−1 for each clip; those below n are n of them at random: (B, count)."""
    return uniform((clips.shape[0], count), 0, 1, clips, generator).argsort(dim=1).argsort(dim=1)


def distorted(clips: Tensor, generator: Generator) -> Tensor:
    """All joints of each clip multiplied by one 3×3 matrix of U(−1, 1)."""
    return transform_coordinates(clips, uniform((clips.shape[0], 3, 3), -1, 1, clips, generator))


def coin(clips: Tensor, generator: Generator) -> Tensor:
    """Heads or tails for each clip: (B, 1, 1, 1) bool."""
    return uniform((clips.shape[0], 1, 1, 1), 0, 1, clips, generator) < 0.5


def flip(clips: Tensor, mirror: Tensor, generator: Generator) -> Tensor:
    """Left and right joints of half of the clips change places; their coordinates are **not** mirrored."""
    return torch.where(coin(clips, generator), clips.index_select(-1, mirror), clips)


def rotations(clips: Tensor, generator: Generator) -> Tensor:
    """Rotations about x, then y, then z, about one of them by U(0°, 30°), about the others by U(0°, 1°): (B, 3, 3)."""
    batch = clips.shape[0]
    axis = torch.randint(3, (batch, 1), generator=generator, device=clips.device)
    limits = torch.where(axis == torch.arange(3, device=clips.device), math.radians(30), math.radians(1))
    angles = uniform((batch, 3), 0, 1, clips, generator) * limits
    turn = torch.eye(3, device=clips.device, dtype=clips.dtype).expand(batch, 3, 3)
    for about in range(3):
        one, other = (about + 1) % 3, (about + 2) % 3
        cosine, sine = angles[:, about].cos(), angles[:, about].sin()
        step = torch.eye(3, device=clips.device, dtype=clips.dtype).repeat(batch, 1, 1)
        step[:, one, one], step[:, one, other] = cosine, -sine
        step[:, other, one], step[:, other, other] = sine, cosine
        turn = step @ turn
    return turn


def part_mask(clips: Tensor, parts: Tensor, count: int, generator: Generator) -> Tensor:
    """One or two of the parts, by the toss of a coin, set to zero in all frames, and U{1..T/8} whole frames.

    Args:
        clips: (B, C, T, J).
        parts: (J,) int64, the part of each joint.
        count: number of parts.
        generator: on the device of the clips.
    """
    batch, _, frames, _ = clips.shape
    ranks = random_ranks(clips, count, generator)
    hidden = ranks < 1 + coin(clips, generator)[:, 0, 0].long()  # (B, parts)
    order = random_ranks(clips, frames, generator)
    most = max(1, frames // 8)
    lost = order < torch.randint(1, most + 1, (batch, 1), generator=generator, device=clips.device)
    return clips.masked_fill(hidden[:, parts][:, None, None] | lost[:, None, :, None], 0.0)


def neighbourhood(parents: Sequence[int]) -> Tensor:
    """(I + E + Eᵀ)², E the tree: in how many ways a joint is reached from another in at most two steps: (J, J)."""
    joints = len(parents)
    near = torch.eye(joints)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            near[joint, parent] = near[parent, joint] = 1
    return near @ near


def graph_mask(clips: Tensor, near: Tensor, generator: Generator) -> Tensor:
    """Joints that hang together set to zero: 0.32·J of them, nearest to 0.2·J that are drawn with replacement."""
    batch, joints = clips.shape[0], clips.shape[-1]
    drawn = torch.randint(joints, (batch, round(0.2 * joints)), generator=generator, device=clips.device)
    hidden = near[drawn].sum(dim=1).topk(round(0.32 * joints), dim=1).indices
    lost = torch.zeros(batch, joints, dtype=torch.bool, device=clips.device).scatter(1, hidden, True)
    return clips.masked_fill(lost[:, None, None], 0.0)


def segment_mask(clips: Tensor, generator: Generator) -> Tensor:
    """Six of sixteen runs of T/16 frames set to zero."""
    frames = clips.shape[2]
    ranks = random_ranks(clips, 16, generator)
    run = torch.arange(frames, device=clips.device) * 16 // frames
    return clips.masked_fill((ranks < 6)[:, run][:, None, :, None], 0.0)
