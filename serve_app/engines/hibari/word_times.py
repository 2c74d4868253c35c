"""When each word is said: the words of the text, found again in the phonemes and their durations.

The reader rewrites what it reads ("$3.50" becomes six words, "Dr." loses its dot), so the letters
of its tokens are aligned with those of the text, and where they differ they are matched by place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import numpy.typing as npt

from serve_app.domain.types import PcmChunk, Samples, WordTiming
from serve_app.engines.hibari.pronounce import PAUSES, Reading
from serve_app.engines.hibari.upstream import HOP, SAMPLE_RATE

LEAD = 5
"""Frames, at normal speed, by which sounds come before the model's durations say: 3 after a pause
by their energy, 6 within a sentence by a recogniser (benchmarks/word_timings.py)."""


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of an utterance's audio, and the plan it was made by."""

    samples: Samples
    durations: npt.NDArray[np.int64]  # frames of each phoneme, of all or of the first ones
    settled: int  # phonemes whose durations will stay


@dataclass(frozen=True, slots=True)
class Stretch:
    """Phonemes of an utterance that are one word, or several of which only one makes a sound."""

    words: tuple[str, ...]
    first: int  # position of its first sound in the utterance's ids
    last: int


def place(words: Sequence[str], reading: Reading) -> list[list[Stretch]]:
    """Find the words of a chunk in each of its utterances.

    A word that begins in one utterance and ends in another is placed in the first.
    """
    stretches: list[list[Stretch]] = [[] for _ in reading.utterances]
    if not words or not stretches:
        return stretches
    heard = _heard(words, reading)
    begins = sorted(heard)
    for index, end in zip(begins, [*begins[1:], len(words)], strict=True):
        start = 0 if index == begins[0] else index
        utterance, first, last = heard[index]
        stretches[utterance].append(Stretch(tuple(words[start:end]), first, last))
    return stretches


def attach(
    steps: Iterable[Step], stretches: Sequence[Stretch], offset: int, speed: float
) -> Iterator[PcmChunk]:
    """Give each piece of an utterance's audio the words that begin in it.

    Where the end of such a word is not settled yet, the piece waits for the next.

    Args:
        offset: samples of the speech before the utterance.
        speed: at which the utterance is said.
    """
    waiting, held, said, told = list(stretches), list[Samples](), 0, 0
    for step in steps:
        held.append(step.samples)
        said += len(step.samples)
        starts, ends = _borders(step.durations, speed)
        due = [s for s in waiting if s.first < len(starts) and starts[s.first] < said]
        if any(stretch.last >= step.settled for stretch in due):
            continue
        timings: list[WordTiming] = []
        for stretch in due:
            start = max(starts[stretch.first], told)
            told = max(ends[stretch.last], start + HOP)
            timings += _timings(stretch.words, offset + start, offset + told)
        yield PcmChunk(np.concatenate(held), SAMPLE_RATE, tuple(timings))
        told = max(told, said)
        del waiting[: len(due)]
        held.clear()


def _borders(durations: npt.NDArray[np.int64], speed: float) -> tuple[list[int], list[int]]:
    """Where the sound of each phoneme starts and ends, in samples of the utterance."""
    lead = min(round(LEAD * HOP / speed), durations[0] * HOP)
    ends = np.cumsum(durations) * HOP - lead
    return (ends - durations * HOP).tolist(), ends.tolist()


def _heard(words: Sequence[str], reading: Reading) -> dict[int, tuple[int, int, int]]:
    """Word -> its utterance and the positions of its first and last sound there."""
    owners = iter(_owners_of_symbols(words, reading))
    heard: dict[int, tuple[int, int, int]] = {}
    for utterance, phonemes in enumerate(reading.utterances):
        for position, symbol in enumerate(phonemes, start=1):  # after the pad
            owner = None if symbol == " " else next(owners)
            if owner is None or symbol in PAUSES:
                continue
            begun, first, _ = heard.get(owner, (utterance, position, position))
            if begun == utterance:
                heard[owner] = utterance, first, position
    return heard


def _owners_of_symbols(words: Sequence[str], reading: Reading) -> Iterator[int]:
    """For each symbol that is no space, in order, the word it belongs to."""
    owners = owners_of_tokens(words, [token.text for token in reading.tokens])
    for owner, token in zip(owners, reading.tokens, strict=True):
        yield from (owner for symbol in token.phonemes if symbol != " ")


def owners_of_tokens(words: Sequence[str], tokens: Sequence[str]) -> list[int]:
    """For each token that was read, the index of the word it stands for; never decreasing."""
    written = [(c.lower(), index) for index, word in enumerate(words) for c in word if c != " "]
    read = [c.lower() for token in tokens for c in token]
    matcher = SequenceMatcher(None, [c for c, _ in written], read, autojunk=False)
    owners: list[int] = []
    for _, start, stop, low, high in matcher.get_opcodes():
        for nth in range(high - low):
            at = start + nth * (stop - start) // (high - low)
            owners.append(written[at if stop > start else max(0, at - 1)][1])
    middles = np.cumsum([len(token) for token in tokens]) - [(len(t) + 1) // 2 for t in tokens]
    return [owners[middle] for middle in middles]


def _timings(words: Sequence[str], start: int, end: int) -> Iterator[WordTiming]:
    """Share the samples from `start` to `end` evenly."""
    borders = np.linspace(start, end, len(words) + 1) / SAMPLE_RATE
    for word, begin, finish in zip(words, borders[:-1], borders[1:], strict=True):
        yield WordTiming(word, float(begin), float(finish))
