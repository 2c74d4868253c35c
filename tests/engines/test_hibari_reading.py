"""No word is lost between text and phonemes."""

from __future__ import annotations

import pytest

from serve_app.engines.hibari.pronounce import PAD, Pronouncer, split_phonemes
from serve_app.engines.hibari.upstream import MAX_PHONEMES


@pytest.fixture(scope="module")
def pronouncer() -> Pronouncer:
    return Pronouncer()


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("2π", "two pie"),
        ("⅓ cup", "1/3 cup"),
        ("②③", "two three"),
        ("cafe\u0301", "café"),
        ("20°C", "20 degrees Celsius"),
        ("50% & more", "fifty percent and more"),
        ("éclair at the façade, señor", "éclair at the façade, señor"),
        ("1" * 30, " ".join("1" * 30)),
        ("hi 😀 there", "hi there"),
        ("[tomato](/həlˈO/)", "[tomato] (/həlˈO/)"),
    ],
)
def test_symbols_are_read_as(pronouncer: Pronouncer, text: str, like: str) -> None:
    assert pronouncer.phonemes(text) == pronouncer.phonemes(like)
    assert len(pronouncer.phonemes(text)) > 3


def test_every_letter_of_an_endless_word_is_read(pronouncer: Pronouncer) -> None:
    word = "supercalifragilistic"
    once, many = pronouncer.phonemes(word), pronouncer.phonemes(word * 15)
    assert len(many) > 10 * len(once)


def test_letters_with_rare_marks_are_read_without_them(pronouncer: Pronouncer) -> None:
    assert len(pronouncer.phonemes("Việt ếch")) >= 6


@pytest.mark.parametrize(
    "text", ["x" * 300, "1234567 " * 30, "word " * 60, "123456789012345 " * 16]
)
def test_no_model_call_is_longer_than_the_model_knows_and_nothing_is_lost(
    pronouncer: Pronouncer, text: str
) -> None:
    utterances = pronouncer.utterances(text)
    symbols = [len(ids) - 2 for ids in utterances]
    assert all(ids[0] == ids[-1] == PAD for ids in utterances)
    assert max(symbols) <= MAX_PHONEMES
    assert min(symbols) > 0.3 * max(symbols)
    assert sum(symbols) + len(symbols) >= len(pronouncer.phonemes(text))


def test_phonemes_are_cut_at_the_best_border() -> None:
    text = "aaaa bbbb. cccc, dddd eeee ffff"
    assert list(split_phonemes(text, 20)) == ["aaaa bbbb.", "cccc, dddd eeee ffff"]
    assert list(split_phonemes("a" * 25, 10)) == ["a" * 9, "a" * 8, "a" * 8]
    assert list(split_phonemes("short", 10)) == ["short"]


def test_odd_text_never_breaks_the_reader(pronouncer: Pronouncer) -> None:
    for text in ("A5₂E0ź5 820", "T45rs/①1+3o", "3µ®pM,/1İ-4o", "$.50", "-$5 ½", "1" * 60, "ⅯⅯ"):
        assert pronouncer.utterances(text)
