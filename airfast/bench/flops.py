"""Parameters and floating-point operations, in the paper's convention and in truth."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from airfast.bench.subjects import CLIP, Subject
from airfast.deploy.fold import FoldedEncoder
from airfast.models.deployed import DeployedEncoder
from airfast.models.encoder import TransformerLayer
from airfast.models.heads import ClusterHead

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
        found = {
            "paper": paper_count(graph, lambda: subject.forward(graph, clips)),
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
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return Count(sum(each.numel() for each in network.parameters()), counter.get_total_flops())


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
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return Count(parameters, 2 * sum(spent))


def visible(network: nn.Module) -> list[nn.Module]:
    """The layers that the paper's counter sees: all but those inside an attention."""
    hidden = {
        id(getattr(layer, name))
        for layer in network.modules()
        if isinstance(layer, TransformerLayer)
        for name in ATTENTION
    }
    heads = [each for each in network.modules() if isinstance(each, ClusterHead)]
    necks = {id(each.neck) for each in heads}  # counted with its head, whose other half is no layer of its own
    kinds = (nn.Linear, nn.Conv2d, *NORMS)
    layers = [each for each in network.modules() if isinstance(each, kinds) and id(each) not in hidden | necks]
    return [*layers, *heads]


def products(layer: nn.Module, out: Tensor) -> int:
    """Multiply-accumulates of one layer for the output it gave."""
    if isinstance(layer, ClusterHead):
        return layer.weight.numel() + NORM_COST * layer.weight.shape[1]
    if isinstance(layer, NORMS):
        return NORM_COST * out.numel()
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return out.numel() * layer.weight[0].numel()
