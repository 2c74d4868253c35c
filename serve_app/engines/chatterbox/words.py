"""When each word is said: from where T3 looked in the text to seconds of audio.

For each speech token T3 says how much it looked at each id of the text (`t3/attention.py`). Speech
goes through the words of its text in order, each for one token at least, so the words' times are
the way through them that what T3 looked at makes most likely. A pause between two words is silent
tokens, and belongs to neither.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from serve_app.domain.types import WordTiming
from serve_app.engines.chatterbox.models import SAMPLE_RATE, SAMPLES_PER_TOKEN
from serve_app.engines.chatterbox.t3.guards import SILENT_TOKENS

FloatArray = npt.NDArray[np.float32]

_LEAST_WEIGHT = 0.01
"""Added to what a word got of a look, so that one that is nowhere in the text says little."""

_CERTAIN = 5
"""Tokens of what follows, before the end of a word is believed (200 ms)."""


@dataclass(frozen=True, slots=True)
class LocatedWord:
    """A word of a text, and which of the text's ids are its own: ids[first:stop]."""

    word: str  # as `engines.words` gives it
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word, and when it is said: in tokens of its chunk."""

    word: str
    start: float
    end: float

    def timing(self, before: int) -> WordTiming:
        """The same in seconds, where so many samples of speech are before the chunk."""
        start, end = (
            (before + tokens * SAMPLES_PER_TOKEN) / SAMPLE_RATE for tokens in (self.start, self.end)
        )
        return WordTiming(self.word, start, end)


def located_words(
    words: Sequence[str], text: str, read: Callable[[str], Sequence[int]]
) -> tuple[LocatedWord, ...]:
    """The `words` of a text (`engines.words`), which `read` makes ids of with a mark at each end.

    Readers rewrite what they read, also by what follows. So where the ids of a word begin is found
    by reading what is before it and another word: there the two readings part.
    """
    if not words:
        return ()
    ids, pieces = read(text), text.split()
    spoken = [place for place, piece in enumerate(pieces) if any(map(str.isalnum, piece))]
    begins = [
        _common(ids, read(" ".join([*pieces[:place], _other_than(pieces[place])])))
        for place in (0, *spoken[1:])
    ]
    borders = list(accumulate([*begins, len(ids) - 1], max))
    return tuple(
        LocatedWord(word, first, stop)
        for word, (first, stop) in zip(words, pairwise(borders), strict=True)
    )


def _common(ids: Sequence[int], others: Sequence[int]) -> int:
    """How many ids both begin with."""
    pairs = zip(ids, others, strict=False)
    parted = (place for place, (one, other) in enumerate(pairs) if one != other)
    return next(parted, len(ids) - 1)


def _other_than(word: str) -> str:
    """A word that begins with another letter, also without accents."""
    return "b" if unicodedata.normalize("NFKD", word[0]).lower().startswith("a") else "a"


class WordClock:
    """Tells the words of one chunk of text as they are spoken, each once.

    A word is told when its end is known, and once it has begun to be heard.
    """

    def __init__(self, words: Sequence[LocatedWord]) -> None:
        self._words = words
        self._tokens: list[int] = []
        self._weights: list[FloatArray] = []  # of each token [words]
        self._told = 0  # words
        self._taken = 0  # tokens of the words told

    def extend_to(self, tokens: Sequence[int], looks: Sequence[FloatArray]) -> None:
        """Take the tokens that are new and, for each, how much T3 looked at each id of the text;
        given are all there are so far. Of the last ones it may be unknown: what was cut off after
        it was heard, or is silence that was added."""
        new = slice(len(self._tokens), len(tokens))
        self._tokens.extend(tokens[new])
        self._weights.extend(self._by_word(look) for look in looks[new])
        unknown = np.zeros(len(self._words), np.float32)
        self._weights.extend([unknown] * (len(self._tokens) - len(self._weights)))

    def tell(self, heard: float) -> list[SpokenWord]:
        """The words that begin within the first `heard` tokens of audio and have ended."""
        told: list[SpokenWord] = []
        for first, stop in pairwise(self._starts(is_whole=False)):
            word = self._spoken(self._told, first, stop)
            if stop + _CERTAIN > len(self._tokens) or word.start >= heard:
                break
            told.append(word)
            self._told, self._taken = self._told + 1, stop
        return told

    def tell_rest(self) -> list[SpokenWord]:
        """All other words, to be called once: there are no more tokens."""
        left, end = len(self._words) - self._told, len(self._tokens)
        if left > end - self._taken:
            return self._spread(left, end)
        borders = [*self._starts(is_whole=True), end]
        return [
            self._spoken(number, first, stop)
            for number, (first, stop) in enumerate(pairwise(borders), self._told)
        ]

    def _by_word(self, look: FloatArray) -> FloatArray:
        """As upstream, go by the one id that is looked at most: what is spread over all of them
        would favour long words."""
        most = [look[word.first : word.stop].max(initial=0.0) for word in self._words]
        return np.array(most, np.float32)

    def _starts(self, *, is_whole: bool) -> list[int]:
        """The first tokens of the words that are begun and were not told."""
        if self._told == len(self._words):
            return []
        weights = np.array(self._weights[self._taken :]).reshape(-1, len(self._words))
        begun = _align(weights[:, self._told :], is_whole=is_whole)
        return [self._taken + start for start in begun]

    def _spoken(self, number: int, first: int, stop: int) -> SpokenWord:
        """A word that takes tokens[first:stop], without the silence around it."""
        sounding = [at for at in range(first, stop) if self._tokens[at] not in SILENT_TOKENS]
        if sounding:
            first, stop = sounding[0], sounding[-1] + 1
        return SpokenWord(self._words[number].word, first, stop)

    def _spread(self, left: int, end: int) -> list[SpokenWord]:
        """More words than tokens: T3 did not say all of them, and who knows which."""
        borders = np.linspace(self._taken, end, left + 1)
        return [
            SpokenWord(word.word, start, stop)
            for word, (start, stop) in zip(
                self._words[self._told :], pairwise(borders.tolist()), strict=True
            )
        ]


def _align(weights: FloatArray, *, is_whole: bool) -> list[int]:
    """At which row each word begins, of rows of weights [t, n]; of words that are not begun, none.

    Of all ways from word to word that leave none out, that with the greatest product of weights; a
    whole one ends in the last word. There are as many rows as words at least, where it is whole.
    """
    count, words = weights.shape
    if not count:
        return []
    scores = np.log(weights + _LEAST_WEIGHT)
    best = np.full(words, -np.inf)
    best[0] = scores[0, 0]
    moved = np.zeros((count, words), bool)  # whether the word before was left for it
    for row in range(1, count):
        before = np.concatenate(([-np.inf], best[:-1]))
        moved[row] = before > best
        best = np.maximum(best, before) + scores[row]
    word = words - 1 if is_whole else int(np.argmax(best))
    starts = [0] * (word + 1)
    for row in reversed(range(count)):
        if moved[row, word]:
            starts[word] = row
            word -= 1
    return starts
