"""Parameters and floating-point operations, in the paper's convention and in truth."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from airfast.bench.subjects import CLIP, Subject
from airfast.deploy.fold import FoldedEncoder
from airfast.methods.crossclr import CrosSCLR
from airfast.models.deployed import DeployedEncoder
from airfast.models.encoder import TransformerLayer
from airfast.models.graph_network import WIDTH
from airfast.models.heads import ClusterHead
from airfast.models.stgcn import STGCN, SubsetConvolution

NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d)
NORM_COST = 4  # multiply-accumulates an element of a normalisation, as the counter behind Table I books it
ATTENTION = ("query_key_value", "output")


@dataclass(frozen=True)
class Count:
    """Size and cost of one network for one clip.

    Attributes:
        parameters: how many.
        flops: 2 · multiply-accumulates.
    """

    parameters: int
    flops: int


def counts(subject: Subject) -> dict[str, Count]:
    """A subject in each convention: paper, true, deployed and, for an encoder that can be folded, folded.

    Nothing is computed: networks and clips are on the meta device, which has shapes and no numbers.
    """
    with torch.device("meta"):
        graph, deployed = subject.graph().eval(), subject.deployed().eval()
        one, clips = torch.empty(1, *CLIP), torch.empty(subject.persons, *CLIP)
        paper = paper_count(graph, lambda: subject.forward(graph, clips))
        found = {
            "paper": crossclr_printed(graph) if subject.shared_heads else paper,
            "true": true_count(graph, lambda: subject.forward(graph, one)),
            "deployed": true_count(deployed, lambda: deployed(one)),
        }
        if isinstance(deployed, DeployedEncoder):
            folded = FoldedEncoder(deployed)
            found["folded"] = true_count(folded, lambda: folded(one))
    return found


def true_count(network: nn.Module, run: Callable[[], object]) -> Count:
    """Every parameter, and every product that PyTorch's counter sees; networks and inputs on the meta device.

    On the CPU the counter takes a fused attention for nothing; on meta attention is two plain products.
    """
    with FlopCounterMode(display=False) as counter, Recurrences() as recurrences, torch.no_grad():
        run()
    spent = counter.get_total_flops() + recurrences.flops
    return Count(sum(each.numel() for each in network.parameters()), spent)


class Recurrences(TorchFunctionMode):
    """Counts recurrent layers by their shapes: on meta PyTorch takes each frame of them apart, which takes seconds."""

    flops = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A GRU of one direction and one layer, batch first, to the states of its frames and the last one."""
        if getattr(func, "__name__", "") != "gru":
            return func(*args, **(kwargs or {}))
        clips, _, (of_inputs, of_states, *_) = args[:3]
        batch, frames, _ = clips.shape
        self.flops += 2 * batch * frames * (of_inputs.numel() + of_states.numel())
        width = of_states.shape[1]
        return clips.new_empty(batch, frames, width), clips.new_empty(1, batch, width)


def paper_count(network: nn.Module, run: Callable[[], object]) -> Count:
    """What a counter that hooks leaf modules prints: no attention, no bare parameters, no matrix products.

    Source: METHOD 2, "Parity with Table I": on the public code of UmURL and CMD it gives the paper's rows to the digit.
    """
    spent: list[int] = []
    parameters = 0
    hooks = []
    for module in visible(network):
        parameters += sum(each.numel() for each in module.parameters())
        hooks.append(module.register_forward_hook(lambda layer, _, out: spent.append(products(layer, out))))
    with torch.no_grad(), Recurrences():
        run()
    for hook in hooks:
        hook.remove()
    return Count(parameters, 2 * sum(spent))


def crossclr_printed(graph: nn.Module) -> Count:
    """CrosSCLR's row: the heads of bone and motion stand on that of joints, so that its layers are met several times.

    The counter hooks a shared layer as often as it is named (three times), adds what it costs at each call for each
    hook, and once more for each place in which it is named: 29 hidden and 24 last layers beside the one of each
    network, of which there are six. Parameters are added by place. The public ST-GCN has a bias a subset where ours has
    one (2b a block).

    Source: FAMILY 12, which gives 19,243,268 parameters and 20.9022 GFLOP.
    """
    assert isinstance(graph, CrosSCLR)
    network = graph.leader(graph.names[0]).network
    assert isinstance(network, STGCN)
    hidden, last = WIDTH * WIDTH, WIDTH * 128
    clip = torch.empty(1, *CLIP)
    alone = paper_count(network, lambda: network(clip))
    biases = sum(2 * each.weigh.out_channels for each in network.modules() if isinstance(each, SubsetConvolution))
    parameters = 6 * (alone.parameters + biases + last + 128) + 10 * (hidden + WIDTH)
    return Count(parameters, 6 * (alone.flops + 2 * last) + 4 * (29 * hidden + 24 * last))


def visible(network: nn.Module) -> list[nn.Module]:
    """The layers that the paper's counter sees: all but those inside an attention."""
    hidden = {
        id(getattr(layer, name))
        for layer in network.modules()
        if isinstance(layer, TransformerLayer)
        for name in ATTENTION
    }
    own = [each for each in network.modules() if isinstance(each, nn.MultiheadAttention)]  # hidden as a whole
    hidden |= {id(layer) for each in own for layer in each.modules()}
    heads = [each for each in network.modules() if isinstance(each, ClusterHead)]
    necks = {id(each.neck) for each in heads}  # counted with its head, whose other half is no layer of its own
    kinds = (nn.Linear, nn.Conv2d, nn.GRU, *NORMS)
    layers = [each for each in network.modules() if isinstance(each, kinds) and id(each) not in hidden | necks]
    return [*layers, *heads]


def products(layer: nn.Module, out: Any) -> int:
    """Multiply-accumulates of one layer for the output it gave."""
    if isinstance(layer, nn.GRU):  # three gates, and what the counter books for their biases and products of entries
        h = layer.hidden_size
        return int(out[0].numel()) // h * (3 * h * (layer.input_size + h) + 13 * h)
    assert isinstance(out, Tensor)
    if isinstance(layer, ClusterHead):
        return layer.weight.numel() + NORM_COST * layer.weight.shape[1]
    if isinstance(layer, NORMS):
        return NORM_COST * out.numel()
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return out.numel() * layer.weight[0].numel()
