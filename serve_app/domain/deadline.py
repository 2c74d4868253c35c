"""Who is served next: the listener who would run dry first.

Earliest deadline first over streams that are played in real time. A stream that has delivered
audio is due when its listener, who started to play at the first delivery, has heard it all; a
stream without audio is due since it arrived. So a new request overtakes later sentences of requests
whose listeners have seconds of audio in hand, and work already begun never runs dry first.

While every listener has plenty in hand, the stream that came first is finished first: taking turns
would bring all of them to their end, and their clients back with new requests, at the same moment.

A stream that waits keeps its deadline while those that are served move theirs out by the audio they
get (the first time less the margin below), therefore none starves.
See docs/adr/0004-deadline-scheduling.md.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

RUN_DRY_MARGIN = 0.25
"""Seconds before its listener would run dry at which a stream is due: covers one piece of work of
another stream and the way to the client."""

PLENTY = 4.0
"""Seconds until it is due with which a stream can wait for others to be finished."""


@dataclass(slots=True, eq=False)
class Stream(Generic[T]):
    """One listener's place in the queue; `work` is whatever the owner of the queue steps."""

    work: T
    arrived_at: float  # seconds, monotonic
    request_id: str = ""
    number: int = field(default_factory=itertools.count().__next__)  # in the order of arrival
    started_at: float | None = None  # when it would have begun to play, had it never run dry
    delivered: float = 0.0  # seconds of audio so far
    cancelled: bool = False

    @property
    def deadline(self) -> float:
        """When this stream is due, in monotonic seconds."""
        if self.started_at is None:
            return self.arrived_at
        return self.started_at + self.delivered - RUN_DRY_MARGIN

    def hear(self, audio_seconds: float, now: float) -> None:
        """Count audio that was delivered `now`; a listener who had run dry starts to play anew."""
        if audio_seconds <= 0:
            return
        if self.started_at is None or now > self.started_at + self.delivered:
            self.started_at = now - self.delivered
        self.delivered += audio_seconds


class DeadlineQueue(Generic[T]):
    """Streams that want to be served.

    A stream is either waiting in the queue or out being served, never both, so its pieces can not
    be reordered. Each operation looks at every stream that waits, which with the hundreds that a
    replica holds takes microseconds. Not thread-safe: the owner holds a lock.
    """

    def __init__(self) -> None:
        self._waiting: dict[Stream[T], None] = {}  # in the order in which they were queued

    def add(self, work: T, now: float) -> Stream[T]:
        """Enqueue a new stream that wants its first audio."""
        stream = Stream(work, now)
        self._waiting[stream] = None
        return stream

    def take(self, now: float) -> Stream[T] | None:
        """Remove and return the stream to serve next; None when nobody waits."""
        if not self._waiting:
            return None
        chosen = min(self._waiting, key=lambda stream: stream.deadline)
        if chosen.deadline - now > PLENTY:
            chosen = min(self._waiting, key=lambda stream: stream.number)
        del self._waiting[chosen]
        return chosen

    def put_back(self, stream: Stream[T], audio_seconds: float, now: float) -> None:
        """Return a stream that was taken and has just been delivered `audio_seconds`."""
        stream.hear(audio_seconds, now)
        if not stream.cancelled:
            self._waiting[stream] = None

    def cancel(self, stream: Stream[T]) -> None:
        """Forget a stream; it is never taken again."""
        stream.cancelled = True
        self._waiting.pop(stream, None)

    def __len__(self) -> int:
        return len(self._waiting)
