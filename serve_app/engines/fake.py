"""A deterministic engine for tests and load: no model, and it fails on command.

Each chunk of text becomes one chunk of audio, a chord whose notes and length follow from the text
and the seed, so that a test can compute what a client must receive: `speech_of(text, seed)`, and
its words `words_of(text, offset)`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.domain.errors import GenerationFailed
from serve_app.domain.types import Capabilities, PcmChunk, Samples, SpeechRequest, WordTiming
from serve_app.engines.words import written_words

SAMPLE_RATE = 24_000
_SECONDS_PER_CHARACTER = 0.02
_SHORTEST = 0.2  # seconds

CAPABILITIES = Capabilities(
    name="fake",
    sample_rate=SAMPLE_RATE,
    languages=("en", "de"),
    voices=("sine",),
    controls=frozenset({"seed", "temperature"}),
    native_speed=False,
    max_chunk_chars=200,
    first_chunk_chars=60,
    scripts=None,
    word_timings=True,
)


def speech_of(text: str, seed: int) -> Samples:
    """The audio this engine makes of one chunk of text: int16, 20 ms a character, [n]."""
    digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
    t = np.arange(_samples(text)) / SAMPLE_RATE
    notes = 150.0 + 4.0 * np.frombuffer(digest[:3], np.uint8)  # Hz
    chord = np.sin(2 * np.pi * notes[:, None] * t).mean(axis=0)
    return (chord * 12_000).astype(np.int16)


def words_of(text: str, offset: float) -> tuple[WordTiming, ...]:
    """The words of one chunk of text, spread evenly over its audio.

    Args:
        offset: seconds of the speech before the chunk.
    """
    (found,) = written_words([text])
    borders = offset + np.linspace(0, _samples(text) / SAMPLE_RATE, len(found) + 1)
    times = itertools.pairwise(borders.tolist())
    return tuple(WordTiming(word, *time) for word, time in zip(found, times, strict=True))


def _samples(text: str) -> int:
    return int(max(_SHORTEST, len(text) * _SECONDS_PER_CHARACTER) * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class FakeEngine:
    """Speaks chords. Chunks are counted from 0 within each request."""

    chunk_delay_s: float = 0.0  # how long each chunk takes to make
    fail_at_chunk: int | None = None  # raises GenerationFailed
    hang_at_chunk: int | None = None  # never comes back
    die_at_chunk: int | None = None  # the process ends at once, as if killed
    die_once_file: Path | None = None  # with this file present, `die_at_chunk` no longer applies

    @property
    def capabilities(self) -> Capabilities:
        """See `CAPABILITIES`."""
        return CAPABILITIES

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        """One chunk of audio for each chunk of text, after its delay or its mishap."""
        said = 0.0
        for index, text in enumerate(request.chunks):
            time.sleep(self.chunk_delay_s)
            self._have_mishap(index)
            words = words_of(text, said) if request.word_timings else ()
            chunk = PcmChunk(speech_of(text, request.seed), SAMPLE_RATE, words)
            said += chunk.seconds
            yield chunk

    def _have_mishap(self, index: int) -> None:
        if index == self.fail_at_chunk:
            raise GenerationFailed(f"The fake engine was told to fail at chunk {index}.")
        if index == self.hang_at_chunk:
            time.sleep(3600)
        if index == self.die_at_chunk and self._dies_now():
            os._exit(1)

    def _dies_now(self) -> bool:
        if self.die_once_file is None:
            return True
        marker = Path(self.die_once_file)
        if marker.exists():
            return False
        marker.touch()
        return True
