"""Joint, bone and motion: three readings of the same skeleton (METHOD 1, the J, B and M of the paper)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Modality = Literal["joint", "bone", "motion"]
MODALITIES: tuple[Modality, ...] = ("joint", "bone", "motion")


def parent_or_self(parents: Sequence[int]) -> Tensor:
    """The index of each joint's parent, and of the root itself where there is none (−1): (J,) int64."""
    return torch.tensor([joint if parent < 0 else parent for joint, parent in enumerate(parents)])


def bone(positions: Tensor, parents: Tensor) -> Tensor:
    """Each joint minus its parent; the root's bone is zero.

    Args:
        positions: (B, 3, T, J), any unit of length.
        parents: (J,) int64 as of :func:`parent_or_self`, on the device of the positions.

    Returns:
        (B, 3, T, J) in the same unit.
    """
    return positions - positions.index_select(-1, parents)


def frame_difference(positions: Tensor) -> Tensor:
    """x[t+1] − x[t], the last frame 0: the paper's motion, blind to how long the clip was.

    Args:
        positions: (B, 3, T, J).

    Returns:
        (B, 3, T, J), units of length per resampled frame.
    """
    return torch.nn.functional.pad(positions[:, :, 1:] - positions[:, :, :-1], (0, 0, 0, 1))


def read_modality(clips: Tensor, modality: Modality, parents: Tensor) -> Tensor:
    """One modality of a batch of clips.

    Args:
        clips: (B, 3, T, J) positions, or (B, 6, T, J) positions followed by true-time velocities.
        modality: which reading.
        parents: (J,) int64, parent of each joint (or of each part, on the part trees of ASP), the root's its own.

    Returns:
        (B, 3, T, J). Motion is the velocity where the clips carry one, the frame difference where they do not.
    """
    positions = clips[:, :3]
    if modality == "joint":
        return positions
    if modality == "bone":
        return bone(positions, parents)
    return clips[:, 3:] if clips.shape[1] == 6 else frame_difference(positions)
