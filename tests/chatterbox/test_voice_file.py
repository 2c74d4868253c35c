"""Voices as bytes: what comes back is the voice, or an error; never another voice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from serve_app.engines.chatterbox import voice_file
from serve_app.engines.chatterbox.models import SPEECH_VOCABULARY
from serve_app.engines.chatterbox.voice import Prompt, Voice
from serve_app.engines.chatterbox.voice_file import (
    dump_prompt,
    dump_voice,
    load_prompt,
    load_voice,
)

WEIGHTS = "0123abcd"


def make_prompt(tokens: int = 3) -> Prompt:
    dice = torch.Generator().manual_seed(tokens)
    return Prompt(
        tokens=torch.randint(SPEECH_VOCABULARY, (tokens,), generator=dice),
        mel=torch.randn(2 * tokens, 80, generator=dice),
        x_vector=torch.randn(192, generator=dice),
    )


def make_voice(tokens: int = 3) -> Voice:
    dice = torch.Generator().manual_seed(tokens)
    speech_tokens = torch.randint(SPEECH_VOCABULARY, (tokens + 2,), generator=dice)
    return Voice(torch.randn(256, generator=dice), speech_tokens, make_prompt(tokens))


def tensors(voice: Voice | Prompt) -> list[Tensor]:
    if isinstance(voice, Prompt):
        return [voice.tokens, voice.mel, voice.x_vector]
    return [voice.speaker, voice.speech_tokens, *tensors(voice.prompt)]


def same(one: Voice | Prompt, other: Voice | Prompt) -> bool:
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


VOICE = make_voice()
DATA = dump_voice(VOICE, WEIGHTS)
HEADER = 8 + int.from_bytes(DATA[:8], "little")


@pytest.mark.parametrize("tokens", [1, 25, 250])
def test_a_voice_comes_back_as_it_was(tokens: int) -> None:
    voice = make_voice(tokens)
    assert same(load_voice(dump_voice(voice, WEIGHTS), WEIGHTS), voice)


@pytest.mark.parametrize("tokens", [1, 25, 250])
def test_a_prompt_comes_back_as_it_was(tokens: int) -> None:
    prompt = make_prompt(tokens)
    assert same(load_prompt(dump_prompt(prompt, WEIGHTS), WEIGHTS), prompt)


def test_a_voice_whose_tensors_are_views_comes_back() -> None:
    prompt = make_prompt()
    turned = replace(prompt, mel=prompt.mel.T.contiguous().T)
    assert not turned.mel.is_contiguous()
    assert same(load_prompt(dump_prompt(turned, WEIGHTS), WEIGHTS), prompt)


def test_the_same_voice_gives_the_same_bytes() -> None:
    assert {dump_voice(make_voice(), WEIGHTS) for _ in range(20)} == {DATA}


def test_ten_seconds_are_less_than_two_hundred_kilobytes() -> None:
    assert 150_000 < len(dump_voice(make_voice(250), WEIGHTS)) < 200_000


def test_a_voice_of_other_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="other weights"):
        load_voice(DATA, WEIGHTS + "0")


def test_a_voice_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_file, "VERSION", voice_file.VERSION + 1)
    with pytest.raises(ValueError, match="another version"):
        load_voice(DATA, WEIGHTS)


def test_a_prompt_is_no_voice_and_a_voice_no_prompt() -> None:
    with pytest.raises(ValueError, match="kind"):
        load_voice(dump_prompt(VOICE.prompt, WEIGHTS), WEIGHTS)
    with pytest.raises(ValueError, match="kind"):
        load_prompt(DATA, WEIGHTS)


def test_tensors_without_our_description_are_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        load_voice(save(load(DATA)), WEIGHTS)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 7))
@example(position=HEADER, bit=0)
@example(position=len(DATA) - 1, bit=7)
def test_a_flipped_bit_never_gives_another_voice(position: int, bit: int) -> None:
    assert_refused_or_same(flipped(position, bit))


def test_no_flipped_bit_of_the_header_gives_another_voice() -> None:
    for position in range(HEADER):
        for bit in range(8):
            assert_refused_or_same(flipped(position, bit))


def flipped(position: int, bit: int) -> bytes:
    damaged = bytearray(DATA)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


def assert_refused_or_same(damaged: bytes) -> None:
    """White space in the header may change without harm; nothing else may."""
    try:
        voice = load_voice(damaged, WEIGHTS)
    except ValueError:
        return
    assert same(voice, VOICE)


@given(st.integers(0, len(DATA) - 1))
def test_a_part_of_a_voice_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        load_voice(DATA[:length], WEIGHTS)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no voice"):
        load_voice(data, WEIGHTS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: replace(v, speaker=v.speaker[:-1]),
        lambda v: replace(v, speaker=v.speaker.half()),
        lambda v: replace(v, speaker=v.speaker.bfloat16()),
        lambda v: replace(v, speaker=v.speaker * torch.nan),
        lambda v: replace(v, speech_tokens=v.speech_tokens.int()),
        lambda v: replace(v, speech_tokens=v.speech_tokens[None]),
        lambda v: replace(v, speech_tokens=v.speech_tokens[:0]),
        lambda v: replace(v, speech_tokens=v.speech_tokens.clamp(min=SPEECH_VOCABULARY)),
        lambda v: replace(v, speech_tokens=-1 - v.speech_tokens),
        lambda v: replace(v, prompt=replace(v.prompt, tokens=v.prompt.tokens[:-1])),
        lambda v: replace(v, prompt=replace(v.prompt, tokens=v.prompt.tokens.float())),
        lambda v: replace(v, prompt=replace(v.prompt, mel=v.prompt.mel.T)),
        lambda v: replace(v, prompt=replace(v.prompt, mel=v.prompt.mel.double())),
        lambda v: replace(v, prompt=replace(v.prompt, x_vector=v.prompt.x_vector[None])),
    ],
)
def test_a_voice_the_models_could_not_take_is_refused(spoil: Callable[[Voice], Voice]) -> None:
    with pytest.raises(ValueError, match="voice"):
        load_voice(dump_voice(spoil(VOICE), WEIGHTS), WEIGHTS)
