"""What the engine's core works on: one listener's task, and what it needs next."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from serve_app.domain.deadline import Stream
from serve_app.domain.errors import SpeechServiceError
from serve_app.domain.protocols import Core
from serve_app.domain.types import PcmChunk, Samples, WordTiming
from serve_app.engines.chatterbox.models import SAMPLE_RATE
from serve_app.engines.chatterbox.s3gen.synthesizer import FloatSamples
from serve_app.engines.chatterbox.s3gen.utterance import Utterance
from serve_app.engines.chatterbox.s3gen.windows import Span
from serve_app.engines.chatterbox.t3.sequence import Sequence
from serve_app.engines.chatterbox.tokenise import SourcePiece


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """T3 is to make more tokens of a text."""

    sequence: Sequence


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A piece of a source is to become tokens."""

    piece: SourcePiece
    take: Callable[[list[int]], None]  # where they go


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """S3Gen is to make samples of tokens; they go to `Work.take_samples`."""

    utterance: Utterance
    span: Span


Need = Tokens | Piece | Window
"""What a task waits for. Work of one kind is done for many tasks at once."""


class Work(Protocol):
    """How the scheduler drives one task."""

    def begin(self) -> None:
        """Called once, before anything else, on the engine's thread.

        Raises:
            InvalidRequest: it cannot be made.
        """
        ...

    def need(self) -> Need | None:
        """What it waits for; None when it has ended.

        Raises:
            GenerationFailed: the model makes nothing of it.
        """
        ...

    def take_samples(self, samples: FloatSamples) -> PcmChunk:
        """Samples of its window; what the listener is to get of them, perhaps nothing yet."""
        ...

    def abandon(self) -> None:
        """Give back what it holds."""
        ...


class Task:
    """One listener's task: handed to the core, or iterated alone where nothing else runs it."""

    def __init__(self, work: Work, core: Core[Task]) -> None:
        self.work = work
        self._core = core
        self._steps: Generator[PcmChunk, None, None] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PcmChunk:
        if self._steps is None:
            self._steps = _alone(self, self._core)
        return next(self._steps)

    def close(self) -> None:
        """Abandon the rest."""
        if self._steps is not None:
            self._steps.close()


def _alone(task: Task, core: Core[Task]) -> Generator[PcmChunk, None, None]:
    stream = Stream(task, time.monotonic())
    core.add(stream)
    try:
        while True:
            for delivery in core.step():
                if delivery.stream is not stream:
                    continue
                if delivery.result is None:
                    return
                if isinstance(delivery.result, SpeechServiceError):
                    raise delivery.result
                yield delivery.result
    finally:
        core.remove(stream)


def pcm(samples: FloatSamples, words: tuple[WordTiming, ...] = ()) -> PcmChunk:
    """Samples in [-1, 1] as 16-bit PCM, with the words that come with them."""
    scaled: Samples = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    return PcmChunk(scaled, SAMPLE_RATE, words)
