"""Whole engines with tiny random models, made once for all tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import cache
from typing import Any
from unittest import mock

import numpy as np

from serve_app.domain.types import PcmChunk, Samples, Sampling, SpeechRequest
from serve_app.engines.chatterbox import engine as engine_module
from serve_app.engines.chatterbox.conversion import ChatterboxConversionEngine
from serve_app.engines.chatterbox.engine import ChatterboxEngine
from serve_app.engines.chatterbox.models import Family

TOKENS = 40
"""Speech tokens of a chunk at most: a random model nearly never ends by itself."""

QUICK = {
    "device": "cpu",
    "batch": 2,
    "prompt_seconds": 1.0,
    "flow_steps": 1,
    "hops": (15, 25),
    "context": 10,
    "watermark": "never",
}


@cache
def speaker(family: Family = Family.ENGLISH, **options: Any) -> ChatterboxEngine:
    """An engine that speaks; its chunks are short."""
    return ChatterboxEngine(
        family, **{**QUICK, "weights": f"random:{family}", "slots": 3, "positions": 512, **options}
    )


@cache
def converter(**options: Any) -> ChatterboxConversionEngine:
    """An engine that converts."""
    return ChatterboxConversionEngine(**{**QUICK, "weights": "random:english", **options})


def asked(*chunks: str, seed: int = 1, **fields: Any) -> SpeechRequest:
    """A request; fields of its sampling too."""
    sampling = {
        name: fields.pop(name)
        for name in [field.name for field in dataclasses.fields(Sampling)]
        if name in fields
    }
    return SpeechRequest(chunks=chunks, seed=seed, sampling=Sampling(**sampling), **fields)


def joined(chunks: Iterable[PcmChunk]) -> Samples:
    """All samples [n] of a stream."""
    return np.concatenate([np.zeros(0, np.int16), *(chunk.samples for chunk in chunks)])


def said(request: SpeechRequest, engine: ChatterboxEngine | None = None) -> Samples:
    """What an engine makes of a request, alone."""
    with short():
        return joined((engine or speaker()).speak(request))


def short(tokens: int = TOKENS) -> mock._patch[Any]:
    """Chunks have `tokens` at most while this lasts."""
    return mock.patch.object(engine_module, "max_tokens_for", return_value=tokens)
