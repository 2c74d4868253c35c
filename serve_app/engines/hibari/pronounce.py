"""Text to phonemes without losing any: left alone, hibari's reader skips what it does not know."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from serve_app.domain.errors import InvalidRequest
from serve_app.engines.hibari import upstream
from serve_app.engines.hibari.upstream import MAX_PHONEMES, Token

PAD = 0  # id around every utterance
PAUSES = frozenset(' ;:,.!?—…"()“”')
"""Phoneme symbols that make no sound of their own."""

_LONG_NUMBER = re.compile(r"\d{16,}|\d+(?:,\d{3}){5,}")  # the reader's names end at 10^35
_INLINE_PHONEMES = re.compile(r"\](?=\()")  # "[word](/phonemes/)" would replace the text
_GREEK = r"\u0370-\u03ff\u1f00-\u1fff"
_GREEK_SYMBOL = re.compile(rf"(?<![{_GREEK}])[Α-Ωα-ω](?![{_GREEK}])")
_NUMERALS_READ_WELL = frozenset("²³¼½¾")
_ENDS = (re.compile(r"[.!?…]+[”\")]* "), re.compile(r"[,;:—]+[”\")]* "), re.compile(" "))
_READER_BUGS = (IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A word or mark as the reader saw it."""

    text: str
    phonemes: str  # in the model's alphabet, with the space after it if there is one


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read."""

    tokens: list[ReadToken]
    utterances: list[str]  # their phonemes, single-spaced, in parts short enough for the model


class Pronouncer:
    """English text to ids of hibari's phonemes."""

    def __init__(self) -> None:
        self._reader = upstream.Reader(_UnknownWords())
        self._ids = upstream.vocabulary()

    def utterances(self, text: str) -> list[list[int]]:
        """The ids of what `read` returns."""
        return [self.ids(phonemes) for phonemes in self.read(text).utterances]

    def read(self, text: str) -> Reading:
        """Read `text`. Text that has no words, such as punctuation, gives no utterances.

        Raises:
            InvalidRequest: there are letters or digits, but no reading.
        """
        tokens = self._tokens(text)
        phonemes = _joined(tokens)
        if any(symbol not in PAUSES for symbol in phonemes):
            return Reading(tokens, list(split_phonemes(phonemes)))
        if any(character.isalnum() for character in text):
            raise _unreadable(text)
        return Reading(tokens, [])

    def phonemes(self, text: str) -> str:
        """The reading of `text` in the model's alphabet, words apart by single spaces."""
        return _joined(self._tokens(text))

    def ids(self, phonemes: str) -> list[int]:
        """The model's ids of `phonemes`, with `PAD` at both ends."""
        return [PAD, *(self._ids[symbol] for symbol in phonemes), PAD]

    def space_positions(self, ids: list[int]) -> list[int]:
        """Where in `ids` the spaces between words are."""
        return [position for position, symbol in enumerate(ids) if symbol == self._ids[" "]]

    def pause_positions(self, ids: list[int]) -> list[int]:
        """Where in `ids` the spaces after punctuation marks are."""
        marks = {self._ids[mark] for mark in PAUSES if mark in self._ids}
        return [space for space in self.space_positions(ids) if ids[space - 1] in marks]

    def _tokens(self, text: str) -> list[ReadToken]:
        try:
            tokens = self._reader.tokens(_readable(text))
            return [ReadToken(token.text, self._reading(token)) for token in tokens]
        except _READER_BUGS as error:
            raise _unreadable(text) from error

    def _reading(self, token: Token) -> str:
        """The token's phonemes that the model knows; a word that has none is spelled."""
        phonemes = token.phonemes
        if not phonemes:
            letters = (c for c in token.text if c.isalnum())
            spelled = (t.phonemes or "" for c in letters for t in self._reader.tokens(c))
            phonemes = " ".join(spelled)
        known = "".join(symbol for symbol in phonemes if symbol in self._ids)
        return known + (" " if token.whitespace else "")


class _UnknownWords:
    """hibari's network for unknown words, for words of any length and with any marks.

    By itself it reads 24 letters, and none with marks it has not seen ("ế").
    """

    def __init__(self) -> None:
        self._network = upstream.word_network()

    def __call__(self, word: str) -> str:
        spelling = "".join(
            letter if letter in self._network.cin else _without_marks(letter) for letter in word
        )
        parts = _even_parts(spelling, self._network.maxlen)
        return "".join(self._network(part) or "" for part in parts)


def refuse_foreign_letters(chunks: Iterable[str]) -> None:
    """Check what can be checked of a whole request before any of it is spoken.

    Raises:
        InvalidRequest: a letter of a script the voice does not read, or a Greek word (single
            Greek letters are symbols, and have names).
    """
    text = unicodedata.normalize("NFKC", " ".join(chunks))
    if text.isascii():
        return
    foreign = next((c for c in _name_greek_symbols(text) if _is_foreign(c)), None)
    if foreign is not None:
        raise _unreadable(foreign)


def split_phonemes(phonemes: str, longest: int = MAX_PHONEMES) -> Iterator[str]:
    """Cut into parts of at most `longest` symbols and about the same length: at the end of a
    sentence where there is one, else of a clause, else of a word."""
    while len(phonemes) > longest:
        target = math.ceil(len(phonemes) / math.ceil(len(phonemes) / longest))
        cut = _nearest_end(phonemes, target, longest)
        yield phonemes[:cut].strip()
        phonemes = phonemes[cut:].strip()
    if phonemes:
        yield phonemes


def _joined(tokens: Iterable[ReadToken]) -> str:
    return " ".join("".join(token.phonemes for token in tokens).split())


def _nearest_end(phonemes: str, target: int, longest: int) -> int:
    """The end nearest to `target` of the best kind found after half of it; `target` if none."""
    for end in _ENDS:
        cuts = [match.end() for match in end.finditer(phonemes, target // 2, longest + 1)]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - target))
    return target


def _even_parts(word: str, longest: int) -> list[str]:
    count = math.ceil(len(word) / longest)
    return [word[len(word) * i // count : len(word) * (i + 1) // count] for i in range(count)]


def _readable(text: str) -> str:
    """Rewrite what the reader would drop, fail on or take for an instruction."""
    text = unicodedata.normalize("NFC", text)
    text = _INLINE_PHONEMES.sub("] ", text)
    if not text.isascii():
        text = _name_greek_symbols("".join(_plain(character) for character in text))
    return _LONG_NUMBER.sub(lambda number: " ".join(number[0].replace(",", "")), text)


def _plain(character: str) -> str:
    """Numerals such as "⅓" and "①" in digits, and letters whose case changes their number."""
    if unicodedata.category(character) == "No" and character not in _NUMERALS_READ_WELL:
        return f" {unicodedata.normalize('NFKC', character).replace('⁄', '/')} "
    if len(character.lower()) > 1:
        return _without_marks(character)
    return character


def _name_greek_symbols(text: str) -> str:
    """ "2π" to "2 pi"."""
    return _GREEK_SYMBOL.sub(lambda m: f" {unicodedata.name(m[0]).split()[-1].lower()} ", text)


def _without_marks(letter: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))


def _is_foreign(character: str) -> bool:
    """Whether this is a letter outside the Latin script. Modifier letters count as marks."""
    is_letter = unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo")
    return is_letter and not unicodedata.name(character, "").startswith("LATIN ")


def _unreadable(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"The voice cannot pronounce {text[:40]!r}.", "It reads English in Latin letters."
    )
