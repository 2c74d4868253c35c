"""Speech while it comes in from a server: its bytes, and what becomes known on the way."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from serve_app.cli.listening import MEASURABLE, AudioMeter
from serve_app.client import (
    AudioDelta,
    AudioStream,
    Client,
    Done,
    EventStream,
    SpeechEvent,
    SpeechOptions,
    Word,
    Words,
)


class Incoming:
    """The audio of a stream, or of events. Iterate it, once, for its bytes.

    Attributes:
        head: what was said of the audio before it came.
        bytes: how many have come in.
        first_audio: seconds from asking to the first of them; None until then.
        audio_seconds: how much audio they are; None in formats whose bytes do not tell.
        total: seconds from asking to the end; None until then.
        words: what is said when; None where that was not asked for, or cannot be told.
        seed: makes the same speech again; None where nothing was drawn.
    """

    def __init__(self, stream: AudioStream | EventStream, asked_at: float) -> None:
        self.head = stream
        self.bytes = 0
        self.first_audio: float | None = None
        self.audio_seconds: float | None = None
        self.total: float | None = None
        self.words: list[Word] | None = None
        self.seed = stream.seed
        self._asked_at = asked_at
        self._meter = (
            AudioMeter(stream.format, stream.sample_rate) if stream.format in MEASURABLE else None
        )

    def __iter__(self) -> Generator[bytes]:
        for piece in self.head:
            data = piece if isinstance(piece, bytes) else self._learn(piece)
            if data:
                self._count(data)
                yield data
        self.total = self._elapsed()

    def _learn(self, event: SpeechEvent) -> bytes:
        match event:
            case AudioDelta():
                return event.data
            case Words():
                if event.words is not None:
                    self.words = [*(self.words or ()), *event.words]
            case Done():
                self.seed, self.audio_seconds = event.seed, event.duration_seconds
        return b""

    def _count(self, data: bytes) -> None:
        self.bytes += len(data)
        if self.first_audio is None:
            self.first_audio = self._elapsed()
        if self._meter is not None:
            self.audio_seconds = (self.audio_seconds or 0.0) + self._meter.measure(data)

    def _elapsed(self) -> float:
        return time.perf_counter() - self._asked_at

    def facts(self) -> dict[str, Any]:
        """What `--json` prints of it; times in seconds."""
        return {
            "format": self.head.format,
            "bytes": self.bytes,
            "first_audio_seconds": self.first_audio,
            "total_seconds": self.total,
            "audio_seconds": self.audio_seconds,
            "seed": self.seed,
            "ignored": list(self.head.ignored),
            "request_id": self.head.request_id,
        }


@contextmanager
def spoken(
    client: Client, text: str, formats: tuple[str, ...], options: SpeechOptions, *, words: bool
) -> Generator[Incoming]:
    """A text that is being spoken; the first of the formats comes in.

    Raises:
        ServerError: the server refuses, or cannot be reached.
    """
    asked_at = time.perf_counter()
    if words:
        with client.events(text, formats=formats, timestamps=True, **options) as events:
            yield Incoming(events, asked_at)
    else:
        with client.stream(text, formats=formats, **options) as stream:
            yield Incoming(stream, asked_at)
