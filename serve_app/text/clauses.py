"""Text that arrives a few letters at a time, passed on in pieces that can be spoken.

A piece ends where `borders` sees an end, and only once the word after it is known: until then "3."
may become 3.14, and "Dr." is no end of a sentence. The first piece is a clause, so that audio
starts early; the others are sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from serve_app.text.borders import clause_ends, sentence_ends
from serve_app.text.speakable import has_speech
from serve_app.text.split import SHORT_CHARS

_HORIZON = 40  # characters after a border, more than decide about it
_WHITE_SPACE = re.compile(r"\s+")
_WORD_AHEAD = re.compile(r"\s+\S+\s")
_PARAGRAPH = "\n\n"


class ClauseBuffer:
    """Collects text and gives it back in pieces of about a sentence.

    Nothing is lost, and no word is cut, whatever its length. The pieces are the same however the
    text is cut into calls of `add`. White space becomes one space, a line break or a blank line.
    """

    def __init__(self, max_chars: int) -> None:
        """A longer sentence is passed on in parts of at most `max_chars`, unless a word is
        longer."""
        self._max_chars = max_chars
        self._text = ""
        self._begun = False

    def __len__(self) -> int:
        """How many characters are waiting."""
        return len(self._text)

    def add(self, text: str) -> list[str]:
        """Take text, and give back the pieces that it completes."""
        if not text:
            return []
        kept = self._text.rstrip()
        self._text = (
            kept + _WHITE_SPACE.sub(_white_space, self._text[len(kept) :] + text)
        ).lstrip()
        pieces: list[str] = []
        while (end := self._piece_end()) is not None:
            pieces.append(self._take(end))
        return pieces

    def flush(self) -> str:
        """What is waiting, "" for nothing. What comes after it begins a piece."""
        return self._take(len(self._text))

    def _take(self, end: int) -> str:
        piece, self._text = self._text[:end].strip(), self._text[end:].lstrip()
        self._begun = self._begun or bool(piece)
        return piece

    def _piece_end(self) -> int | None:
        """The end of the first piece; None while more text could change it.

        What is decided about some text is decided the same way about more of it.
        """
        window = self._text[: self._max_chars + _HORIZON]
        paragraph = _paragraph_end(window)
        line = window[:paragraph].replace("\n", " ")
        is_whole = paragraph is not None
        last_clause = 0
        for border, is_sentence in _borders(line):
            if border > self._max_chars or not (is_whole or _is_settled(line, border)):
                break
            if _stands_alone(line[:border]):
                if is_sentence or not self._begun:
                    return border
                last_clause = border
        if paragraph is not None and paragraph <= self._max_chars:
            return paragraph
        if is_whole or len(window) == self._max_chars + _HORIZON:
            return last_clause or self._word_end()
        return None

    def _word_end(self) -> int | None:
        """The last end of a word within `max_chars`, else the first after it, once it is there."""
        within = list(_WHITE_SPACE.finditer(self._text, 0, self._max_chars + 1))
        found = within[-1] if within else _WHITE_SPACE.search(self._text, self._max_chars)
        return found.start() if found else None


def _white_space(run: re.Match[str]) -> str:
    return "\n" * min(2, run[0].count("\n")) or " "


def _paragraph_end(text: str) -> int | None:
    """The end of the first paragraph that is not too short to be spoken alone, if it is there."""
    end = text.find(_PARAGRAPH)
    while end >= 0 and not _stands_alone(text[:end]):
        end = text.find(_PARAGRAPH, end + 1)
    return None if end < 0 else end


def _borders(line: str) -> Iterator[tuple[int, bool]]:
    """Each end of a clause, or with True of a sentence, but the end of the line."""
    start = 0
    for end in sentence_ends(line, 0, len(line)):
        for clause_end in clause_ends(line, start, end):
            yield clause_end, False
        if end < len(line):
            yield end, True
        start = end


def _is_settled(line: str, border: int) -> bool:
    """Whether what follows has been seen as far as it could make this no border.

    A border without a space behind it is one of a script that has none.
    """
    ahead = line[border : border + _HORIZON]
    if len(ahead) == _HORIZON or _WORD_AHEAD.match(ahead) is not None:
        return True
    return not ahead[:1].isspace() and ahead[:2] != "."  # of which there may come more


def _stands_alone(text: str) -> bool:
    return len(text.strip()) >= SHORT_CHARS and has_speech(text)
