"""Each word of the text is told once, in order, with its audio, and when it is heard."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.domain.types import PcmChunk, WordTiming
from serve_app.engines import fake
from serve_app.engines.fake import FakeEngine
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.hibari.pronounce import Pronouncer
from serve_app.engines.hibari.word_times import owners_of_tokens
from serve_app.engines.words import written_words
from tests.engines.hearing import RATE, Pcm, request
from tests.support.onsets import onsets_after_silence, onsets_of_phrases, onsets_of_words

LIGHTHOUSE = (
    "The old lighthouse keeper climbed the stairs every evening to light the lamp for the ships."
)
NASTY = [
    ("It cost $3.50, didn't it?",),
    ("Dr. Smith paid 1/2 of $1,234.56 — no; \"really\" — 'quoted' words...",),
    ("A - lone dash -- and — dashes -",),
    ("— begins with a dash. It is well-known, state-of-the-art.",),
    ("2π and ⅓ cup, ½ off, at 20 °C & 50 %",),
    ("Call 555-123-4567 at 10:30 pm on 12/25/2020, or 5 May.",),
    ("A .5 and a ,9 : 10 :30",),
    ("one,two three/four me@example.org https://a.example/b?c=1&d=2",),
    ("hi 😀 there ... and … (aside) \"\" word '' x²",),
    ("Chapter IV of Henry VIII: $5 million, 1990-1995, Rs 5, -5 +3 = 2",),
    ("1" * 40 + " and " + "supercalifragilistic" * 15 + " end",),
    ("123456789012345 " * 5,),
    ("cafe\u0301 façade naïve Việt", "—", "...", "ⅯⅯ (ok)"),
    ("...", "First.", "—", '"Second', '" third.'),
    (LIGHTHOUSE, "He never complained, in 40 years, about the cold.", "Not once!"),
    ("In 1,234,567,890 of 1,234,567,890 cases, nobody at the station could tell us the next one.",),
]
PAUSES = [
    "The train was late — nobody knew why.",
    "The shop is closed today; come back on Monday.",
    "My brother plays the piano, and my sister sings.",
    "Turn off the light, close the gate, and come to bed.",
    "When the bell rang, the children ran outside.",
    "The rain is over; we can go now.",
    "Most of the boats came home; two of them did not.",
    "My sister plays the violin, and my brother sings.",
    "No, I have never seen the river, the bridge or the hill.",
    "Before we go, we are going to dine.",
]
"""Their pauses are silent, and no word in them is."""

ODD_WORDS = [
    *("the", "Dr.", "$3.50", "—", "-", "'tis", "well-known", "1/2", "10:30", "pm", "&", "%5"),
    *("...", '"so"', "α", "Σ.", "(a)", "5km", "x,y", "é", "😀", "="),
]
FLUENT = [
    LIGHTHOUSE,
    "Seven children played in the garden until their mother called.",
    "I bought a new computer with the money from my grandfather.",
]


@pytest.fixture(scope="module")
def engine() -> HibariEngine:
    return HibariEngine()


def speech(engine: HibariEngine, *chunks: str, speed: float = 1.0) -> list[PcmChunk]:
    return list(engine.speak(replace(request(*chunks, speed=speed), word_timings=True)))


def timings(chunks: list[PcmChunk]) -> list[WordTiming]:
    return [word for chunk in chunks for word in chunk.words]


def samples(chunks: list[PcmChunk]) -> Pcm:
    return np.concatenate([chunk.samples for chunk in chunks])


def check(chunks: list[PcmChunk], text: tuple[str, ...]) -> None:
    """What holds of the words of any speech."""
    words = timings(chunks)
    assert [word.word for word in words] == [w for found in written_words(text) for w in found]
    assert " ".join(word.word for word in words) == " ".join(" ".join(text).split())
    borders = [time for word in words for time in (word.start, word.end)]
    assert all(word.start < word.end for word in words)
    assert borders == sorted(borders)
    assert borders[0] >= 0
    assert borders[-1] <= len(samples(chunks)) / RATE + 1e-9
    begun = 0.0
    for chunk in chunks:
        assert all(word.start >= begun - 1e-9 for word in chunk.words)
        begun += chunk.seconds


@pytest.mark.parametrize("text", NASTY)
def test_no_word_is_lost_or_late(engine: HibariEngine, text: tuple[str, ...]) -> None:
    check(speech(engine, *text), text)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from(ODD_WORDS),
        min_size=1,
        max_size=14,
    ),
    st.integers(1, 14),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_nor_of_any_text(engine: HibariEngine, words: list[str], cut: int, speed: float) -> None:
    text = tuple(" ".join(part) for part in (["begin", *words[:cut]], words[cut:]) if part)
    check(speech(engine, *text, speed=speed), text)


@pytest.mark.parametrize("text", [LIGHTHOUSE, *NASTY[-1]])
@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_a_sentence_begun_before_it_is_planned_tells_its_words_in_time(
    engine: HibariEngine, text: str, speed: float
) -> None:
    chunks = speech(engine, text, speed=speed)
    check(chunks, (text,))
    ends = np.cumsum([chunk.seconds for chunk in chunks])
    for chunk, end in zip(chunks, ends, strict=True):
        assert all(word.start < end for word in chunk.words)


@pytest.mark.parametrize("text", [*NASTY, (LIGHTHOUSE,)])
def test_the_audio_is_the_same_with_and_without(
    engine: HibariEngine, text: tuple[str, ...]
) -> None:
    plain = list(engine.speak(request(*text)))
    assert timings(plain) == []
    np.testing.assert_array_equal(samples(plain), samples(speech(engine, *text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It cost $3.50, once.", ["It", "cost", "$ 3.50 ,", "once ."]),
        ("at 10:30 pm today", ["at", "ten thirty", "P.M.", "today"]),
        ("on 12/25/2020 we", ["on", "December twenty-fifth , 2020", "we"]),
        ("from 5 May on", ["from", "the fifth of", "May", "on"]),
        ("for $5 million in cash", ["for", "5", "million dollars", "in", "cash"]),
        ("run 5km to 20°C now", ["run", "5 kilometers", "to", "20 degrees Celsius", "now"]),
        ("Henry VIII and #5", ["Henry", "the eighth", "and", "number 5"]),
        ("2π is 6", ["2 pi", "is", "6"]),
        ("from 10:00 to 10:30", ["from", "ten o'clock", "to", "ten thirty"]),
        ("St. Paul vs. Mt. Everest", ["Saint", "Paul", "versus", "Mount", "Everest"]),
    ],
)
def test_what_is_read_differently_belongs_to_what_is_written(text: str, said: list[str]) -> None:
    tokens = [token.text for token in Pronouncer().read(text).tokens]
    owners = owners_of_tokens(text.split(), tokens)
    pairs = itertools.groupby(zip(owners, tokens, strict=True), key=lambda pair: pair[0])
    assert [" ".join(token for _, token in group) for _, group in pairs] == said


def test_words_begin_where_the_sound_begins_after_a_pause(engine: HibariEngine) -> None:
    for text in PAUSES:
        chunks = speech(engine, text)
        told, heard = onsets_of_phrases(timings(chunks)), onsets_after_silence(samples(chunks))
        assert len(heard) == len(told), text
        np.testing.assert_allclose(told, heard, atol=0.08, err_msg=text)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.5])
def test_words_begin_where_a_recogniser_finds_them(engine: HibariEngine, speed: float) -> None:
    late: list[float] = []
    for text in FLUENT:
        chunks = speech(engine, text, speed=speed)
        found = onsets_of_words(samples(chunks), text)
        late += [w.start - start for w, start in zip(timings(chunks), found, strict=True)]
    assert np.median(np.abs(late)) < 0.04
    assert np.quantile(np.abs(late), 0.9) < 0.08


def test_silence_has_no_words(engine: HibariEngine) -> None:
    assert speech(engine, "...", "—") == []


def test_the_fake_engine_spreads_its_words_over_each_chunk() -> None:
    text = ("Hello, you — there.", "Bye now.")
    chunks = list(FakeEngine().speak(replace(request(*text), word_timings=True)))
    check(chunks, text)
    assert chunks[1].words == fake.words_of(text[1], chunks[0].seconds)
    assert chunks[1].words[1].end == pytest.approx(chunks[0].seconds + chunks[1].seconds)
    assert timings(list(FakeEngine().speak(request(*text)))) == []
