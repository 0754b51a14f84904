"""ST-GCN and AGCN: the counts of Table I, and their convolutions as plain loops."""

import pytest
import torch
from torch import nn

from airfast.models.agcn import AGCN, AdaptiveConvolution
from airfast.models.graph_network import neighbourhoods
from airfast.models.stgcn import STGCN, SubsetConvolution
from airfast.skeletons.graph import spatial_subsets
from airfast.skeletons.layout import load_layout

KINECT = load_layout("kinect25")
JOINTS, FRAMES = 25, 64  # the parity graph of METHOD 2
SUBSETS = spatial_subsets((-1, 0, 1, 1, 0))


def conventional_flops(network: nn.Module, clips: torch.Tensor) -> int:
    """The paper's counter: 2·MACs of convolutions and linear layers, 4 an element of a BatchNorm, nothing else."""
    counts = []

    def count(module, _, out):
        if isinstance(module, nn.Conv2d | nn.Linear):
            counts.append(2 * out.numel() * module.weight[0].numel())
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            counts.append(4 * out.numel())

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(clips)
    for hook in hooks:
        hook.remove()
    return sum(counts)


def formula(adaptive: bool) -> int:
    """Parameters of the layers at 16 channels and 8 classes, of the ten blocks in turn, without the learnt graphs."""
    total, before = 2 * 3 * JOINTS, 3
    for index, width in enumerate((16, 16, 16, 16, 32, 32, 32, 64, 64, 256)):
        total += 3 * before * width + width + 2 * width  # the convolution over three subsets, its BatchNorm
        total += 9 * width * width + width + 2 * width  # nine frames
        shortcut = before * width + width + 2 * width
        total += shortcut if index > 0 and width != before else 0
        if adaptive:
            total += 2 * 3 * (before + 1) * (width // 4) + (shortcut if width != before else 0)
        before = width
    return total + (256 + 1) * 8


# Table I: 0.81 M and 1.41 G, 0.86 M and 1.54 G. Emilya has 8 classes, EGBM and KDAE 7.
@pytest.mark.parametrize(
    ("network", "adaptive", "reported_m", "reported_g"), [(STGCN, False, 0.81, 1.41), (AGCN, True, 0.86, 1.54)]
)
def test_counts_are_those_of_table_1_for_two_persons(network, adaptive, reported_m, reported_g):
    model = network(KINECT, 8).eval()
    graphs = 10 * 3 * JOINTS**2
    parameters = sum(each.numel() for each in model.parameters())
    assert parameters - graphs == formula(adaptive)
    assert parameters - graphs == pytest.approx(reported_m * 1e6, rel=0.01)
    two_persons = torch.zeros(2, 3, FRAMES, JOINTS)  # they are two rows of the batch
    assert conventional_flops(model, two_persons) == pytest.approx(reported_g * 1e9, rel=0.01)


def plain_convolution(clips, graphs, weight, bias):
    """Σ_k W_k·x·G_k, one joint and one channel at a time; ``weight`` is (out, 3·in)."""
    batch, inputs, frames, joints = clips.shape
    out = bias[None, :, None, None].repeat(batch, 1, frames, joints)
    for b in range(batch):
        for k in range(3):
            for listens in range(joints):
                for speaks in range(joints):
                    message = weight[:, k * inputs : (k + 1) * inputs] @ clips[b, :, :, speaks]
                    out[b, :, :, listens] += graphs[b, k, speaks, listens] * message
    return out


def test_subset_convolution_is_the_sum_over_subsets():
    torch.manual_seed(0)
    layer = SubsetConvolution(SUBSETS, 4, 8).eval()
    layer.importance.data.uniform_()
    clips = torch.randn(2, 4, 3, 5)
    graphs = (SUBSETS * layer.importance).expand(2, -1, -1, -1)
    plain = plain_convolution(clips, graphs, layer.weigh.weight[:, :, 0, 0], layer.weigh.bias)
    torch.testing.assert_close(layer(clips), torch.relu(layer.norm(plain)))


def test_adaptive_convolution_adds_the_learnt_graph_and_the_clips_own():
    torch.manual_seed(0)
    layer = AdaptiveConvolution(SUBSETS, 4, 8).eval()
    layer.learnt.data.uniform_()
    layer.norm.weight.data.fill_(1.0)
    clips = torch.randn(2, 4, 3, 5)
    theta, phi = layer.theta(clips), layer.phi(clips)  # (2, 3·2, 3, 5): an embedding of 8/4 channels a subset
    graphs = (SUBSETS + layer.learnt).expand(2, -1, -1, -1).clone()
    for b in range(2):
        for k in range(3):
            alike = torch.zeros(5, 5)
            for i in range(5):
                for j in range(5):
                    alike[i, j] = (theta[b, 2 * k : 2 * k + 2, :, i] * phi[b, 2 * k : 2 * k + 2, :, j]).sum() / (2 * 3)
            graphs[b, k] += torch.softmax(alike, dim=0)
    plain = plain_convolution(clips, graphs, layer.weigh.weight[:, :, 0, 0], layer.weigh.bias)
    torch.testing.assert_close(layer(clips), torch.relu(layer.norm(plain) + layer.shortcut(clips)))


def test_neighbourhoods_of_one_graph_and_of_one_a_clip_agree():
    clips = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(
        neighbourhoods(clips, SUBSETS), neighbourhoods(clips, SUBSETS.expand(2, -1, -1, -1)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("network", [STGCN, AGCN])
def test_any_layout_channels_and_length(network):
    model = network(load_layout("gait16"), 5, channels=6, hidden=4)
    logits = model(torch.randn(2, 6, 9, 16))
    assert logits.shape == (2, 5)
    logits.sum().backward()
    assert all(each.grad is not None for each in model.parameters())
