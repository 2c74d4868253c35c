"""Upstream's modules with the weights of a folder, as upstream's `from_local` loads them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.t3 import T3
from chatterbox.models.voice_encoder import VoiceEncoder
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from serve_app.engines.chatterbox.architecture import (
    S3GenShape,
    T3Shape,
    build_s3gen,
    build_t3,
)
from serve_app.engines.chatterbox.models import (
    FRAMES_PER_TOKEN,
    SPEECH_VOCABULARY,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.random_weights import random_weights_folder
from serve_app.engines.chatterbox.voice import Prompt, Voice
from serve_app.engines.chatterbox.weight_files import (
    WeightsDamaged,
    check_structure,
    fingerprint,
)
from serve_app.engines.chatterbox.weights import (
    Kind,
    WeightsSource,
    cache_folder,
    ensure_weights,
)

Module = TypeVar("Module", bound=nn.Module)

_UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What reading bytes that are not a checkpoint raises."""


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """The modules of one model, ready to compute, and what came with them."""

    spec: ModelSpec
    t3: T3 | None  # None where only voices are converted
    s3gen: S3Gen
    voice_encoder: VoiceEncoder | None  # None with T3, which alone takes what it hears
    default_voice: Voice | None
    folder: Path
    fingerprint: str  # what is kept of a voice belongs to the weights that have it


def find_weights(
    text: str,
    spec: ModelSpec,
    folder: Path | None = None,
    options: Mapping[str, str] | None = None,
    *,
    with_t3: bool = True,
) -> Path:
    """The folder that holds a model's files, fetched or made when they are not here yet; only
    those of S3Gen where T3 is not wanted.

    `text` is a source (see `weights`), `folder` is where what is fetched is kept; in the user's
    cache when None. `options` are those of an object store.

    Raises:
        ValueError: `text` is no source, or not one of this model.
        WeightsMissing, WeightsDamaged: saying which file, and what to do.
    """
    source = WeightsSource.parse(text)
    if source.kind is not Kind.RANDOM:
        files = spec.files if with_t3 else spec.conversion_files
        return ensure_weights(source, files, folder or cache_folder(source), options)
    if source.place != spec.family:
        raise ValueError(f"{text} is not of the model {spec.family}.")
    return random_weights_folder(spec, folder)


def load_models(
    spec: ModelSpec, folder: Path, *, device: str, dtype: torch.dtype, with_t3: bool = True
) -> Models:
    """Load a folder: T3 in `dtype`, all else in float32; only S3Gen where T3 is not wanted.

    Raises:
        WeightsMissing, WeightsDamaged: saying which file, and what is wrong with it.
    """
    t3 = _load_t3(spec, folder / spec.t3_file) if with_t3 else None
    if t3 is not None:
        _cast_parameters(t3, dtype)
    encoder = _fill(VoiceEncoder(), folder / spec.voice_encoder_file) if with_t3 else None
    s3gen = _load_s3gen(spec, folder / spec.s3gen_file)
    conditionals = folder / spec.default_voice_file
    files = (spec.t3_file, spec.voice_encoder_file, spec.s3gen_file)
    return Models(
        spec=spec,
        t3=t3 and t3.to(device),
        s3gen=s3gen.to(device),
        voice_encoder=encoder and encoder.to(device),
        default_voice=_load_voice(conditionals) if conditionals.exists() else None,
        folder=folder,
        fingerprint=fingerprint(folder, files if with_t3 else files[-1:]),
    )


def _load_t3(spec: ModelSpec, path: Path) -> T3:
    state = _read(path)
    with _reading(path):
        shape = T3Shape.of(state)
        with _UndrawnWeights():
            t3 = build_t3(spec, shape)
    _fill(t3, path, state)
    if spec.family is Family.TURBO:
        del t3.tfmr.wte  # GPT2's own embeddings: unused, and 100 MB in bfloat16
    return t3


def _load_s3gen(spec: ModelSpec, path: Path) -> S3Gen:
    state = _read(path)
    with _reading(path), _UndrawnWeights():
        s3gen = build_s3gen(spec, S3GenShape.of(state))
    return _fill(s3gen, path, state)


def _fill(module: Module, path: Path, state: Mapping[str, Tensor] | None = None) -> Module:
    """The module with a checkpoint in it, which must have all of its tensors and no others, except
    those that upstream says it computes itself (the released English S3Gen lacks one of them)."""
    computed: tuple[str, ...] = getattr(module, "ignore_state_dict_missing", ())
    with _reading(path):
        wrong = module.load_state_dict(_read(path) if state is None else state, strict=False)
    if missing := [name for name in wrong.missing_keys if name not in computed]:
        raise _damaged(path, f"{len(missing)} tensors are missing, the first is {missing[0]}")
    if foreign := wrong.unexpected_keys:
        raise _damaged(path, f"{len(foreign)} tensors are foreign to it, the first is {foreign[0]}")
    return module.eval().requires_grad_(False)


class _UndrawnWeights(TorchFunctionMode):
    """Modules built in it keep whatever memory they get for weights. Drawing them at random takes
    longer than reading a checkpoint does."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def _cast_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """Buffers keep their type: rotary frequencies in bfloat16 would misplace the later tokens."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)


def _read(path: Path) -> dict[str, Any]:
    """What a file holds, on the CPU; a checkpoint in a wrapper is taken out of it, as upstream
    does."""
    check_structure(path)
    with _reading(path):
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content["model"][0] if "model" in content else content)


def _load_voice(path: Path) -> Voice:
    """The voice that `Conditionals.save` of upstream wrote."""
    content = _read(path)
    with _reading(path):
        return _to_voice(content["t3"], content["gen"])


def _to_voice(t3: Mapping[str, Any], gen: Mapping[str, Any]) -> Voice:
    heard = t3["cond_prompt_speech_tokens"]
    mel = gen["prompt_feat"].float()[0]
    tokens = _to_ids(gen["prompt_token"])[: len(mel) // FRAMES_PER_TOKEN]
    return Voice(
        speaker=t3["speaker_emb"].float().reshape(256),
        speech_tokens=torch.zeros(0, dtype=torch.int64) if heard is None else _to_ids(heard),
        prompt=Prompt(
            tokens=tokens,
            mel=mel[: len(tokens) * FRAMES_PER_TOKEN].reshape(-1, 80),
            x_vector=gen["embedding"].float().reshape(192),
        ),
    )


def _to_ids(tokens: Tensor) -> Tensor:
    """Token ids [1, n] as [n]. One that is out of range would be a fault of the whole GPU."""
    ids = tokens[0].to(torch.int64)
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < SPEECH_VOCABULARY:
        raise ValueError("it has tokens that are not speech")
    return ids


@contextmanager
def _reading(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except _UNREADABLE as error:
        lines = [line.strip() for line in str(error).splitlines()]
        differences = [line for line in lines if line.startswith("size mismatch")]
        raise _damaged(path, (differences or lines or [type(error).__name__])[0]) from error


def _damaged(path: Path, reason: str) -> WeightsDamaged:
    return WeightsDamaged(
        f"{path} is not a checkpoint of this model: {reason.rstrip('.')}.",
        "Check it with `serve-app fetch-weights --verify-only`.",
    )
