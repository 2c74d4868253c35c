"""One evaluation of the flow: in which direction a noisy mel should go."""

from __future__ import annotations

import torch
from chatterbox.models.s3gen.decoder import ConditionalDecoder
from torch import Tensor, nn


class Estimator:
    """Upstream's `ConditionalDecoder`, whose layers are called here one by one.

    Its own forward asks in each of its blocks whether a mask is empty. Each answer is a host sync:
    it stalls the launches behind it, and cannot be captured in a CUDA graph. Here the mask is
    prepared once, and the embeddings of all times before the first evaluation.
    """

    def __init__(self, decoder: ConditionalDecoder) -> None:
        self._decoder = decoder
        ((self._down, self._down_transformers, self._after_down),) = _children(decoder.down_blocks)
        ((self._up, self._up_transformers, self._after_up),) = _children(decoder.up_blocks)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights, its inputs and its output."""
        return self._decoder.dtype

    def embed_times(self, times: Tensor) -> Tensor:
        """Embeddings [s, 1024] of the s steps between times [s + 1] float32.

        A step begins at its time; meanflow is told where it ends, too.
        """
        decoder = self._decoder
        embedded = decoder.time_mlp(decoder.time_embeddings(times).to(self.dtype))
        if decoder.time_embed_mixer is None:
            return embedded[:-1]
        return decoder.time_embed_mixer(torch.cat([embedded[:-1], embedded[1:]], dim=1))

    def __call__(self, noisy: Tensor, conditions: Tensor, mask: Tensor, time: Tensor) -> Tensor:
        """The velocity [b, 80, t] of a noisy mel.

        Args:
            noisy: [b, 80, t]
            conditions: [b, 240, t], which is the encoder's output, the speaker and the prompt's mel
            mask: [b, 1, t], 1 where a row has frames, one at least, and 0 in the padding behind
            time: [1, 1024], of `embed_times`
        """
        padding = torch.zeros_like(mask).masked_fill_(mask == 0, -torch.inf)
        hidden = torch.cat([noisy, conditions], dim=1)
        hidden = skipped = _block(self._down, self._down_transformers, hidden, mask, padding, time)
        hidden = self._after_down(hidden * mask)
        for resnet, transformers in _children(self._decoder.mid_blocks):
            hidden = _block(resnet, transformers, hidden, mask, padding, time)
        hidden = torch.cat([hidden, skipped], dim=1)
        hidden = _block(self._up, self._up_transformers, hidden, mask, padding, time)
        hidden = self._decoder.final_block(self._after_up(hidden * mask), mask)
        return self._decoder.final_proj(hidden * mask) * mask


def _block(
    resnet: nn.Module,
    transformers: nn.Module,
    hidden: Tensor,
    mask: Tensor,
    padding: Tensor,
    time: Tensor,
) -> Tensor:
    """A residual block and the transformers behind it: [b, c, t] to [b, 256, t].

    `padding` is the mask as attention takes it, added to the scores.
    """
    hidden = resnet(hidden, mask, time).transpose(1, 2).contiguous()
    for transformer in _children(transformers):
        hidden = transformer(hidden_states=hidden, attention_mask=padding)
    return hidden.transpose(1, 2).contiguous()


def _children(module: nn.Module) -> list:
    return list(module.children())
