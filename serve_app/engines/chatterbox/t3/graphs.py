"""The decode step as CUDA graphs: about a thousand kernels, launched as one.

A graph has fixed shapes, so there is one for each bucket of slots and cache length, and a step runs
in the smallest that holds it. What is padded computes on free slots and masked positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Decode = Callable[[int, int], Tensor]
"""From how many slots and how many positions to logits [slots, rows, vocabulary]."""

_POSITIONS = 256  # from bucket to bucket
_WARM_UPS = 3  # for libraries that choose an algorithm or take memory when first called


@dataclass(frozen=True, slots=True)
class Buckets:
    """The shapes that steps are padded to, up to these."""

    slots: int
    max_length: int

    def fit(self, slots: int, length: int) -> tuple[int, int]:
        """The smallest bucket for so many slots and positions.

        Slots go by powers of two, because a step's time hardly grows with them; positions evenly,
        because attention reads them all.
        """
        power = 1 << (slots - 1).bit_length()
        multiple = -(-length // _POSITIONS) * _POSITIONS
        return min(power, self.slots), min(multiple, self.max_length)

    def every(self) -> list[tuple[int, int]]:
        """All buckets, the largest first, so that later graphs find their memory in the pool."""
        found = {
            self.fit(slots, length)
            for slots in range(1, self.slots + 1)
            for length in range(1, self.max_length + 1, _POSITIONS)
        }
        return sorted(found, reverse=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    logits: Tensor  # overwritten by each replay of any graph of the pool


class GraphedDecode:
    """Runs a decode step that reads and writes fixed addresses only. One thread at a time."""

    def __init__(self, decode: Decode, buckets: Buckets) -> None:
        self._decode, self._buckets = decode, buckets
        self._captured: dict[tuple[int, int], _Captured] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, slots: int, length: int) -> Tensor:
        """Logits [slots, rows, vocabulary], to be used before the next call."""
        bucket = self._buckets.fit(slots, length)
        captured = self._captured.get(bucket) or self._capture(*bucket)
        captured.graph.replay()
        return captured.logits[:slots]

    def warm_up(self) -> None:
        """Capture all graphs now, instead of each when it is first needed."""
        for bucket in self._buckets.every():
            if bucket not in self._captured:
                self._capture(*bucket)

    def _capture(self, slots: int, length: int) -> _Captured:
        self._run_aside(slots, length)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile; only this one is recorded.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = self._decode(slots, length)
        captured = self._captured[slots, length] = _Captured(graph, logits)
        return captured

    def _run_aside(self, slots: int, length: int) -> None:
        """Warm up on a stream of its own, as capturing demands."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._decode(slots, length)
        torch.cuda.current_stream().wait_stream(stream)
