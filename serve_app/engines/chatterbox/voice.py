"""A voice, as T3 and S3Gen know it: computed once from a reference, never changed.

Upstream keeps the present voice in the model and casts its token ids to the model's float type on
the way; here a voice is a value, and its ids stay integers.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """The beginning of a reference, which S3Gen continues in the same voice."""

    tokens: Tensor  # [p] int64, speech tokens
    mel: Tensor  # [2 p, 80] float32, the same audio at 50 frames a second
    x_vector: Tensor  # [192] float32, who speaks


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """All that the models take from a reference. Tensors are on the CPU and are never written."""

    speaker: Tensor  # [256] float32, the voice encoder's embedding
    speech_tokens: Tensor  # [n] int64, what T3 continues
    prompt: Prompt
