"""ST-GCN, a supervised peer of Table I (Yan et al., AAAI 2018), at the 16 channels of the skeleton-SSL papers."""

import torch
from torch import Tensor, nn

from airfast.models.graph_network import GraphNetwork, neighbourhoods
from airfast.skeletons.graph import spatial_subsets
from airfast.skeletons.layout import Layout


class SubsetConvolution(nn.Module):
    """Σ_k W_k·x·(A_k ∘ M_k), BatchNorm, ReLU: the graph is the skeleton's, its edges are weighed by a learnt M."""

    def __init__(self, subsets: Tensor, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(len(subsets) * inputs, outputs, 1)
        self.importance = nn.Parameter(torch.ones_like(subsets))
        self.norm = nn.BatchNorm2d(outputs)
        self.register_buffer("subsets", subsets, persistent=False)
        self.subsets: Tensor

    def forward(self, clips: Tensor, joints: Tensor | None = None) -> Tensor:
        """(B, in, T, J) to (B, out, T, J), the graph that of all joints or of some (J,) int64."""
        graph = self.subsets * self.importance
        if joints is not None:  # what is left of it: weights are not made to sum to one again
            graph = graph.index_select(-2, joints).index_select(-1, joints)
        return torch.relu(self.norm(self.weigh(neighbourhoods(clips, graph))))


class STGCN(GraphNetwork):
    """Clips (B, C, T, J) to logits (B, classes).

    Table I gives 0.81 M parameters and 1.41 GFLOP. With ``hidden=16`` (the backbone of CrosSCLR and its successors),
    J = 25 and 8 classes this network has 0.82 M, 0.80 M without the edge importances, and in the paper's convention
    (2·MACs of convolutions, BatchNorms and linear layers, T = 64) 1.41 GFLOP **for two persons**: the GCN rows of
    Table I count the two-person clips that this code expects, the Transformer rows count one. One person, as here,
    is 0.71 GFLOP. Multiplication with the graph, which the convention does not see, is another 3 %.

    Args:
        layout: the skeleton, whose root is the centre of the spatial partitioning.
        classes: number of classes; None for the features (B, 256).
        channels: C of the clips.
        hidden: 16; 64 is the network of the paper.
    """

    def __init__(self, layout: Layout, classes: int | None, channels: int = 3, hidden: int = 16) -> None:
        subsets = spatial_subsets(layout.parents)
        super().__init__(
            layout, classes, channels, hidden, lambda inputs, outputs: SubsetConvolution(subsets, inputs, outputs), 0.5
        )
