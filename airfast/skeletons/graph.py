"""The skeleton as the graph of the graph convolutions: who a joint listens to."""

from collections.abc import Sequence

import torch
from torch import Tensor


def spatial_subsets(parents: Sequence[int]) -> Tensor:
    """The spatial configuration partitioning of a joint's neighbourhood: itself, the nearer, and the farther joints.

    Distances are hops to the root of the tree, so that the nearer neighbour is the parent and the farther ones are
    the children. The weights of a subset sum to one (the normalising term Z of Eq. 2 of the source).

    Args:
        parents: (J,) index of each joint's parent, -1 for the root.

    Returns:
        (3, J, J) float32; ``x @ subsets[k]`` gives every joint, on the last axis, the mean of its subset k.

    Source: Yan et al., "Spatial temporal graph convolutional networks", AAAI 2018, Section 3.3 and Eq. 10.
    """
    joints = len(parents)
    itself, nearer, farther = torch.eye(joints), torch.zeros(joints, joints), torch.zeros(joints, joints)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            nearer[parent, joint] = 1
            farther[joint, parent] = 1
    return torch.stack([itself, nearer, farther / farther.sum(dim=0).clamp(min=1)])
