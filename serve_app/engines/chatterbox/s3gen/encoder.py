"""The flow's encoder over a ragged batch: speech tokens to what the mel is drawn towards."""

from __future__ import annotations

from typing import cast

import torch
from chatterbox.models.s3gen.flow import CausalMaskedDiffWithXvec
from chatterbox.models.s3gen.transformer.upsample_encoder import UpsampleConformerEncoder
from torch import Tensor

from serve_app.engines.chatterbox.models import FRAMES_PER_TOKEN


def encode(flow: CausalMaskedDiffWithXvec, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Upstream's layers, one after the other, with padding that reaches no token.

    Upstream's own forward leaves in the padding what `embed` makes of nothing, and its look-ahead
    convolution carries that into the last tokens of shorter rows.

    Args:
        tokens: [b, n] int64, padded on the right with any valid id.
        lengths: [b] int64, at least 1 each.

    Returns:
        [b, 80, 2 n] in the encoder's own type; what is beyond a row's length has no meaning.
    """
    encoder = cast(UpsampleConformerEncoder, flow.encoder)
    valid = is_within(lengths, tokens.shape[1])
    keys, kept = valid[:, None, :], valid[:, :, None]
    hidden, positions, _ = encoder.embed(flow.input_embedding(tokens) * kept, keys)
    hidden = encoder.pre_lookahead_layer(hidden * kept)
    hidden = encoder.forward_layers(hidden, keys, positions, keys)
    hidden, _ = encoder.up_layer(hidden.transpose(1, 2).contiguous(), lengths)
    keys = keys.repeat_interleave(FRAMES_PER_TOKEN, dim=2)
    hidden, positions, _ = encoder.up_embed(hidden.transpose(1, 2).contiguous(), keys)
    hidden = encoder.forward_up_layers(hidden, keys, positions, keys)
    return flow.encoder_proj(encoder.after_norm(hidden)).transpose(1, 2)


def is_within(lengths: Tensor, longest: int) -> Tensor:
    """Which positions of right-padded rows are not padding: lengths [b] to [b, longest] bool."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]
