"""From a recording to a voice: what upstream's `prepare_conditionals` computes, as a value.

samples ─┬ first 10 s ─ mel, tokens, x-vector ── Prompt ┐
         └ at 16 kHz ─┬ first 6 or 15 s ─ tokens ───────┼ Voice
                      └ all ─ voice encoder ────────────┘
"""

from __future__ import annotations

import math
import threading
from typing import Protocol

import librosa
import numpy as np
import numpy.typing as npt
import pyloudnorm
import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.s3tokenizer import S3_SR, S3_TOKEN_HOP
from chatterbox.models.voice_encoder import VoiceEncoder

from serve_app.domain.errors import InvalidAudio
from serve_app.domain.types import Samples
from serve_app.engines.chatterbox.models import (
    SAMPLE_RATE,
    SAMPLES_PER_TOKEN,
    TOKEN_RATE,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.voice import Prompt, Voice

Wave = npt.NDArray[np.float32]

LEAST_SECONDS = 1.0
"""The voice encoder hears windows of 1.6 s, and pads what is shorter: less is mostly padding."""

TURBO_LEAST_SECONDS = 5.0
"""Upstream's own limit for Turbo. Less would run, but upstream refuses it."""

_TURBO_LOUDNESS = -27.0  # LUFS
_AUDIBLE = (
    1e-3  # of full scale, offset aside: -60 dBFS, where the noise of a 16-bit recording may lie
)
_STRETCH = 2 * SAMPLE_RATE // 5  # samples over which a level is measured: 0.4 s, as in BS.1770
_loudness_lock = threading.Lock()


class ListeningModels(Protocol):
    """The part of the models that a voice is learned with."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def s3gen(self) -> S3Gen: ...

    @property
    def voice_encoder(self) -> VoiceEncoder | None: ...


class Listener:
    """Learns voices. It and its models keep nothing of them: any thread may call it at any time."""

    def __init__(self, models: ListeningModels, *, prompt_seconds: float = 10.0) -> None:
        """Prepare to listen.

        Args:
            models: of one release; without a voice encoder there is only `listen_prompt`.
            prompt_seconds: of a recording that S3Gen continues; fewer are quicker and less alike.

        Raises:
            ValueError: `prompt_seconds` is not from `LEAST_SECONDS` to upstream's limit.
        """
        most = models.spec.s3gen_prompt_seconds
        if not LEAST_SECONDS <= prompt_seconds <= most:
            raise ValueError(f"prompt_seconds must be from {LEAST_SECONDS:g} to {most:g}.")
        self._s3gen = models.s3gen
        self._voice_encoder = models.voice_encoder
        self._turbo = models.spec.family is Family.TURBO
        self.prompt_seconds = prompt_seconds
        self._prompt_tokens = round(prompt_seconds * TOKEN_RATE)
        self._t3_tokens = round(models.spec.t3_prompt_seconds * TOKEN_RATE)
        # Upstream fills a cache of its module at the first call, in two steps that threads
        # could come between.
        self._s3gen.mel_extractor(torch.zeros(1, SAMPLES_PER_TOKEN, device=self._s3gen.device))

    def listen(self, samples: Samples) -> Voice:
        """The voice in samples [n] at 24 kHz, as the model of this family wants to know it.

        Raises:
            InvalidAudio: it is too short, or nothing is to be heard in it.
            ValueError: there is no voice encoder.
        """
        if self._voice_encoder is None:
            raise ValueError("Without a voice encoder only prompts can be learned.")
        wave = self._checked(samples)
        if self._turbo:
            _require_seconds(wave, TURBO_LEAST_SECONDS)
            wave = _normalize_loudness(wave)
        wave_16 = librosa.resample(wave, orig_sr=SAMPLE_RATE, target_sr=S3_SR)
        embeddings = self._voice_encoder.embeds_from_wavs([wave_16], sample_rate=S3_SR)
        start = wave_16[: self._t3_tokens * S3_TOKEN_HOP]
        tokens, _ = self._s3gen.tokenizer([start], max_len=self._t3_tokens)
        speaker = torch.from_numpy(_require_finite(embeddings[0]))
        return Voice(speaker, tokens[0].cpu(), self._prompt(wave))

    def listen_prompt(self, samples: Samples) -> Prompt:
        """What S3Gen needs of the voice in samples [n] at 24 kHz: the target of a conversion.

        Raises:
            InvalidAudio: it is too short, or nothing is to be heard in it.
        """
        return self._prompt(self._checked(samples))

    def _checked(self, samples: Samples) -> Wave:
        wave = samples.astype(np.float32) / np.float32(32768)
        _require_seconds(wave, LEAST_SECONDS)
        _require_sound(wave[: self._prompt_tokens * SAMPLES_PER_TOKEN])
        return wave

    @torch.inference_mode()
    def _prompt(self, wave: Wave) -> Prompt:
        """Cut to whole tokens, or `embed_ref` has half a token too much of mel or tokens."""
        tokens = min(self._prompt_tokens, len(wave) // SAMPLES_PER_TOKEN)
        start = torch.from_numpy(wave[: tokens * SAMPLES_PER_TOKEN])
        embedded = self._s3gen.embed_ref(start, SAMPLE_RATE)
        x_vector = embedded["embedding"][0].float().cpu()
        _require_finite(x_vector.numpy())
        return Prompt(
            tokens=embedded["prompt_token"][0].cpu(),
            mel=embedded["prompt_feat"][0].float().contiguous().cpu(),
            x_vector=x_vector,
        )


def _require_seconds(wave: Wave, seconds: float) -> None:
    if len(wave) < seconds * SAMPLE_RATE:
        raise InvalidAudio(
            "The recording is too short to learn its voice from.",
            f"It has {len(wave) / SAMPLE_RATE:.2f} s; {seconds:g} s are needed.",
        )


def _require_sound(wave: Wave) -> None:
    """At least one stretch of it is above the noise of a recording."""
    stretches = wave[: len(wave) // _STRETCH * _STRETCH].reshape(-1, _STRETCH)
    if stretches.std(axis=1).max() < _AUDIBLE:
        raise InvalidAudio(
            "There is nothing to be heard in the recording.",
            f"Its first {len(wave) / SAMPLE_RATE:.1f} s are silent; they must hold speech.",
        )


def _require_finite(embedding: Wave) -> Wave:
    """Sound without a voice may have an embedding of length zero, which upstream divides by."""
    if not np.isfinite(embedding).all():
        raise InvalidAudio(
            "There is no voice in the recording.", "It must hold speech of one person."
        )
    return embedding


def _normalize_loudness(wave: Wave) -> Wave:
    """To what upstream gives Turbo, in float32; what is too quiet to be measured stays as it is."""
    with _loudness_lock:  # pyloudnorm changes the filters of warnings, which are the process's
        loudness = pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(wave)
    if not math.isfinite(loudness):
        return wave
    # numpy 2 makes the product float64, which upstream's tokenizer refuses.
    return (wave * 10.0 ** ((_TURBO_LOUDNESS - loudness) / 20.0)).astype(np.float32)
