"""One training step – views, losses, backward, optimiser – called on the CPU, replayed as a CUDA graph on a GPU.

A step is thousands of short kernels, and launching them one by one takes longer than the kernels do on small networks.
A graph launches them at once. It was chosen over ``torch.compile`` because it replays the kernels of the plain step, so
that the numbers stay the same; because it can draw from the run's own generator, which a compiler cannot; and because
it is ready within a second or two, needs no C++ compiler, and is not made again for a new number of clusters.

There is no silent way out: what cannot be captured is an error on CUDA, and nothing is captured anywhere else.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from airfast.data.dataset import DeviceClips
from airfast.methods.shared_batch import average_gradients
from airfast.runs.checkpoint import TrainingState

PLAIN_STEPS = 2  # before a capture: they make Adam's moments and cuBLAS's workspace, and are steps like any other
Run = Callable[[], Tensor]


class TrainingStep:
    """The step of a run, called once a batch.

    On CUDA a batch is copied into an input with a fixed address. Whatever a graph cannot take as an input makes it be
    captured again: the size of a batch, the stage of the method, the learning rates. All of these change between
    epochs only, and seldom.

    Args:
        state: what is trained, and the generator every random number is drawn from.
        clips: the training clips, on the device that the step runs on.
    """

    def __init__(self, state: TrainingState, clips: DeviceClips) -> None:
        self.state = state
        self.clips = clips
        self.recorder = CudaGraph(state) if clips.frames.is_cuda else None
        self.terms: tuple[str, ...] = ()
        self._shape: tuple[object, ...] = ()
        self._taken = 0

    def __call__(self, batch: Tensor) -> Tensor:
        """Train on a batch of clips (B,).

        Returns:
            The losses named by ``terms``, the last of them their sum: (terms,) float32 on the device, not read by
            the host, and valid until the next step.
        """
        self._load(batch)
        if self.recorder is None:
            return self._run()
        self._taken += 1
        if self._taken <= PLAIN_STEPS:
            return self.recorder.plain(self._run)
        if self._taken == PLAIN_STEPS + 1:
            self.recorder.capture(self._run)
        return self.recorder.replay()

    def _load(self, batch: Tensor) -> None:
        """Copy a batch to where the step reads it, and start anew if it is of another shape."""
        rates = tuple(group["lr"] for group in self.state.optimiser.param_groups)
        shape = (len(batch), self.state.method.stage, rates)
        if shape != self._shape:
            self._shape, self._taken = shape, 0
            self._batch = torch.empty_like(batch)
        self._batch.copy_(batch)

    def _run(self) -> Tensor:
        method, optimiser, generator = self.state.method, self.state.optimiser, self.state.generator
        optimiser.zero_grad(set_to_none=True)
        views = [view(self.clips, self._batch, generator) for view in method.views]
        named = method.losses(views, self._batch)
        values = torch.stack(list(named.values()))
        loss = values.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        if method.ranks is not None:
            average_gradients(method.ranks, method.parameters())
        optimiser.step()
        method.after_step()
        self.terms = (*named, "loss")
        return torch.cat([values.detach(), loss.detach()[None]])


class CudaGraph:
    """The lines that need a GPU: a step recorded once and launched as a whole.

    The memory of the recorded step (its activations and gradients) stays reserved between replays.
    """

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self.graph: torch.cuda.CUDAGraph | None = None
        self.values = torch.empty(0)

    def plain(self, run: Run) -> Tensor:
        """Run a step unrecorded, on the stream that the recording will be made on."""
        self.graph = None  # frees the memory of a recording that is out of date
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            values = run()
        torch.cuda.current_stream().wait_stream(self.stream)
        return values

    def capture(self, run: Run) -> None:
        """Record a step without running it."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.state.generator)  # every replay goes on where the last one stopped
        groups = self.state.optimiser.param_groups
        # Fused Adam is the same kernel either way; torch asks for the flag in a capture and warns of it outside.
        for group in groups:
            group["capturable"] = True
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.values = run()
        finally:
            for group in groups:
                group["capturable"] = False
        self.graph = graph

    def replay(self) -> Tensor:
        """Run the recorded step on the inputs as they are now."""
        assert self.graph is not None
        self.graph.replay()
        return self.values
