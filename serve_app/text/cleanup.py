"""Clean-up of text before it is cut: what is written but not spoken goes.

The switches carry the names and the meaning of Chatterbox-TTS-Extended, with fewer false alarms.
Every step is linear in the length of the text, whatever the text is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from serve_app.text.abbreviations import NUMBERED, starter_follows
from serve_app.text.characters import CLOSERS, SENTENCE_ENDS, plain_text
from serve_app.text.sound_words import SoundWord, parse_sound_words, replace_sound_words

__all__ = ["SoundWord", "TextSwitches", "clean", "parse_sound_words"]

WRAPPED_LINE_CHARS = 40
"""A line this long that ends without a sentence end was wrapped; a shorter one is a title, a verse
or an item of a list."""

_CLOSERS = re.escape(CLOSERS)
_LETTER = r"[^\W\d_]"
_DOT_LETTER = rf"\.{_LETTER}(?!\w)"
_DOTTED_LETTERS = re.compile(
    # `U.S.` or `U.S.A`, neither within a host name nor two letters that may be a file's name: `a.c`
    rf"(?<![\w.@/]){_LETTER}"
    rf"(?:(?:{_DOT_LETTER})++(\.)(?:(?!\w)|(?=[A-Z]))|(?:{_DOT_LETTER}){{2,}}+(?![\w.]))"
)
_LINE_END = re.compile(rf"[{_CLOSERS}]*+[ \t]*+(?:\n|\Z)")

_NUMBERS = r"[0-9⁰¹²³⁴-⁹]{1,3}+(?:[,–-][0-9]{1,3}+)*+"
_NOTE_AFTER_SENTENCE = re.compile(
    rf"(?<={_LETTER}|[{_CLOSERS}])([.!?…]++([{_CLOSERS}]*+)){_NUMBERS}"
    r"(?=(?P<next>\Z|\s+\S?))"
)
_NOTE_IN_BRACKETS = re.compile(
    r"(?<=[\w.,;:!?…\"'”’»)])(?:[ \t]?\[[0-9]{1,3}(?:[ \t]?[,–-][ \t]?[0-9]{1,3})*+\])++"
)
_LAST_WORD = re.compile(rf"(.??)({_LETTER}+)\Z", re.DOTALL)
_LONGEST_NUMBERED = max(map(len, NUMBERED))


@dataclass(frozen=True, slots=True)
class TextSwitches:
    """What the clean-up of one request does."""

    to_lowercase: bool = False
    normalize_spacing: bool = True
    fix_dot_letters: bool = True
    remove_reference_numbers: bool = True
    sound_words: tuple[SoundWord, ...] = ()


def clean(text: str, switches: TextSwitches) -> str:
    """Return the text to speak: NFC, without invisible characters, trimmed, and as switched.

    The line breaks that are left are the sentence borders that `split` sees.
    """
    text = plain_text(text)
    if switches.sound_words:
        text = replace_sound_words(text, switches.sound_words)
    if switches.normalize_spacing:
        text = _normalize_spacing(text)
    if switches.remove_reference_numbers:
        text = _remove_reference_numbers(text)
    if switches.fix_dot_letters:
        text = _DOTTED_LETTERS.sub(_spell, text)
    # Last: the steps before tell names and sentence starts by their capitals.
    return (text.lower() if switches.to_lowercase else text).strip()


def _normalize_spacing(text: str) -> str:
    """Collapse white space; blank lines and the ends of short lines become one line break."""
    parts: list[str] = []
    wrapped = False
    for line in (" ".join(line.split()) for line in text.split("\n")):
        if line:
            parts += [" " if wrapped else "\n", line]
        wrapped = len(line) >= WRAPPED_LINE_CHARS and not _ends_sentence(line)
    return "".join(parts[1:])


def _ends_sentence(line: str) -> bool:
    return line.rstrip(CLOSERS).endswith(tuple(SENTENCE_ENDS))


def _remove_reference_numbers(text: str) -> str:
    return _NOTE_AFTER_SENTENCE.sub(_without_note, _NOTE_IN_BRACKETS.sub("", text))


def _without_note(match: re.Match[str]) -> str:
    """Drop the number of `end.2 Next`, and keep that of `No.5`, `libc.so.6` or `done.3 left`."""
    if not match[2] and (match["next"][-1:].islower() or _is_numbered(match)):
        return match[0]
    return match[1]


def _is_numbered(match: re.Match[str]) -> bool:
    start = match.start()
    word = _LAST_WORD.search(match.string[max(0, start - _LONGEST_NUMBERED - 1) : start])
    if word is None:
        return False
    return word[1] in tuple("./_@\\") or len(word[2]) == 1 or word[2].lower() in NUMBERED


def _spell(match: re.Match[str]) -> str:
    """Turn `U.S.A.` into `U S A`, with its period where that ends the sentence too."""
    letters = match[0].rstrip(".").replace(".", " ")
    if match[1] and _ends_sentence_at(match):
        return letters + "."
    glued = match.string[match.end() : match.end() + 1].isalpha()
    return letters + " " if glued else letters


def _ends_sentence_at(match: re.Match[str]) -> bool:
    """Tell whether the period after dotted letters is a sentence end as well.

    It is before a line end, unless the letters are all of the line, before another period, and
    before a word that opens sentences: `in the U.S.A. The ...`, but not `J.R.R. Tolkien`.
    """
    text, end = match.string, match.end()
    if _LINE_END.match(text, end):
        return match.start() > 0 and text[match.start() - 1] != "\n"
    return text.startswith(".", end) or starter_follows(text, end)
