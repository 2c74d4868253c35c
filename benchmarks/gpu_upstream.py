"""All slots busy, one request alone, and upstream's `generate`, which knows no other way.

Upstream is loaded from the same folder in float32, as its `from_local` does, and speaks the same
text in the same voice with as many tokens. It runs whole: reading, T3, S3Gen and watermark. Only
how many tokens T3 makes is told to it, as random weights never end by themselves; and its progress
bar is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest import mock

import torch
from chatterbox.models.t3 import T3
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.tokenizers import EnTokenizer
from chatterbox.tts import ChatterboxTTS, Conditionals
from chatterbox.tts_turbo import ChatterboxTurboTTS
from transformers import AutoTokenizer

from benchmarks.gpu_rig import TEXT, Rig, loaded, seconds_of, speak_only
from benchmarks.gpu_streams import Run, speak
from benchmarks.report import Figures
from serve_app.engines.chatterbox.loading import Models, load_models
from serve_app.engines.chatterbox.models import SAMPLE_RATE, TOKEN_RATE, Family
from serve_app.engines.chatterbox.voice import Voice

_WARM_UP_TOKENS = 5


@dataclass(slots=True)
class FixedLength:
    """Upstream's T3, which is told how many tokens to make."""

    t3: T3
    tokens: int

    @property
    def hp(self) -> Any:
        """As of `T3`."""
        return self.t3.hp

    def inference(self, **settings: Any) -> torch.Tensor:
        """As of `T3`."""
        return self.t3.inference(**{**settings, "max_new_tokens": self.tokens})

    def inference_turbo(self, **settings: Any) -> torch.Tensor:
        """As of `T3`, which makes one more than it is told."""
        return self.t3.inference_turbo(**settings, max_gen_len=self.tokens - 1)


class Upstream:
    """One request at a time."""

    def __init__(self, rig: Rig) -> None:
        spec, device = rig.spec, str(rig.device)
        models = load_models(spec, rig.parts.models.folder, device=device, dtype=torch.float32)
        self._device = rig.device
        self._t3 = FixedLength(speak_only(loaded(models.t3)), _WARM_UP_TOKENS)
        self._model = _upstream(models, self._t3, device)
        self._model.conds = _conditionals(rig.asked.voice).to(device)

    def audio_rate(self, tokens: int) -> float:
        """Seconds of audio for each second that a request of so many tokens takes."""
        self._t3.tokens = tokens
        samples = 0

        def generate() -> None:
            nonlocal samples
            samples = self._model.generate(TEXT).shape[-1]

        with mock.patch("chatterbox.models.t3.t3.tqdm", lambda each, **_: each):
            seconds = seconds_of(generate, self._device)
        return samples / SAMPLE_RATE / seconds


def _upstream(models: Models, t3: FixedLength, device: str) -> Any:
    folder, rest = models.folder, (models.s3gen, models.voice_encoder)
    if models.spec.family is Family.TURBO:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.eos_token
        return ChatterboxTurboTTS(t3, *rest, tokenizer, device)  # type: ignore[arg-type]
    tokenizer = EnTokenizer(str(folder / models.spec.reading_files[0]))
    return ChatterboxTTS(t3, *rest, tokenizer, device)  # type: ignore[arg-type]


def _conditionals(voice: Voice) -> Conditionals:
    prompt = voice.prompt
    heard = T3Cond(
        speaker_emb=voice.speaker[None],
        cond_prompt_speech_tokens=voice.speech_tokens[None],
        emotion_adv=torch.full((1, 1, 1), 0.5),
    )
    continued = {
        "prompt_token": prompt.tokens[None],
        "prompt_token_len": torch.tensor([len(prompt.tokens)]),
        "prompt_feat": prompt.mel[None],
        "prompt_feat_len": None,
        "embedding": prompt.x_vector[None],
    }
    return Conditionals(heard, continued)


def against_upstream(rig: Rig) -> Figures:
    """Seconds of audio for each second: upstream, ours alone and ours with all slots busy, by
    turns, so that what the machine does besides meets all; and ratios of the medians."""
    seconds = rig.scale.compared_seconds
    upstream = Upstream(rig)
    upstream.audio_rate(_WARM_UP_TOKENS)
    rounds = [
        (
            upstream.audio_rate(round(seconds * TOKEN_RATE)),
            _rate(speak(rig, 1, seconds)),
            _rate(speak(rig, rig.options.slots, seconds)),
        )
        for _ in range(rig.scale.rounds)
    ]
    theirs, alone, together = (median(rates) for rates in zip(*rounds, strict=True))
    return {
        "upstream_audio_s_per_s": theirs,
        "alone_audio_s_per_s": alone,
        "throughput_audio_s_per_s": together,
        "alone_against_upstream": alone / theirs,
        "throughput_against_upstream": together / theirs,
    }


def _rate(run: Run) -> float:
    return run.audio / run.duration
