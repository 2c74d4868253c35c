"""When words are said: where T3 looks in its text, and what the listener is told of it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
import torch
from chatterbox.models.t3 import T3
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from serve_app.domain.types import PcmChunk, WordTiming
from serve_app.engines.chatterbox import words as words_module
from serve_app.engines.chatterbox.capabilities import SPEECH
from serve_app.engines.chatterbox.models import (
    ENGLISH,
    MULTILINGUAL,
    SAMPLE_RATE,
    SPECS,
    SPEECH_VOCABULARY,
    Family,
    ModelSpec,
)
from serve_app.engines.chatterbox.random_weights import random_weights_folder
from serve_app.engines.chatterbox.reading import open_reader
from serve_app.engines.chatterbox.t3.decoder import TokenDecoder
from serve_app.engines.chatterbox.t3.prompt import dialect_of, text_positions
from serve_app.engines.chatterbox.t3.sequence import Look, TokenRequest
from serve_app.engines.chatterbox.t3.sequence import Sequence as Decoded
from serve_app.engines.chatterbox.words import (
    LocatedWord,
    SpokenWord,
    WordClock,
    located_words,
)
from serve_app.engines.words import written_words
from tests.chatterbox.engines import asked, joined, said, short, speaker
from tests.chatterbox.t3_reference import OF_UPSTREAM, decoded, mixed_requests, model

pytestmark = pytest.mark.filterwarnings(OF_UPSTREAM)

HEADS = ((1, 11), (0, 15), (1, 2))
SILENT = 4299


# Where T3 looks


def timed(request: TokenRequest) -> TokenRequest:
    return replace(request, words=lambda: ())


def run(engine: TokenDecoder) -> None:
    while engine.active or engine.waiting:
        engine.step()


def looked(t3: T3, spec: ModelSpec, request: TokenRequest) -> tuple[list[int], list[Look]]:
    engine = TokenDecoder(t3, spec, slots=1, max_length=128)
    sequence = engine.add(timed(request))
    run(engine)
    return sequence.tokens, sequence.looks


@torch.inference_mode()
def upstream_looks(
    t3: T3, spec: ModelSpec, request: TokenRequest, tokens: list[int]
) -> torch.Tensor:
    """What upstream's transformer says that its heads weigh the text with, [tokens, text]."""
    t3.tfmr.config._attn_implementation = "eager"
    dialect = dialect_of(t3, spec)
    prompt = dialect.prompt(request)[:1]
    fed = dialect.embed(torch.tensor(tokens[:-1]), torch.arange(1, len(tokens)))
    output = t3.tfmr(inputs_embeds=torch.cat([prompt, fed[None]], dim=1), output_attentions=True)
    weights = torch.stack([output.attentions[layer][0, head] for layer, head in spec.aligned_heads])
    return weights.mean(dim=0)[prompt.shape[1] - 1 :, text_positions(t3, request)]


@pytest.mark.parametrize("spec", [ENGLISH, MULTILINGUAL], ids=lambda spec: spec.family)
def test_where_t3_looks_is_what_upstreams_attention_says(spec: ModelSpec) -> None:
    spec = replace(spec, aligned_heads=HEADS)
    t3 = copy.deepcopy(model(spec))
    t3.speech_head.weight.data[SPEECH_VOCABULARY:] = 0  # so that no mark is the likeliest
    request = mixed_requests(spec, 2)[1]
    request = replace(request, controls=replace(request.controls, temperature=0.0))
    tokens, looks = looked(t3, spec, request)
    assert len(looks) == len(tokens) == request.max_tokens
    expected = upstream_looks(t3, spec, request, tokens)
    assert expected.std() > 1e-3
    torch.testing.assert_close(torch.from_numpy(np.stack(looks)), expected, rtol=0, atol=1e-5)


def test_neighbours_who_come_and_go_do_not_change_where_one_looks() -> None:
    requests = mixed_requests(ENGLISH, 6)
    engine = TokenDecoder(model(ENGLISH), ENGLISH, slots=3, max_length=128)
    sequences = []
    for number, request in enumerate(requests):
        sequences.append(engine.add(request if number == 2 else timed(request)))
        engine.step()
        engine.step()
        if number == 4:
            engine.cancel(sequences[1])
    run(engine)
    for number, (request, sequence) in enumerate(zip(requests, sequences, strict=True)):
        if number == 2:
            assert sequence.looks == []
            continue
        _, alone = looked(model(ENGLISH), ENGLISH, request)
        assert len(sequence.looks) == len(sequence.tokens) > 0
        np.testing.assert_allclose(sequence.looks, alone[: len(sequence.looks)], atol=1e-5)
        assert sequence.looks[0].shape == request.text_tokens.shape


def test_tokens_are_the_same_whether_or_not_anybody_looks() -> None:
    requests = mixed_requests(MULTILINGUAL, 4)
    plain, watched = (
        decoded(TokenDecoder(model(MULTILINGUAL), MULTILINGUAL, slots=2, max_length=128), asked_for)
        for asked_for in (requests, [timed(request) for request in requests])
    )
    assert watched == plain


def test_the_looks_of_tokens_that_a_guard_cuts_off_are_cut_off_too() -> None:
    request = timed(mixed_requests(ENGLISH, 1)[0])
    engine = TokenDecoder(model(ENGLISH), ENGLISH, slots=1, max_length=256)
    sequence = engine.add(replace(request, max_tokens=100))
    look = np.ones(3, np.float32)
    for token in [*range(5), *[7] * 60]:
        if sequence.is_open:
            sequence.accept(token, stop=6562, look=look * token)
    assert len(sequence.tokens) == 6
    assert [int(look[0]) for look in sequence.looks] == sequence.tokens


# Which ids are a word's


@pytest.mark.parametrize(
    ("family", "language", "text", "expected"),
    [
        (Family.ENGLISH, "en", "One two, three", ["One ", "two, ", "three."]),
        (Family.ENGLISH, "en", "well - it is", ["Well, ", "it ", "is."]),
        (Family.ENGLISH, "en", "- An ape... apes!", ["-An ", "ape, ", "apes!"]),
        (Family.ENGLISH, "en", "It’s “fine”; no?", ["It's ", '"fine", ', "no?"]),
        (Family.MULTILINGUAL, "fr", "Été à Paris", ["e\u0301te\u0301 ", "a\u0300 ", "paris."]),
        (Family.MULTILINGUAL, "en", "Please [STOP] 42", ["please ", "stop ", "42."]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_word_has_the_ids_that_the_reader_made_of_it(
    family: Family, language: str, text: str, expected: list[str]
) -> None:
    folder = random_weights_folder(SPECS[family])
    reader = open_reader(SPECS[family], folder)
    vocabulary = Tokenizer.from_file(str(folder / SPECS[family].reading_files[0]))

    def written(ids: Sequence[int]) -> str:
        tokens = "".join(vocabulary.id_to_token(number) or "" for number in ids)
        return " ".join(tokens.replace("[SPACE]", " ").split(" ")).replace("  ", " ")

    def read(part: str) -> list[int]:
        return reader.read(part, language).tolist()

    ids, words = read(text), located_words(written_words([text])[0], text, read)
    assert [written(ids[word.first : word.stop]).lstrip() for word in words] == [
        part.replace("-An", "- An") for part in expected
    ]
    assert " ".join(word.word for word in words) == text


# When words are said


def clock_of(*widths: int) -> WordClock:
    """Words called 0, 1, 2 of so many ids, after a mark."""
    borders = np.cumsum([1, *widths]).tolist()
    return WordClock([LocatedWord(str(n), *border) for n, border in enumerate(pairwise(borders))])


def looks_at(*ids: int, size: int = 12) -> list[Look]:
    return [np.eye(size, dtype=np.float32)[number] for number in ids]


def test_a_word_is_as_long_as_t3_looks_at_its_ids() -> None:
    clock = clock_of(2, 1, 3)
    clock.extend_to(range(9), looks_at(1, 2, 2, 3, 3, 4, 5, 4, 6))
    assert clock.tell_rest() == [
        SpokenWord("0", 0, 3),
        SpokenWord("1", 3, 5),
        SpokenWord("2", 5, 9),
    ]


def test_silence_belongs_to_no_word() -> None:
    clock = clock_of(1, 1)
    tokens = [SILENT, 1, 2, SILENT, SILENT, 3, SILENT, 4, SILENT]
    clock.extend_to(tokens, looks_at(1, 1, 1, 1, 2, 2, 2, 2, 2))
    assert clock.tell_rest() == [SpokenWord("0", 1, 3), SpokenWord("1", 5, 8)]


def test_a_look_ahead_or_back_does_not_move_a_word() -> None:
    clock = clock_of(1, 1, 1)
    clock.extend_to(range(12), looks_at(1, 1, 3, 1, 2, 2, 1, 2, 3, 3, 0, 3))
    assert clock.tell_rest() == [
        SpokenWord("0", 0, 4),
        SpokenWord("1", 4, 8),
        SpokenWord("2", 8, 12),
    ]


def test_a_word_that_t3_never_looks_at_is_said_all_the_same() -> None:
    clock = clock_of(1, 0, 1)
    clock.extend_to(range(6), looks_at(1, 1, 1, 3, 2, 2))
    first, second, third = clock.tell_rest()
    assert (first.start, second.end - second.start, third.end) == (0, 1, 6)


def test_a_word_is_told_when_it_begins_to_be_heard_and_its_end_is_sure() -> None:
    clock, looks = clock_of(1, 1, 1), looks_at(*[1] * 10, *[2] * 10, *[3] * 10)
    clock.extend_to(range(14), looks)
    assert clock.tell(heard=8) == []  # it might go on
    clock.extend_to(range(15), looks)
    assert clock.tell(heard=8) == [SpokenWord("0", 0, 10)]
    clock.extend_to(range(28), looks)
    assert clock.tell(heard=10) == []  # it is not heard yet
    assert clock.tell(heard=11) == [SpokenWord("1", 10, 20)]
    assert clock.tell_rest() == [SpokenWord("2", 20, 28)]


def test_tokens_without_a_look_are_part_of_the_last_word() -> None:
    clock = clock_of(1, 1)
    clock.extend_to(range(7), looks_at(1, 1, 1, 2))
    assert clock.tell_rest() == [SpokenWord("0", 0, 3), SpokenWord("1", 3, 7)]


@given(st.data())
def test_words_are_told_once_in_order_and_within_the_audio(data: st.DataObject) -> None:
    widths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    count = data.draw(st.integers(1, 60))
    chance = np.random.default_rng(data.draw(st.integers(0, 99)))
    looks = list(chance.random((count, sum(widths) + 1), np.float32) ** 8)
    tokens = chance.choice([1, SILENT], count).tolist()
    clock, told = clock_of(*widths), []
    for seen in sorted(data.draw(st.lists(st.integers(0, count), max_size=5))):
        clock.extend_to(tokens[:seen], looks)
        told += clock.tell(heard=seen - 3)
    clock.extend_to(tokens, looks)
    told += clock.tell_rest()
    assert [word.word for word in told] == [str(number) for number in range(len(widths))]
    borders = [0.0, *(border for word in told for border in (word.start, word.end)), count]
    assert all(first <= second for first, second in pairwise(borders))
    assert all(word.start < word.end for word in told)


# What the listener is told


def words_in(chunks: Sequence[PcmChunk]) -> list[WordTiming]:
    return [word for chunk in chunks for word in chunk.words]


@contextlib.contextmanager
def looking(*steps: tuple[int, int]) -> Iterator[None]:
    """Let T3 look at an id, for so many tokens, and then at another, in each chunk of text."""
    plan = [number for number, count in steps for _ in range(count)]

    def looks(decoder: TokenDecoder) -> list[Look]:
        active: list[Decoded] = decoder._active
        return [
            np.eye(len(sequence.request.text_tokens), dtype=np.float32)[plan[len(sequence.tokens)]]
            for sequence in active
        ]

    with (
        mock.patch.object(TokenDecoder, "_looks", looks),
        mock.patch.object(words_module, "SILENT_TOKENS", frozenset()),
    ):
        yield


def test_words_come_with_their_audio_at_the_times_of_the_whole_speech() -> None:
    with looking((1, 15), (5, 9), (8, 40)), short():
        first, *others = list(speaker().speak(asked("Oh no it", "An ax I", word_timings=True)))
    half, whole = said(asked("Oh no it")).size, joined([first, *others]).size
    assert first.words == ()  # when the first word ends is not known yet
    assert words_in(others) == [
        WordTiming("Oh", 0.0, 0.6),
        WordTiming("no", 0.6, 0.96),
        WordTiming("it", 0.96, half / SAMPLE_RATE),
        WordTiming("An", half / SAMPLE_RATE, (half + 14_400) / SAMPLE_RATE),
        WordTiming("ax", (half + 14_400) / SAMPLE_RATE, (half + 23_040) / SAMPLE_RATE),
        WordTiming("I", (half + 23_040) / SAMPLE_RATE, whole / SAMPLE_RATE),
    ]
    heard = first.samples.size
    for chunk in others:
        heard += chunk.samples.size
        assert all(word.start < heard / SAMPLE_RATE for word in chunk.words)


@pytest.mark.parametrize("family", [Family.ENGLISH, Family.MULTILINGUAL])
def test_every_word_is_told_and_the_audio_is_the_same(family: Family) -> None:
    texts = ("Well - it is “fine”...", "And this, too?")
    with short():
        chunks = list(speaker(family).speak(asked(*texts, word_timings=True)))
    words = words_in(chunks)
    assert " ".join(word.word for word in words) == " ".join(texts)
    assert all(one.end <= other.start for one, other in pairwise(words))
    assert all(word.start < word.end for word in words)
    assert words[0].start >= 0
    assert words[-1].end <= joined(chunks).size / SAMPLE_RATE
    np.testing.assert_array_equal(joined(chunks), said(asked(*texts), speaker(family)))


def test_nobody_is_told_of_words_who_does_not_ask() -> None:
    with short():
        assert words_in(list(speaker().speak(asked("Hello there.")))) == []


def test_the_watermark_does_not_move_words() -> None:
    request = asked("One two three four.", word_timings=True)
    with short():
        marked = list(speaker(watermark="always").speak(request))
        plain = list(speaker().speak(request))
    assert words_in(marked) == words_in(plain) != []
    assert all(chunk.samples.size for chunk in marked)


def test_turbo_does_not_know_when_it_says_a_word() -> None:
    assert [family for family in Family if SPEECH[family].word_timings] == [
        Family.ENGLISH,
        Family.MULTILINGUAL,
    ]
    with short():
        chunks = list(speaker(Family.TURBO).speak(asked("Hello there.", word_timings=True)))
    assert words_in(chunks) == []
