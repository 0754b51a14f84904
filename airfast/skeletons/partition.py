"""Appendage-skeleton partitioning (ASP, Section III-A): joints pooled into body parts by fixed matrices."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from airfast.errors import InputError
from airfast.skeletons.layout import Layout


def pooling_matrix(part: Sequence[int], parts: int) -> torch.Tensor:
    """The mean over the joints of each part, as a matrix: `X_part = P @ X`.

    Args:
        part: (J,) part of each joint, 0 .. parts - 1 (`Layout.low` or `Layout.high`).
        parts: number of parts.

    Returns:
        (parts, J) float32; every row sums to 1.

    Raises:
        InputError: a part owns no joint, so that its mean is undefined, or a joint's part is out of range.
    """
    # On the CPU by name: a network may be built on the meta device, where nothing can be checked.
    index = torch.as_tensor(part, dtype=torch.long, device="cpu")  # (J,)
    if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < parts:
        raise InputError(f"body parts must lie in 0 .. {parts - 1}, found {sorted(set(part))}")
    member = torch.arange(parts, device="cpu")[:, None] == index  # (parts, J)
    count = member.sum(dim=1, keepdim=True)
    if bool((count == 0).any()):
        raise InputError(f"body part {int((count == 0).int().argmax())} of {parts} owns no joint")
    return member.float() / count


def equal_parts(layout: Layout) -> Layout:
    """The layout with parts that know no anatomy: as many, of equal runs of joints in their order.

    What Fig. 6 compares the appendages with ("equalized local skeleton information"). A part hangs on the one before
    it; every coarse part is still a union of fine ones.
    """
    joints, low, high = len(layout.joints), len(layout.low_names), len(layout.high_names)
    low_of = tuple(joint * low // joints for joint in range(joints))
    return replace(
        layout,
        low=low_of,
        high=tuple(part * high // low for part in low_of),
        low_names=tuple(f"fine{part + 1}" for part in range(low)),
        high_names=tuple(f"coarse{part + 1}" for part in range(high)),
        low_parents=tuple(range(-1, low - 1)),
        high_parents=tuple(range(-1, high - 1)),
    )
