"""The words of a speech, from the time of what the engine says into that of what leaves."""

from __future__ import annotations

from collections.abc import Iterable

from serve_app.audio.process import Processor
from serve_app.domain.types import WordTiming


class Timeline:
    """Keeps words until it is known when they will be heard."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._waiting: list[WordTiming] = []

    def hear(self, words: Iterable[WordTiming], offset: float = 0.0) -> None:
        """Words of a speech that began `offset` seconds after the first."""
        self._waiting += [WordTiming(w.word, offset + w.start, offset + w.end) for w in words]

    def placed(self, has_output: bool) -> list[WordTiming]:
        """The words that were heard since the last call, in the time of the processor's output.

        Before there is any it is not known where it begins, and they wait.
        """
        if not has_output:
            return []
        moved = self._processor.output_time
        placed = [WordTiming(w.word, moved(w.start), moved(w.end)) for w in self._waiting]
        self._waiting = []
        return placed
