"""Coordinate systems of joints."""

from collections.abc import Sequence

import torch
from torch import Tensor


def spherical(clips: Tensor, polar: str = "y") -> Tensor:
    """Positions (B, 3, T, J) to r, θ ∈ [0, π] from the polar axis, φ ∈ [0, 2π); at r = 0 all three are 0.

    Source: CAGE, Eq. 9, with θ from the polar axis (as printed it is no angle of the sphere).
    """
    axes: Sequence[int] = (1, 2, 0) if polar == "y" else (2, 0, 1)  # polar, then the two that φ turns between
    along, first, second = (clips[:, axis] for axis in axes)
    radius = clips[:, :3].square().sum(dim=1).sqrt()
    apart = radius > 0
    theta = torch.where(apart, (along / torch.where(apart, radius, 1.0)).clamp(-1, 1).acos(), 0.0)
    phi = torch.atan2(second, first) % (2 * torch.pi)
    return torch.stack([radius, theta, torch.where(apart, phi, 0.0)], dim=1)
