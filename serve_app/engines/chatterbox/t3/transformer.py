"""T3's layers, run over a prompt or over the next token of all slots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from chatterbox.models.t3 import T3
from torch import Tensor

from serve_app.engines.chatterbox.models import AlignedHead
from serve_app.engines.chatterbox.t3.attention import TextAttention
from serve_app.engines.chatterbox.t3.cache import SlotCache
from serve_app.engines.chatterbox.t3.prompt import Dialect
from serve_app.engines.chatterbox.t3.state import SlotState


class Transformer:
    """Upstream's modules between the slots' state and logits."""

    def __init__(
        self,
        t3: T3,
        dialect: Dialect,
        cache: SlotCache,
        state: SlotState,
        aligned_heads: Sequence[AlignedHead] = (),
    ) -> None:
        self._t3, self._dialect, self._cache, self._state = t3, dialect, cache, state
        self._attention = TextAttention(t3, aligned_heads, cache) if aligned_heads else None

    def attention(self, slots: int, length: int) -> Tensor | None:
        """How much the first slots looked at each position when they were last run, [slots, length]
        in float32; to be asked before the state advances. None where no heads are known that
        tell."""
        if self._attention is None:
            return None
        return self._attention.weights(self._state.positions(slots), length)

    def prefill(self, slot: int, prompt: Tensor) -> Tensor:
        """Put a prompt [rows, positions, width] into the cache; logits [1, rows, vocabulary]."""
        with self._watched(slot, slot + 1):
            output = self._t3.tfmr(inputs_embeds=prompt, use_cache=True)
        self._cache.load(slot, output.past_key_values)
        return self._logits(output.last_hidden_state)

    def decode(self, slots: int, length: int) -> Tensor:
        """Feed each slot its last token; logits [slots, rows, vocabulary].

        No position may be at or beyond `length`. The state is read, not advanced: run twice, it
        does the same twice, which is what capturing a CUDA graph needs.
        """
        rows, state = self._dialect.rows, self._state
        embeddings = self._dialect.embed(state.last[:slots], state.drawn[:slots])
        positions = _for_rows(state.positions(slots), rows)
        with self._watched(0, slots):
            output = self._t3.tfmr(
                inputs_embeds=_for_rows(embeddings, rows)[:, None],
                position_ids=positions[:, None],
                attention_mask=_mask(positions, length, embeddings.dtype),
                past_key_values=self._cache.window(positions, length),
                use_cache=True,
            )
        return self._logits(output.last_hidden_state)

    def _watched(self, first: int, stop: int) -> AbstractContextManager[None]:
        return self._attention.watched(first, stop) if self._attention else nullcontext()

    def _logits(self, hidden: Tensor) -> Tensor:
        """Of the last position of each row, in float32 whatever the model is in."""
        logits = self._t3.speech_head(hidden[:, -1]).float()
        return logits.unflatten(0, (-1, self._dialect.rows))


def _for_rows(per_slot: Tensor, rows: int) -> Tensor:
    """[slots, ...] to [slots * rows, ...], each as often as a slot has rows."""
    return per_slot[:, None].expand(-1, rows, *per_slot.shape[1:]).flatten(0, 1)


def _mask(positions: Tensor, length: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention: 0 up to each row's position, then -inf; [rows, 1, 1, length].

    Additive, because a boolean one would be converted anew in every layer.
    """
    later = torch.arange(length, device=positions.device) > positions[:, None]
    mask = torch.zeros(later.shape, dtype=dtype, device=positions.device)
    return mask.masked_fill_(later, float("-inf"))[:, None, None]
