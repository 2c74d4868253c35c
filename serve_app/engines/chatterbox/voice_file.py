"""A voice as bytes to keep in a store: safetensors, which holds nothing that is executed.

The header names the weights that heard the voice, since to others it is noise, and a digest of the
tensors, which safetensors does not protect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from serve_app.engines.chatterbox.models import FRAMES_PER_TOKEN, SPEECH_VOCABULARY
from serve_app.engines.chatterbox.voice import Prompt, Voice

VERSION = 1

_SPEAKER, _X_VECTOR, _MELS = 256, 192, 80  # widths
_ENTRY = "chatterbox"  # the only one in the header, because safetensors shuffles several
_PROMPT = ("prompt.mel", "prompt.tokens", "prompt.x_vector")
_VOICE = (*_PROMPT, "speaker", "speech_tokens")


def dump_voice(voice: Voice, fingerprint: str) -> bytes:
    """About 170 kB for a reference of ten seconds; the same voice gives the same bytes.

    Args:
        voice: what to keep.
        fingerprint: of the weights that heard it.
    """
    tensors = {"speaker": voice.speaker, "speech_tokens": voice.speech_tokens}
    return _dump(tensors | _tensors_of(voice.prompt), fingerprint)


def load_voice(data: bytes, fingerprint: str) -> Voice:
    """The voice that `dump_voice` made bytes of.

    Raises:
        ValueError: the bytes are damaged, of another version, or of other weights.
    """
    tensors = _load(data, fingerprint, _VOICE)
    speaker, speech_tokens = tensors["speaker"], tensors["speech_tokens"]
    _require_numbers(speaker, (_SPEAKER,))
    _require_tokens(speech_tokens)
    return Voice(speaker, speech_tokens, _prompt_of(tensors))


def dump_prompt(prompt: Prompt, fingerprint: str) -> bytes:
    """Like `dump_voice`, for the target of a conversion."""
    return _dump(_tensors_of(prompt), fingerprint)


def load_prompt(data: bytes, fingerprint: str) -> Prompt:
    """The prompt that `dump_prompt` made bytes of.

    Raises:
        ValueError: the bytes are damaged, of another version, or of other weights.
    """
    return _prompt_of(_load(data, fingerprint, _PROMPT))


def _tensors_of(prompt: Prompt) -> dict[str, Tensor]:
    return dict(zip(_PROMPT, (prompt.mel, prompt.tokens, prompt.x_vector), strict=True))


def _prompt_of(tensors: Mapping[str, Tensor]) -> Prompt:
    mel, tokens, x_vector = (tensors[name] for name in _PROMPT)
    _require_tokens(tokens)
    _require_numbers(mel, (FRAMES_PER_TOKEN * len(tokens), _MELS))
    _require_numbers(x_vector, (_X_VECTOR,))
    return Prompt(tokens, mel, x_vector)


def _dump(tensors: Mapping[str, Tensor], fingerprint: str) -> bytes:
    kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return save(kept, {_ENTRY: _description(kept, fingerprint)})


def _load(data: bytes, fingerprint: str, names: tuple[str, ...]) -> dict[str, Tensor]:
    try:
        tensors = load(data)
    except (SafetensorError, KeyError) as error:  # KeyError: an element type that torch lacks
        raise ValueError("These bytes are no voice, or a damaged one.") from error
    if tuple(sorted(tensors)) != names:
        raise ValueError("These bytes are not the kind of voice that was asked for.")
    if _described(data) != _description(tensors, fingerprint):
        raise ValueError("This voice is damaged, of another version, or of other weights.")
    return tensors


def _description(tensors: Mapping[str, Tensor], fingerprint: str) -> str:
    fields = {"version": VERSION, "fingerprint": fingerprint, "sha256": _digest(tensors)}
    return json.dumps(fields)


def _described(data: bytes) -> str | None:
    """The description in a header that `load` has found to be sound."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]).get("__metadata__", {}).get(_ENTRY)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and elements."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _require_tokens(tokens: Tensor) -> None:
    """Ids beyond the vocabulary would stop a GPU for every request on it."""
    if tokens.dtype != torch.int64 or tokens.dim() != 1 or not len(tokens):
        raise ValueError("The tokens of this voice have another shape or type.")
    if tokens.min() < 0 or tokens.max() >= SPEECH_VOCABULARY:
        raise ValueError("This voice has tokens that are no speech.")


def _require_numbers(tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.dtype != torch.float32 or tuple(tensor.shape) != shape:
        raise ValueError("The figures of this voice have another shape or type.")
    if not tensor.isfinite().all():
        raise ValueError("This voice has figures that are not finite.")
