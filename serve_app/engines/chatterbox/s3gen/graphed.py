"""CUDA graphs, one for each set of shapes.

An evaluation of the flow is over a thousand kernels, most of them shorter than it takes to launch
one. A graph launches all of them at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TensorFunction = Callable[..., Tensor]

_WARM_UPS = 2  # libraries choose their kernels and allocate workspaces in the first calls


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A recorded call: `replay` computes `output` from what is in `inputs` by then."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    replay: Callable[[], None]


Capture = Callable[[TensorFunction, tuple[Tensor, ...]], Captured]


class CudaCapture:
    """Records calls. What they need in between is shared, so they must not run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: TensorFunction, examples: tuple[Tensor, ...]) -> Captured:
        """One call of a function of CUDA tensors, with memory of its own for what goes in."""
        inputs = tuple(example.clone() for example in examples)
        with torch.cuda.device(inputs[0].device):
            self._warm_up(function, inputs)
            graph = torch.cuda.CUDAGraph()
            # What other threads do meanwhile, such as decoding T3, neither harms nor is recorded.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                output = function(*inputs)
        return Captured(inputs, output, graph.replay)

    def _warm_up(self, function: TensorFunction, inputs: tuple[Tensor, ...]) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)


class Graphed:
    """A function of tensors, captured the first time it sees a set of shapes, then replayed.

    The function must not wait for the device, and must launch the same kernels for the same
    shapes. One thread may call it at a time. At most `limit` graphs are kept, the last used.
    """

    def __init__(self, function: TensorFunction, capture: Capture, *, limit: int = 64) -> None:
        self._function = function
        self._capture = capture
        self._limit = limit
        self._graphs: OrderedDict[tuple[torch.Size, ...], Captured] = OrderedDict()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The function's output, which the next call may overwrite."""
        graph = self._graph(inputs)
        for buffer, tensor in zip(graph.inputs, inputs, strict=True):
            buffer.copy_(tensor)
        graph.replay()
        return graph.output

    def _graph(self, inputs: tuple[Tensor, ...]) -> Captured:
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._graphs:
            self._graphs[shapes] = self._capture(self._function, inputs)
        self._graphs.move_to_end(shapes)
        if len(self._graphs) > self._limit:
            self._graphs.popitem(last=False)
        return self._graphs[shapes]
