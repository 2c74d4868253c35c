"""Voices learned from recordings: what upstream's `prepare_conditionals` would have kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.voice_encoder import VoiceEncoder
from chatterbox.mtl_tts import ChatterboxMultilingualTTS
from chatterbox.tts import ChatterboxTTS
from chatterbox.tts_turbo import ChatterboxTurboTTS
from chatterbox.vc import ChatterboxVC
from torch import Tensor

from serve_app.domain.errors import InvalidAudio
from serve_app.domain.types import Samples
from serve_app.engines.chatterbox.architecture import TINY_S3GEN, build_s3gen
from serve_app.engines.chatterbox.listening import Listener
from serve_app.engines.chatterbox.models import (
    ENGLISH,
    MULTILINGUAL,
    SAMPLE_RATE,
    SAMPLES_PER_TOKEN,
    TURBO,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.voice import Prompt, Voice
from serve_app.engines.chatterbox.voice_file import dump_voice
from tests.support.voices import recording

# `librosa.load`, with which only upstream reads files, imports audioread.
pytestmark = pytest.mark.filterwarnings(
    "ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning"
)

SPEECH = np.concatenate([recording("en_sarah"), recording("en_karen"), recording("en_jennifer")])
MODELS = {
    Family.ENGLISH: (ChatterboxTTS, 150),
    Family.MULTILINGUAL: (ChatterboxMultilingualTTS, 150),
    Family.TURBO: (ChatterboxTurboTTS, 375),
}


def seconds(count: float) -> Samples:
    return SPEECH[: round(count * SAMPLE_RATE)]


@dataclass(frozen=True)
class Parts:
    """What a listener takes of the models."""

    spec: ModelSpec
    s3gen: S3Gen
    voice_encoder: VoiceEncoder | None


@pytest.fixture(scope="module")
def parts() -> Parts:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Parts(ENGLISH, build_s3gen(ENGLISH, TINY_S3GEN), VoiceEncoder().eval())


@pytest.fixture(scope="module")
def listener(parts: Parts) -> Listener:
    return Listener(parts)


@pytest.fixture(scope="module")
def turbo(parts: Parts) -> Listener:
    return Listener(Parts(TURBO, parts.s3gen, parts.voice_encoder))


@pytest.fixture
def upstream(parts: Parts, tmp_path: Path) -> Callable[[Family, Samples], Any]:
    """Upstream's conditionals of a recording, which it reads from a file."""

    def prepare(family: Family, samples: Samples) -> Any:
        model, prompt_length = MODELS[family]
        speaker: Any = object.__new__(model)
        speaker.s3gen, speaker.ve, speaker.device = parts.s3gen, parts.voice_encoder, "cpu"
        speaker.t3 = SimpleNamespace(hp=SimpleNamespace(speech_cond_prompt_len=prompt_length))
        if family is Family.TURBO:
            # With numpy 2 its result is float64, which its own tokenizer refuses.
            normalize = speaker.norm_loudness
            speaker.norm_loudness = lambda *sound: normalize(*sound).astype(np.float32)
        soundfile.write(tmp_path / "reference.wav", samples, SAMPLE_RATE)
        speaker.prepare_conditionals(tmp_path / "reference.wav")
        return speaker.conds

    return prepare


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    """Ids are the same; figures differ by less than 1e-5."""
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0 if ours.dtype == torch.int64 else 1e-5)


def assert_same_prompt(prompt: Prompt, embedded: dict[str, Tensor]) -> None:
    assert_same(prompt.tokens, embedded["prompt_token"][0])
    assert_same(prompt.mel, embedded["prompt_feat"][0])
    assert_same(prompt.x_vector, embedded["embedding"][0])


@pytest.mark.parametrize(
    ("spec", "samples"),
    [
        (ENGLISH, seconds(1.2)),
        (ENGLISH, seconds(10.51)),
        (MULTILINGUAL, seconds(2)),
        (TURBO, np.concatenate([np.zeros(SAMPLE_RATE, np.int16), seconds(5)])),
        (TURBO, seconds(15.5) // 8),
    ],
    ids=["short", "long", "multilingual", "turbo-silence-first", "turbo-long-quiet"],
)
def test_voices_are_upstreams(
    parts: Parts, upstream: Callable[..., Any], spec: ModelSpec, samples: Samples
) -> None:
    voice = Listener(Parts(spec, parts.s3gen, parts.voice_encoder)).listen(samples)
    expected = upstream(spec.family, samples)
    assert_same(voice.speaker, expected.t3.speaker_emb[0])
    assert_same(voice.speech_tokens, expected.t3.cond_prompt_speech_tokens[0])
    assert_same_prompt(voice.prompt, expected.gen)
    assert len(voice.speech_tokens.unique()) > 10


def test_prompts_are_upstreams_of_conversion(
    parts: Parts, listener: Listener, tmp_path: Path
) -> None:
    converter = ChatterboxVC(parts.s3gen, "cpu")
    soundfile.write(tmp_path / "target.wav", seconds(2), SAMPLE_RATE)
    converter.set_target_voice(tmp_path / "target.wav")
    assert converter.ref_dict is not None
    assert_same_prompt(listener.listen_prompt(seconds(2)), converter.ref_dict)


@pytest.mark.parametrize("more", [1, 240, 480, 959])
def test_a_prompt_is_cut_to_whole_tokens_where_upstream_warns(
    listener: Listener, caplog: pytest.LogCaptureFixture, more: int
) -> None:
    count = 30 * SAMPLES_PER_TOKEN
    prompt = listener.listen_prompt(SPEECH[: count + more])
    assert_same_tensors(tensors(prompt), tensors(listener.listen_prompt(SPEECH[:count])))
    assert (len(prompt.tokens), prompt.mel.shape) == (30, (60, 80))
    assert caplog.messages == []


def test_only_the_prompt_is_cut(listener: Listener, upstream: Callable[..., Any]) -> None:
    samples = SPEECH[: 30 * SAMPLES_PER_TOKEN + 500]
    voice, expected = listener.listen(samples), upstream(Family.ENGLISH, samples)
    assert_same(voice.speaker, expected.t3.speaker_emb[0])
    assert_same(voice.speech_tokens, expected.t3.cond_prompt_speech_tokens[0])


def test_a_shorter_prompt_changes_nothing_else(parts: Parts, listener: Listener) -> None:
    brief = Listener(parts, prompt_seconds=1.6)
    whole, short = (one.listen(seconds(2.5)) for one in (listener, brief))
    assert_same_tensors(tensors(short.prompt), tensors(listener.listen_prompt(seconds(1.6))))
    assert_same_tensors([short.speaker, short.speech_tokens], [whole.speaker, whole.speech_tokens])


@pytest.mark.parametrize("prompt_seconds", [0.9, 10.1])
def test_a_prompt_that_upstream_does_not_take_is_refused(
    parts: Parts, prompt_seconds: float
) -> None:
    with pytest.raises(ValueError, match="from 1 to 10"):
        Listener(parts, prompt_seconds=prompt_seconds)


@pytest.mark.parametrize("count", [0, 1, SAMPLE_RATE - 1])
def test_a_recording_that_is_too_short_is_refused(listener: Listener, count: int) -> None:
    for listen in (listener.listen, listener.listen_prompt):
        with pytest.raises(InvalidAudio, match="too short") as refused:
            listen(SPEECH[:count])
        assert "1 s are needed" in refused.value.detail


def test_a_second_is_enough(listener: Listener) -> None:
    assert len(listener.listen(seconds(1)).prompt.tokens) == 25


def test_turbo_needs_five_seconds_for_speech_and_one_for_conversion(turbo: Listener) -> None:
    with pytest.raises(InvalidAudio, match="too short") as refused:
        turbo.listen(seconds(4.99))
    assert "4.99 s; 5 s are needed" in refused.value.detail
    assert len(turbo.listen_prompt(seconds(1.2)).tokens) == 30


def offset(count: int) -> Samples:
    return np.full(count, 3000, np.int16)


def faint_noise(count: int) -> Samples:
    return np.random.default_rng(1).normal(0, 10, count).astype(np.int16)


def silence_then_speech(count: int) -> Samples:
    return np.concatenate([np.zeros(10 * SAMPLE_RATE, np.int16), SPEECH[:count]])


@pytest.mark.parametrize("sound", [np.zeros, offset, faint_noise, silence_then_speech])
def test_a_recording_in_which_nothing_is_heard_is_refused(
    listener: Listener, sound: Callable[[int], Samples]
) -> None:
    samples = sound(2 * SAMPLE_RATE).astype(np.int16)
    for listen in (listener.listen, listener.listen_prompt):
        with pytest.raises(InvalidAudio, match="nothing to be heard"):
            listen(samples)


def test_sound_that_has_no_embedding_is_refused(parts: Parts) -> None:
    """Upstream would go on with NaN, and T3 would fail for every request of the batch."""
    deaf = VoiceEncoder().eval()
    torch.nn.init.zeros_(deaf.proj.weight)
    torch.nn.init.constant_(deaf.proj.bias, -1.0)
    with pytest.raises(InvalidAudio, match="no voice"):
        Listener(Parts(ENGLISH, parts.s3gen, deaf)).listen(seconds(1.2))


def test_without_a_voice_encoder_prompts_can_be_learned(parts: Parts, listener: Listener) -> None:
    of_conversion = Listener(Parts(ENGLISH, parts.s3gen, None))
    prompts = [one.listen_prompt(seconds(1.2)) for one in (of_conversion, listener)]
    assert_same_tensors(*map(tensors, prompts))
    with pytest.raises(ValueError, match="voice encoder"):
        of_conversion.listen(seconds(1.2))


def test_voices_are_kept_plainly(listener: Listener) -> None:
    """On the CPU, without gaps, ids as integers and figures in full precision."""
    kept = tensors(listener.listen(seconds(1.2)))
    assert [tensor.dtype for tensor in kept] == [
        torch.float32, torch.int64, torch.int64, torch.float32, torch.float32
    ]  # fmt: skip
    assert all(tensor.is_contiguous() and tensor.device.type == "cpu" for tensor in kept)


def test_the_same_recording_gives_the_same_bytes(listener: Listener) -> None:
    first, second = (dump_voice(listener.listen(seconds(1.4)), "weights") for _ in range(2))
    assert first == second


def test_nothing_that_others_use_is_changed(parts: Parts, turbo: Listener) -> None:
    assert parts.voice_encoder is not None
    modules = (parts.s3gen, parts.voice_encoder)
    before = [{k: v.clone() for k, v in module.state_dict().items()} for module in modules]
    attributes = [list(vars(part)) for module in modules for part in module.modules()]
    dice, samples = torch.get_rng_state(), seconds(5.2).copy()
    turbo.listen(samples)
    for module, state in zip(modules, before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert attributes == [list(vars(part)) for module in modules for part in module.modules()]
    assert torch.equal(torch.get_rng_state(), dice)
    assert np.array_equal(samples, seconds(5.2))


def test_two_threads_learn_what_one_learns(turbo: Listener) -> None:
    recordings = [seconds(5.2), SPEECH[-6 * SAMPLE_RATE :]]
    alone = [turbo.listen(samples) for samples in recordings]
    together = Barrier(2)

    def listen(samples: Samples) -> Voice:
        together.wait(timeout=60)
        return turbo.listen(samples)

    with ThreadPoolExecutor(2) as threads:
        for one, other in zip(threads.map(listen, recordings), alone, strict=True):
            assert_same_tensors(tensors(one), tensors(other))


def tensors(voice: Voice | Prompt) -> list[Tensor]:
    if isinstance(voice, Prompt):
        return [voice.tokens, voice.mel, voice.x_vector]
    return [voice.speaker, voice.speech_tokens, *tensors(voice.prompt)]


def assert_same_tensors(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
