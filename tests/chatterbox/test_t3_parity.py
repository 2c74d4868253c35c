"""The decoder's tokens are upstream's, in any company."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from serve_app.engines.chatterbox.models import ENGLISH, MULTILINGUAL, TURBO, ModelSpec
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.guards import Finish
from serve_app.engines.chatterbox.t3.sequence import TokenRequest
from tests.chatterbox.t3_reference import (
    OF_UPSTREAM,
    SPECS,
    decoded,
    drawing,
    mixed_requests,
    model,
    request,
    upstream_tokens,
)

pytestmark = pytest.mark.filterwarnings(OF_UPSTREAM)


@cache
def requests(spec: ModelSpec) -> list[TokenRequest]:
    return mixed_requests(spec, {ENGLISH: 8, TURBO: 6, MULTILINGUAL: 3}[spec])


@cache
def expected(spec: ModelSpec) -> list[list[int]]:
    return [upstream_tokens(model(spec), asked) for asked in requests(spec)]


def decoder(spec: ModelSpec, slots: int) -> TokenDecoder:
    return TokenDecoder(model(spec), spec, slots=slots, max_length=128)


@pytest.mark.parametrize("slots", [1, 5, 16])
def test_tokens_are_upstreams_with_any_number_of_slots(slots: int) -> None:
    assert decoded(decoder(ENGLISH, slots), requests(ENGLISH)) == expected(ENGLISH)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.family)
def test_tokens_are_upstreams_in_each_model(spec: ModelSpec) -> None:
    assert decoded(decoder(spec, 4), requests(spec)) == expected(spec)


def test_the_reference_requests_are_all_different() -> None:
    for spec in SPECS:
        assert len({tuple(tokens) for tokens in expected(spec)}) == len(requests(spec))


@pytest.mark.parametrize("spec", [ENGLISH, TURBO], ids=lambda spec: spec.family)
def test_who_comes_and_goes_meanwhile_changes_nothing(spec: ModelSpec) -> None:
    engine = decoder(spec, 3)
    cancelled, sequences = (1, 4), []
    for number, asked in enumerate(requests(spec)):
        sequences.append(engine.add(asked))
        for _ in range(3):
            engine.step()
        if number - 1 in cancelled:
            engine.cancel(sequences[number - 1])
    while engine.active or engine.waiting:
        engine.step()
    for number, sequence in enumerate(sequences):
        if number in cancelled:
            assert sequence.tokens == expected(spec)[number][: len(sequence.tokens)]
            assert sequence.finish is None
        else:
            assert sequence.tokens == expected(spec)[number]
            assert sequence.finish is Finish.LENGTH


def test_a_sequence_stops_where_upstream_does() -> None:
    asked = request(ENGLISH, seed=3, temperature=1e-3, min_p=0.0)
    t3 = drawing(6562, ENGLISH, asked, after=4)
    engine = TokenDecoder(t3, ENGLISH, slots=2, max_length=128)
    sequence = engine.add(asked)
    while sequence.finish is None:
        engine.step()
    assert sequence.finish is Finish.STOP
    assert sequence.tokens == upstream_tokens(t3, asked)
    assert 0 < len(sequence.tokens) <= 4


def test_turbo_penalizes_the_start_mark_at_the_first_draw_only() -> None:
    asked = request(TURBO, seed=3, temperature=1e-3, top_p=1.0, repetition_penalty=3.0)
    t3 = drawing(6561, TURBO, asked, after=2)
    tokens = decoded(TokenDecoder(t3, TURBO, slots=1, max_length=128), [asked])[0]
    assert tokens == upstream_tokens(t3, asked)
    assert len(tokens) < asked.max_tokens


@pytest.mark.parametrize("spec", [ENGLISH, TURBO], ids=lambda spec: spec.family)
def test_temperature_zero_takes_the_likeliest(spec: ModelSpec) -> None:
    """Upstream cannot do it; at a very low temperature it draws the same."""
    cold = {"temperature": 1e-6, "min_p": 0.0, "top_p": 1.0, "top_k": 0}
    tokens = decoded(decoder(spec, 2), [request(spec, 5, **{**cold, "temperature": 0.0})])
    assert tokens[0] == upstream_tokens(model(spec), request(spec, 5, **cold))


@pytest.mark.parametrize("spec", [ENGLISH, TURBO], ids=lambda spec: spec.family)
def test_a_seed_gives_the_same_tokens_in_any_company(spec: ModelSpec) -> None:
    asked = requests(spec)[2]
    others = mixed_requests(spec, 10)[7:]
    assert decoded(decoder(spec, 8), [*others, asked])[-1] == expected(spec)[2]
    assert decoded(decoder(spec, 3), [asked, *others])[0] == expected(spec)[2]


def test_the_voice_is_not_written() -> None:
    asked = requests(ENGLISH)[0]
    before = asked.voice.speaker.clone(), asked.voice.speech_tokens.clone()
    decoded(decoder(ENGLISH, 1), [asked])
    assert torch.equal(asked.voice.speaker, before[0])
    assert torch.equal(asked.voice.speech_tokens, before[1])
