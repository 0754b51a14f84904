"""AGCN, a supervised peer of Table I: one stream of 2s-AGCN (Shi et al., CVPR 2019), in the 16-channel variant."""

import torch
from torch import Tensor, nn

from airfast.models.graph_network import GraphNetwork, neighbourhoods
from airfast.skeletons.graph import spatial_subsets
from airfast.skeletons.layout import Layout

EMBEDDING = 4  # the embeddings that are compared for C_k have a fourth of the output channels


class AdaptiveConvolution(nn.Module):
    """Σ_k W_k·x·(A_k + B_k + C_k), BatchNorm, residual, ReLU.

    A_k is the skeleton, B_k is learnt, and C_k is the clip's own: a softmax over how alike two embedded joints are.

    Source: Shi et al. 2019, Eq. 3 and Fig. 2. As in its public code the similarity is divided by the length of the
    embedding, and BatchNorm starts at nearly zero: the network begins as its residuals.
    """

    def __init__(self, subsets: Tensor, inputs: int, outputs: int) -> None:
        super().__init__()
        count, self.embedding = len(subsets), outputs // EMBEDDING
        self.theta = nn.Conv2d(inputs, count * self.embedding, 1)
        self.phi = nn.Conv2d(inputs, count * self.embedding, 1)
        self.weigh = nn.Conv2d(count * inputs, outputs, 1)
        self.learnt = nn.Parameter(torch.full_like(subsets, 1e-6))
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.norm.weight, 1e-6)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        self.register_buffer("subsets", subsets, persistent=False)
        self.subsets: Tensor

    def forward(self, clips: Tensor) -> Tensor:
        """(B, in, T, J) to (B, out, T, J)."""
        graph = self.subsets + self.learnt + self.similarity(clips)  # (B, 3, J, J)
        return torch.relu(self.norm(self.weigh(neighbourhoods(clips, graph))) + self.shortcut(clips))

    def similarity(self, clips: Tensor) -> Tensor:
        """C of every subset: (B, 3, J, J), columns sum to one."""
        theta, phi = (
            embed(clips).unflatten(1, (len(self.subsets), self.embedding)).flatten(2, 3)  # (B, 3, e·T, J)
            for embed in (self.theta, self.phi)
        )
        return torch.softmax(theta.transpose(2, 3) @ phi / theta.shape[2], dim=2)


class AGCN(GraphNetwork):
    """Clips (B, C, T, J) to logits (B, classes).

    Table I gives 0.86 M parameters and 1.54 GFLOP. With ``hidden=16``, J = 25 and 8 classes this network has 0.88 M,
    0.86 M without the learnt graphs B, and in the paper's convention (2·MACs of convolutions, BatchNorms and linear
    layers, T = 64) 1.53 GFLOP **for two persons** (see :class:`airfast.models.stgcn.STGCN`), 0.77 GFLOP for one.

    Args:
        layout: the skeleton.
        classes: number of classes; None for the features (B, 256).
        channels: C of the clips.
        hidden: 16; 64 is the network of the paper.
    """

    def __init__(self, layout: Layout, classes: int | None, channels: int = 3, hidden: int = 16) -> None:
        subsets = spatial_subsets(layout.parents)
        super().__init__(
            layout,
            classes,
            channels,
            hidden,
            lambda inputs, outputs: AdaptiveConvolution(subsets, inputs, outputs),
            0.0,
        )
