"""One model put together as the engine does it, on its device and warm: what is measured on a GPU.

Random weights cost what trained ones do. Two things are made to be as with trained ones: voices are
as long as a full reference makes them, and T3 draws nothing but speech.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from chatterbox.models.t3 import T3
from torch import nn

from serve_app.engines.chatterbox.architecture import REAL_S3GEN, REAL_T3
from serve_app.engines.chatterbox.assembly import Parts, assemble
from serve_app.engines.chatterbox.models import (
    FRAMES_PER_TOKEN,
    SPECS,
    SPEECH_VOCABULARY,
    TOKEN_RATE,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.options import SpeechOptions
from serve_app.engines.chatterbox.random_weights import random_weights_folder, write_random_weights
from serve_app.engines.chatterbox.reading import open_reader
from serve_app.engines.chatterbox.scheduler import Scheduler
from serve_app.engines.chatterbox.speaking import Manner, Speaking
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.sequence import TokenRequest
from serve_app.engines.chatterbox.task import Task
from serve_app.engines.chatterbox.voice import Prompt, Voice

TEXT = (
    "Nobody was in the boat, but there was a lamp on its floor, and the lamp was still burning "
    "when they reached it."
)
"""About as many tokens, one a character here, as a trained tokenizer makes of 20 s of speech."""

_EXAGGERATION = 0.5
_NEVER = -1e4  # as a logit


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the model is, and how long it is measured."""

    is_tiny: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)  # of the engine
    voice_seconds: float = 15.0  # of a reference at most
    step_sizes: tuple[int, ...] = (1, 16, 64)
    lead: int = 200  # steps before those that are timed: half-way through 20 s
    steps: int = 100
    batches: tuple[int, ...] = (1, 4, 8, 16)
    hops: tuple[int, ...] = (15, 40, 80)
    windows: int = 10
    first_audios: int = 20
    stream_seconds: float = 20.0
    first_count: int = 16  # of streams tried
    most_streams: int = 512
    patience_seconds: float = 80.0  # after which no further number of streams is tried
    compared_seconds: float = 10.0
    rounds: int = 2


FULL = Scale()
QUICK = Scale(
    steps=30,
    hops=(40,),
    windows=5,
    first_audios=5,
    patience_seconds=30.0,
    compared_seconds=4.0,
    rounds=1,
)
TINY = Scale(
    is_tiny=True,
    options={
        "threads": 1,
        "slots": 3,
        "positions": 512,
        "batch": 2,
        "prompt_seconds": 1.0,
        "flow_steps": 1,
        "hops": (15, 25),
        "context": 0,
    },
    voice_seconds=0.4,
    step_sizes=(1, 3),
    lead=1,
    steps=3,
    batches=(1, 2),
    hops=(15,),
    windows=1,
    first_audios=2,
    stream_seconds=0.8,
    first_count=1,
    most_streams=2,
    compared_seconds=0.2,
    rounds=1,
)


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """A speech engine, open to instruments."""

    scale: Scale
    spec: ModelSpec
    options: SpeechOptions
    parts: Parts
    decoder: TokenDecoder
    core: Scheduler
    asked: TokenRequest  # what is spoken; its length is given each time

    @property
    def t3(self) -> T3:
        """T3 in the precision that it is served in."""
        return loaded(self.parts.models.t3)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.t3.device

    def request(self, seed: int, tokens: int) -> TokenRequest:
        """The text once more, in so many speech tokens."""
        return replace(self.asked, seed=seed, max_tokens=tokens)

    def task(self, seed: int, seconds: float) -> Task:
        """A listener's task of so much audio, in a voice that is known, watermarked."""
        request = self.request(seed, round(seconds * TOKEN_RATE))
        manner = Manner(self.parts.hops, self.spec.closing_silence)
        return Task(Speaking([request], self.decoder, manner, self.parts.marking()), self.core)


def make_weights(family: Family, scale: Scale, folder: Path) -> Path:
    """A folder with random weights, in `folder` when they are of full depth."""
    spec = SPECS[family]
    if scale.is_tiny:
        return random_weights_folder(spec)
    write_random_weights(folder, spec, t3=REAL_T3[family], s3gen=REAL_S3GEN, seed=0)
    return folder


def build(family: Family, scale: Scale, folder: Path, device: str) -> Rig:
    """Put the model of a folder together as `ChatterboxEngine` does."""
    given = {"slots": max(scale.step_sizes), **scale.options}
    options = SpeechOptions(weights=str(folder), device=device, watermark="always", **given)
    spec = SPECS[family]
    parts = assemble(spec, options, with_t3=True, precision=options.precision)
    t3 = speak_only(loaded(parts.models.t3))
    decoder = TokenDecoder(
        t3,
        spec,
        slots=options.slots,
        max_length=options.positions,
        cuda_graphs=options.cuda_graphs,
    )
    core = Scheduler(parts.synthesizer, decoder=decoder, batch=options.batch)
    text = open_reader(spec, folder).read(TEXT, "en")
    voice = draw_voice(spec, scale.voice_seconds)
    asked = TokenRequest(text, voice, spec.controls, _EXAGGERATION, seed=1, max_tokens=1)
    return Rig(scale, spec, options, parts, decoder, core, asked)


def loaded(t3: T3 | None) -> T3:
    """T3 of models that were loaded with it."""
    assert t3 is not None
    return t3


def speak_only(t3: T3) -> T3:
    """Have T3 draw speech alone. Random weights would now and then draw a mark or stop, trained
    ones do neither in the middle of speech; here the length of speech is given."""
    head = t3.speech_head
    bias = torch.zeros(head.out_features) if head.bias is None else head.bias.detach().clone()
    bias[SPEECH_VOCABULARY:] = _NEVER
    head.bias = nn.Parameter(bias.to(head.weight), requires_grad=False)
    return t3


def draw_voice(spec: ModelSpec, most_seconds: float) -> Voice:
    """Any voice, as long as what the models take from a reference of `most_seconds`."""
    generator = torch.Generator().manual_seed(1)

    def draw_tokens(seconds: float) -> torch.Tensor:
        length = round(min(seconds, most_seconds) * TOKEN_RATE)
        return torch.randint(SPEECH_VOCABULARY, (length,), generator=generator)

    speaker = torch.rand(256, generator=generator)
    tokens = draw_tokens(spec.s3gen_prompt_seconds)
    mel = torch.randn(FRAMES_PER_TOKEN * len(tokens), 80, generator=generator) * 2 - 5
    prompt = Prompt(tokens, mel, torch.randn(192, generator=generator))
    return Voice(speaker / speaker.norm(), draw_tokens(spec.t3_prompt_seconds), prompt)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of some work, until the device has done it."""
    _wait_for(device)
    started = time.perf_counter()
    work()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
