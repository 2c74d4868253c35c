"""Where in its text T3 looks while it speaks: what says which word is being said.

A few heads of the transformer follow the text (upstream's `AlignmentStreamAnalyzer` reads the same
ones). The kernels that compute attention do not give their weights, so those of these heads alone
are computed once more where somebody asks, from the queries that passed by and the keys that are
in the cache. Nothing that T3 computes is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from chatterbox.models.t3 import T3
from torch import Tensor
from transformers.models.llama.modeling_llama import rotate_half

from serve_app.engines.chatterbox.models import AlignedHead
from serve_app.engines.chatterbox.t3.cache import SlotCache


class TextAttention:
    """The mean of some heads, for the last position of each slot.

    The queries are kept in one tensor, which CUDA graphs write by address.
    """

    def __init__(self, t3: T3, heads: Sequence[AlignedHead], cache: SlotCache) -> None:
        """Of a model that is cut to fewer layers than `heads` name, the last one is read."""
        self._tfmr: Any = t3.tfmr
        self._cache = cache
        last = len(self._tfmr.layers) - 1
        self._heads = [(min(layer, last), head) for layer, head in heads]
        weight = t3.speech_head.weight
        self._layer_numbers, self._head_numbers = torch.tensor(self._heads, device=weight.device).T
        shape = (len(heads), cache.slots, cache.width)
        self._queries = torch.zeros(shape, dtype=weight.dtype, device=weight.device)

    @contextmanager
    def watched(self, first: int, stop: int) -> Generator[None, None, None]:
        """Keep the queries of what the transformer is run over meanwhile: slots[first:stop]."""
        seen: dict[object, Any] = {}
        projections = {layer: self._tfmr.layers[layer].self_attn.q_proj for layer, _ in self._heads}
        with ExitStack() as hooks:
            for module in (*projections.values(), self._tfmr.rotary_emb):
                hooks.callback(module.register_forward_hook(_noting(seen)).remove)
            yield
        queries = {layer: seen[projection] for layer, projection in projections.items()}
        self._queries[:, first:stop] = self._rotated(queries, *seen[self._tfmr.rotary_emb])

    def weights(self, positions: Tensor, length: int) -> Tensor:
        """How much the first slots looked at the positions below `length`, [slots, length] in
        float32. They are at `positions` [slots], and see nothing after them."""
        slots = len(positions)
        keys = self._cache.keys(self._layer_numbers, self._head_numbers, slots, length)
        scores = torch.einsum("hsw,hsnw->hsn", self._queries[:, :slots].float(), keys.float())
        scores *= self._cache.width**-0.5
        later = torch.arange(length, device=positions.device) > positions[:, None]
        return scores.masked_fill_(later, float("-inf")).softmax(dim=-1).mean(dim=0)

    def _rotated(self, queries: dict[int, Tensor], cos: Tensor, sin: Tensor) -> Tensor:
        """Of the last position of each slot's conditioned row, [heads, slots, width].

        `queries` are [rows, positions, all heads * width], the rotation [rows or 1, positions,
        width].
        """
        rows, width = self._cache.rows, self._cache.width
        chosen = torch.stack(
            [
                queries[layer][::rows, -1, head * width : (head + 1) * width]
                for layer, head in self._heads
            ]
        )
        return chosen * cos[::rows, -1] + rotate_half(chosen) * sin[::rows, -1]


def _noting(seen: dict[object, Any]) -> Callable[[object, object, object], None]:
    def note(module: object, _inputs: object, output: object) -> None:
        seen[module] = output

    return note
