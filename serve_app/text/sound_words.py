"""The pronunciation list of one request: words spoken as something else, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from serve_app.text.characters import plain_text

# Maximal runs of word characters make every match a whole word; any other character is a token of
# its own, so that `C++` and `[laughs]` are found as well.
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_PAUSES = frozenset(",;:，；：、")
_BEFORE_PAUSE = _PAUSES | frozenset(".!?…")


@dataclass(frozen=True, slots=True)
class SoundWord:
    """A word or phrase, and what is spoken in its place; an empty replacement removes it."""

    word: str
    replacement: str


@dataclass(slots=True)
class _Node:
    """The phrases that begin with the same tokens."""

    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    replacement: str | None = None


def parse_sound_words(field: str) -> tuple[SoundWord, ...]:
    """Read `word=>replacement` entries separated by line breaks or commas.

    A bare `word` is removed from the text. Of two entries for a word the last counts.

    Raises:
        ValueError: an entry without a word, or with two arrows; the message names the entry.
    """
    entries = re.split(r"[\n,]", plain_text(field))
    return tuple(_parse_entry(entry.strip()) for entry in entries if entry.strip())


def _parse_entry(entry: str) -> SoundWord:
    word, _, replacement = (part.strip() for part in entry.partition("=>"))
    if not word:
        raise ValueError(f"The sound word entry {entry!r} has no word before '=>'.")
    if "=>" in replacement:
        raise ValueError(f"The sound word entry {entry!r} has more than one '=>'.")
    return SoundWord(word, replacement)


def replace_sound_words(text: str, sound_words: Iterable[SoundWord]) -> str:
    """Replace every listed word in one pass, the longest first, whatever its case.

    Only whole words are replaced, a replacement is never looked at again, and any white space
    matches the spaces of a phrase. A removed word takes the space or the comma with it that would
    be left without a word.
    """
    root = _index(sound_words)
    tokens: list[str] = _TOKEN.findall(text)
    keys = [_key(token) for token in tokens]
    spoken: list[str] = []
    position = 0
    while position < len(tokens):
        replacement, after = _longest(root, keys, position)
        upcoming = _at(tokens, after)
        if replacement is None:
            spoken.append(tokens[position])
        elif replacement:
            spoken += [*_gap(spoken, replacement), replacement, *_gap([replacement], upcoming)]
        else:
            after = _close_gap(spoken, tokens, after)
        position = after
    return "".join(spoken)


def _index(sound_words: Iterable[SoundWord]) -> _Node:
    root = _Node()
    for sound_word in sound_words:
        node = root
        for token in _phrase_keys(sound_word.word):
            node = node.children.setdefault(token, _Node())
        node.replacement = sound_word.replacement
    return root


def _phrase_keys(phrase: str) -> Iterator[str]:
    return (_key(token) for token in _TOKEN.findall(phrase))


def _key(token: str) -> str:
    return " " if token.isspace() else token.casefold()


def _longest(root: _Node, keys: Sequence[str], position: int) -> tuple[str | None, int]:
    """Find the longest phrase at `position`: its replacement, and the position after it."""
    found: tuple[str | None, int] = (None, position + 1)
    node = root
    while position < len(keys) and (child := node.children.get(keys[position])) is not None:
        node = child
        position += 1
        if node.replacement is not None:
            found = (node.replacement, position)
    return found


def _close_gap(spoken: list[str], tokens: Sequence[str], after: int) -> int:
    """Make `a, um, b` read `a, b` and `a um.` read `a.`; return where to go on in `tokens`."""
    upcoming = _at(tokens, after)
    space = spoken.pop() if spoken and spoken[-1].isspace() and "\n" not in spoken[-1] else ""
    if upcoming in _PAUSES and (not spoken or spoken[-1] in _BEFORE_PAUSE or "\n" in spoken[-1]):
        after += 1
        upcoming = _at(tokens, after)
    if not spoken and upcoming.isspace():
        return after + 1
    if space and upcoming not in _BEFORE_PAUSE and not upcoming.isspace():
        spoken.append(space)
    spoken += _gap(spoken, upcoming)
    return after


def _at(tokens: Sequence[str], position: int) -> str:
    return tokens[position] if position < len(tokens) else ""


def _gap(spoken: Sequence[str], upcoming: str) -> tuple[str, ...]:
    """Return the space that keeps two words apart when what stood between them is replaced."""
    glued = bool(spoken) and spoken[-1][-1:].isalnum() and upcoming[:1].isalnum()
    return (" ",) if glued else ()
