"""Who is admitted when, what limits a request, and what is left when all are gone."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace
from functools import cache

import pytest
import torch
from chatterbox.models.t3 import T3

from serve_app.domain.errors import InvalidRequest
from serve_app.engines.chatterbox.models import ENGLISH
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.guards import Finish, Guards
from serve_app.engines.chatterbox.t3.sequence import Sequence, TokenRequest
from tests.chatterbox.t3_reference import tiny_model, voice

TINY = replace(ENGLISH, aligned_heads=())  # the tiny model has not so many heads


@cache
def t3() -> T3:
    return tiny_model()


def decoder(slots: int = 2, max_length: int = 64, prefills_per_step: int = 1) -> TokenDecoder:
    return TokenDecoder(
        t3(), TINY, slots=slots, max_length=max_length, prefills_per_step=prefills_per_step
    )


def request(seed: int = 0, text: int = 4, max_tokens: int = 6) -> TokenRequest:
    tokens = torch.full((text,), 9)
    controls = replace(ENGLISH.controls, repetition_penalty=1.0)
    return TokenRequest(tokens, voice(0, 5, vocabulary=60), controls, 0.5, seed, max_tokens)


PROMPT = 1 + 5 + 1 + 4 + 2  # speaker, speech, emotion, text, start twice


def run(engine: TokenDecoder) -> None:
    while engine.active or engine.waiting:
        engine.step()


def test_a_step_admits_and_draws_one_token_for_each() -> None:
    engine = decoder(slots=3)
    first, second = engine.add(request(1)), engine.add(request(2))
    assert (engine.active, engine.waiting) == (0, 2)
    assert engine.step() == [first]
    assert (engine.active, engine.waiting) == (1, 1)
    assert engine.step() == [first, second]
    assert (len(first.tokens), len(second.tokens)) == (2, 1)


def test_several_prefills_a_step_if_so_configured() -> None:
    engine = decoder(slots=3, prefills_per_step=2)
    added = [engine.add(request(seed)) for seed in range(4)]
    assert engine.step() == added[:2]
    assert engine.step() == added[:3]
    assert engine.step() == added[:3]


def test_nothing_to_do_is_no_work() -> None:
    assert decoder().step() == []


def test_the_most_urgent_is_admitted_first_and_equals_in_order() -> None:
    engine = decoder(slots=1)
    late, early, also_early = (engine.add(request(seed, max_tokens=1)) for seed in range(3))
    value = {late: 2.0, early: 1.0, also_early: 1.0}
    order = [engine.step(value.__getitem__)[0] for _ in range(3)]
    assert order == [early, also_early, late]


def test_the_last_token_ends_a_sequence_in_the_step_that_draws_it() -> None:
    engine = decoder()
    sequence = engine.add(request(max_tokens=2))
    engine.step()
    assert sequence.finish is None
    assert engine.step() == [sequence]
    assert (sequence.finish, engine.active, engine.cache_use) == (Finish.LENGTH, 0, 0.0)


def test_cache_use_counts_positions_held() -> None:
    engine = decoder(slots=2)
    engine.add(request())
    engine.step()
    assert engine.cache_use == PROMPT / (2 * 64)
    engine.step()
    assert engine.cache_use == (PROMPT + 1) / (2 * 64)


def test_a_prompt_that_leaves_less_room_cuts_the_length() -> None:
    engine = decoder(max_length=PROMPT + 3)
    sequence = engine.add(request(max_tokens=100))
    run(engine)
    assert sequence.max_tokens == sequence.drawn == 3
    assert sequence.finish is Finish.LENGTH


@pytest.mark.parametrize(
    "impossible",
    [
        request(text=64),
        request(text=0),
        request(max_tokens=0),
        replace(request(), text_tokens=torch.tensor([9, 704])),
        replace(request(), text_tokens=torch.tensor([-1])),
        replace(request(), voice=replace(voice(0), speech_tokens=torch.tensor([6561]))),
    ],
    ids=["too long", "empty", "no tokens", "unknown token", "negative token", "unknown speech"],
)
def test_what_cannot_be_decoded_is_refused_at_once(impossible: TokenRequest) -> None:
    engine = decoder()
    with pytest.raises(InvalidRequest):
        engine.add(impossible)
    assert engine.waiting == 0


def test_the_guards_end_a_sequence_and_free_its_slot() -> None:
    guards = Guards(token_seconds=0.2, cycle_seconds=0.2)
    engine = TokenDecoder(t3(), TINY, slots=1, max_length=64, guards=guards)
    repetitive = replace(ENGLISH.controls, temperature=0.0, repetition_penalty=0.01)
    sequence = engine.add(replace(request(max_tokens=30), controls=repetitive))
    run(engine)
    assert sequence.finish is Finish.REPETITION
    assert 0 < len(sequence.tokens) < sequence.drawn < 30
    assert engine.active == 0


def test_cancelling_twice_or_after_the_end_does_nothing() -> None:
    engine = decoder()
    waiting, ended = engine.add(request(1)), engine.add(request(2, max_tokens=1))
    engine.cancel(waiting)
    engine.cancel(waiting)
    assert engine.waiting == 1
    assert engine.step() == [ended]
    engine.cancel(ended)
    assert (ended.finish, waiting.finish, waiting.tokens) == (Finish.LENGTH, None, [])
    assert engine.step() == []


def test_ten_thousand_arrivals_and_cancellations_leave_nothing_behind() -> None:
    engine, chance = decoder(slots=4, prefills_per_step=4), random.Random(1)
    open_ones: list[Sequence] = []
    texts: list[weakref.ref[torch.Tensor]] = []
    for number in range(10_000):
        open_ones.append(
            engine.add(request(number, text=1 + number % 5, max_tokens=1 + number % 7))
        )
        texts.append(weakref.ref(open_ones[-1].request.text_tokens))
        if chance.random() < 0.9:
            engine.cancel(open_ones.pop(chance.randrange(len(open_ones))))
        if chance.random() < 0.05:
            engine.step()
            open_ones = [sequence for sequence in open_ones if sequence.finish is None]
            assert engine.active + engine.waiting == len(open_ones)
            assert engine.active <= 4
    run(engine)
    engine.step()
    assert all(sequence.finish for sequence in open_ones)
    assert (engine.active, engine.waiting, engine.cache_use) == (0, 0, 0.0)
    del open_ones
    gc.collect()
    assert not any(text() is not None for text in texts)


def test_a_used_slot_is_as_good_as_a_new_one() -> None:
    used, new, asked = decoder(slots=2), decoder(slots=2), request(7, max_tokens=8)
    for seed in range(3):
        used.add(request(seed, text=9, max_tokens=20))
    run(used)
    again, first = used.add(asked), new.add(asked)
    run(used)
    run(new)
    assert again.tokens == first.tokens != []
