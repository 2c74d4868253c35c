"""What each slot is at, kept on the device so that a step reads and writes it there."""

from __future__ import annotations

import torch
from torch import Tensor


class SlotState:
    """Tensors over all slots, always the same ones, as CUDA graphs read them by address."""

    def __init__(self, slots: int, vocabulary: int, device: torch.device) -> None:
        self.last = torch.zeros(slots, dtype=torch.int64, device=device)  # token drawn
        self.drawn = torch.zeros_like(self.last)  # how many tokens
        self.seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=device)
        self._origin = torch.zeros_like(self.last)  # position before that of the first token

    def positions(self, slots: int) -> Tensor:
        """Where in the cache the last tokens of the first slots go, [slots]."""
        return self._origin[:slots] + self.drawn[:slots]

    def begin(self, slot: int, prompt_length: int, start: int) -> None:
        """A request has its prompt in the cache; `start` is the mark that ended it."""
        self.drawn[slot] = 0
        self._origin[slot] = prompt_length - 1
        self.seen[slot] = False
        self.seen[slot, start] = True

    def advance(self, tokens: Tensor) -> None:
        """The first slots have drawn tokens [n]."""
        count = len(tokens)
        self.last[:count] = tokens
        self.drawn[:count] += 1
        self.seen[:count].scatter_(1, tokens[:, None], True)

    def move(self, source: int, target: int) -> None:
        """Go on in another slot."""
        for tensor in (self.last, self.drawn, self.seen, self._origin):
            tensor[target] = tensor[source]

    def free(self, slot: int) -> None:
        """Back to position 0: a padded step writes to free slots too, within any bucket."""
        for tensor in (self.last, self.drawn, self._origin):
            tensor[slot] = 0
