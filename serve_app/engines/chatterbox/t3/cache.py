"""Keys and values of all requests being decoded, in slots of one length.

The slots in use are always the first ones, so that a step works on a prefix of the cache without
gathering; when a slot falls free, the last one moves into it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class SlotCache:
    """Room for `slots` requests of `rows` rows with `max_length` positions each."""

    def __init__(
        self, config: PreTrainedConfig, slots: int, rows: int, max_length: int, like: Tensor
    ) -> None:
        heads = config.num_attention_heads
        shape = (
            config.num_hidden_layers,
            slots * rows,
            heads,
            max_length,
            config.hidden_size // heads,
        )
        # Zeros, as attention multiplies by zero what is masked, which would not undo a NaN.
        self._keys = torch.zeros(shape, dtype=like.dtype, device=like.device)
        self._values = torch.zeros_like(self._keys)
        self._row_numbers = torch.arange(slots * rows, device=like.device)
        self.slots, self.rows, self.width = slots, rows, shape[-1]

    def load(self, slot: int, prompt: DynamicCache) -> None:
        """Take over what the transformer made of a prompt."""
        rows = self._rows_of(slot)
        for number, layer in enumerate(prompt.layers):
            assert isinstance(layer, DynamicLayer)
            assert layer.keys is not None
            assert layer.values is not None
            length = layer.keys.shape[2]
            self._keys[number, rows, :, :length] = layer.keys
            self._values[number, rows, :, :length] = layer.values

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first positions of one slot into another."""
        for store in (self._keys, self._values):
            moved = store[:, self._rows_of(source), :, :length]
            store[:, self._rows_of(target), :, :length] = moved

    def keys(self, layers: Tensor, heads: Tensor, slots: int, length: int) -> Tensor:
        """Of pairs of layer and head [k]: a copy of what the first row of each of the first slots
        has in the first positions, [k, slots, length, width]."""
        return self._keys[layers, : slots * self.rows : self.rows, heads, :length]

    def window(self, positions: Tensor, length: int) -> Cache:
        """The first rows and positions for one step that appends at `positions` [rows]."""
        rows = len(positions)
        return _Window(
            self._keys[:, :rows, :, :length],
            self._values[:, :rows, :, :length],
            self._row_numbers[:rows],
            positions,
        )

    def _rows_of(self, slot: int) -> slice:
        return slice(slot * self.rows, (slot + 1) * self.rows)


class _Window(Cache):
    """What transformers' attention calls to append a position to each row and get all of them."""

    def __init__(self, keys: Tensor, values: Tensor, rows: Tensor, positions: Tensor) -> None:
        super().__init__(layers=[])
        self._keys, self._values = keys, values
        self._rows, self._positions = rows, positions

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[Tensor, Tensor]:
        """Write states [rows, heads, 1, width]; get all [rows, heads, length, width]."""
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        keys[self._rows, :, self._positions] = key_states[:, :, 0]
        values[self._rows, :, self._positions] = value_states[:, :, 0]
        return keys, values
