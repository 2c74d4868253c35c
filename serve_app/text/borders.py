"""Where a sentence or a clause ends within one line of text. White space is single spaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from serve_app.text.abbreviations import (
    BEFORE_NAMES,
    LAST_BEFORE_CAPITAL,
    NEVER_LAST,
    NUMBERED,
    starter_follows,
)
from serve_app.text.characters import CLOSERS, OPENERS, SENTENCE_ENDS

_CLOSERS = re.escape(CLOSERS)
_SPACELESS = frozenset("。！？｡，；：、—")  # no space is written after these

# Neither pattern can fail once it has begun, which keeps a search linear on any text.
_SENTENCE_MARK = re.compile(rf"([{SENTENCE_ENDS}]++)[{_CLOSERS}]*+(?: »)?+")
_CLAUSE_MARK = re.compile(rf"(?:[,;:!?…،؛，；：、—]|\.{{2,}}+)++[{_CLOSERS}]*+|(?<= )[-–](?= )")

_WORD_BEFORE = re.compile(r"(?:[^\W\d_]+\.)*+[^\W\d_]+\Z")
_WORD_WINDOW = 16  # characters, more than any abbreviation has
_AHEAD_WINDOW = 16  # characters, more than the quotes and brackets a sentence opens with


def sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the offset after each sentence of the line `text[start:end]`, the last one included."""
    for mark in _SENTENCE_MARK.finditer(text, start, end):
        if mark.end() < end and _ends_sentence(text, mark, start, end):
            yield mark.end()
            start = mark.end()
    yield end


def clause_ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the offset after each clause of `text[start:end]` but the last one."""
    for mark in _CLAUSE_MARK.finditer(text, start, end):
        if mark.end() < end and (text[mark.end()] == " " or not _SPACELESS.isdisjoint(mark[0])):
            yield mark.end()


def _ends_sentence(text: str, mark: re.Match[str], start: int, end: int) -> bool:
    ends = mark[1]
    if not _SPACELESS.isdisjoint(ends):
        return True
    if text[mark.end()] != " ":
        return False
    ahead = text[mark.end() + 1 : min(end, mark.end() + _AHEAD_WINDOW)].lstrip(OPENERS)[:1]
    quoted = mark.end() > mark.end(1)
    if ends == "." and not quoted:
        return _period_ends_sentence(text, mark.start(), start, ahead)
    # Within a sentence: "Really?" she asked. And so ... it goes.
    return not (ahead.islower() and (quoted or ends.endswith(("…", ".."))))


def _period_ends_sentence(text: str, period: int, start: int, ahead: str) -> bool:
    """Judge a single period by the word before it and the first letter or digit after it."""
    before = text[max(start, period - _WORD_WINDOW) : period]
    if period - start < _WORD_WINDOW and before.strip().isdecimal():
        return False  # an item of a numbered list: "1. First"
    match = _WORD_BEFORE.search(before)
    word = match[0] if match else ""
    abbreviation = word.lower()
    if abbreviation in NEVER_LAST:
        return False
    if abbreviation in LAST_BEFORE_CAPITAL:
        return not ahead.islower()
    if abbreviation in NUMBERED and ahead.isdecimal():
        return False
    if _stands_before_names(word):
        return starter_follows(text, period + 1)
    return True


def _stands_before_names(word: str) -> bool:
    """Tell initials and dotted letters (`J.`, `U.S.`) from words; the pronoun I is a word."""
    if word.lower() in BEFORE_NAMES:
        return True
    return word != "I" and all(len(part) == 1 and part.isupper() for part in word.split("."))
