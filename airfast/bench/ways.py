"""Ways to run one network: as it is, compiled, or replayed as a CUDA graph."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from airfast.errors import InputError

Way = Literal["eager", "compiled", "autotuned", "CUDA graph"]
Call = Callable[[Tensor], Tensor]


def prepare(network: nn.Module, way: Way, clips: Tensor) -> Call:
    """A function from clips of this shape to the network's answer, ready to be timed.

    Args:
        network: in eval mode, on the clips' device, in its precision.
        way: "compiled" and "autotuned" freeze the weights into the program; the second also tries several kernels for
            each product (and on a card replays the result as a CUDA graph). "CUDA graph" records eager kernels.
        clips: (B, C, T, J), an example.
    """
    if way == "eager":
        return network
    if way == "CUDA graph":
        return recorded(network, clips)
    return compiled(network, clips, tuned=way == "autotuned")


@torch.no_grad()
def compiled(network: nn.Module, clips: Tensor, tuned: bool) -> Call:
    """The network through torch.compile, for this shape alone."""
    from torch._dynamo import config as tracing
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor import config

    call: Call = torch.compile(network, dynamic=False, mode="max-autotune" if tuned else "default")
    # Every model and batch is a program of the same forward: beyond eight torch would quietly run them uncompiled.
    programs = tracing.patch(recompile_limit=64)
    with programs, config.patch(freezing=True, autotune_num_choices_displayed=0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own: nothing a user of the bench could act on
        try:
            call(clips)
        except TorchDynamoException as error:
            raise InputError(f"--compile: torch cannot compile here ({str(error).splitlines()[0]})") from None
    return call


@torch.no_grad()
def recorded(network: nn.Module, clips: Tensor) -> Call:
    """The network's kernels recorded once and replayed: no Python between them."""
    inside = clips.clone()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # libraries set themselves up outside the recording
        for _ in range(3):
            network(inside)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer: Tensor = network(inside)

    def replay(given: Tensor) -> Tensor:
        inside.copy_(given)
        graph.replay()
        return answer

    return replay
