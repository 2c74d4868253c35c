"""The randomness of each request, which depends on its seed and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Exponential noise over the vocabulary, a generator a slot, made `block` draws at a time.

    A generator is a kernel launch of its own. On a GPU blocks keep their number from growing with
    the batch; on the CPU a block of one draws what `torch.multinomial` would.
    """

    def __init__(self, slots: int, vocabulary: int, block: int, device: torch.device) -> None:
        self._values = torch.empty(slots, block, vocabulary, device=device)
        self._generators = [torch.Generator(device) for _ in range(slots)]
        self._slots = torch.arange(slots, device=device)
        self._block = block

    def begin(self, slot: int, seed: int) -> None:
        """A request with this seed is in the slot now."""
        self._generators[slot].manual_seed(seed)

    def take(self, counts: Sequence[int], drawn: Tensor) -> Tensor:
        """The noise for the next draw of the first slots, [n, vocabulary].

        How many each drew before, `counts`, is on the device too, `drawn` [n].
        """
        for slot, count in enumerate(counts):
            if count % self._block == 0:
                self._values[slot].exponential_(generator=self._generators[slot])
        return self._values[self._slots[: len(counts)], drawn % self._block]

    def move(self, source: int, target: int) -> None:
        """Go on in another slot."""
        generators = self._generators
        generators[source], generators[target] = generators[target], generators[source]
        self._values[target] = self._values[source]
