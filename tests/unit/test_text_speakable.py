"""A request is refused before it is spoken if the engine could not pronounce it."""

from __future__ import annotations

import pytest

from serve_app.text.speakable import has_speech, unspeakable


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Plain English, 100 %!", ""),
        ("déjà vu, naïve, Øre, ﬁn, cafe\u0301", ""),
        ("1º, 2ª, rockʼn, Ａ", ""),
        ("😀 – “…” € ٣", ""),
        ("Да, hello, да", "Дад"),
        ("你好, world", "你好"),
    ],
)
def test_letters_of_other_scripts_are_named_once(text: str, letters: str) -> None:
    assert unspeakable(text, ("LATIN",)) == letters


def test_several_scripts_can_be_spoken() -> None:
    assert unspeakable("Да ok 你 ひ", ("LATIN", "CYRILLIC", "CJK UNIFIED IDEOGRAPH")) == "ひ"


def test_latin_has_to_be_spoken_too() -> None:
    assert unspeakable("ab Да", ("CYRILLIC",)) == "ab"


def test_an_engine_of_any_script_speaks_everything() -> None:
    assert unspeakable("Да 你好", None) == ""


def test_ten_letters_are_enough_to_tell() -> None:
    assert unspeakable("абвгдежзиклм", ("LATIN",)) == "абвгдежзик"


@pytest.mark.parametrize("text", ["a", "7", "é", "你", "…a", "😀 ok"])
def test_letters_and_digits_are_speech(text: str) -> None:
    assert has_speech(text)


@pytest.mark.parametrize("text", ["", " ", "…", "😀", "?!", "___", "\u0301", "\ud800"])
def test_emoji_and_punctuation_are_not(text: str) -> None:
    assert not has_speech(text)
