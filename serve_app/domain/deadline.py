"""Who is served next: the listener who would run dry first.

Earliest deadline first over streams that are played in real time. A stream that has delivered
audio is due when its listener, who started to play at the first delivery, has heard it all; a
stream without audio is due since it arrived. So a new request overtakes later sentences of requests
whose listeners have seconds of audio in hand, and work already begun never runs dry first.

A stream that waits keeps its deadline while those that are served move theirs out by the audio they
get (the first time less the margin below), therefore none starves.
See docs/adr/0004-deadline-scheduling.md.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

RUN_DRY_MARGIN = 0.25
"""Seconds before its listener would run dry at which a stream is due: covers one piece of work of
another stream and the way to the client."""


@dataclass(slots=True, eq=False)
class Stream(Generic[T]):
    """One listener's place in the queue; `work` is whatever the owner of the queue steps."""

    work: T
    arrived_at: float  # seconds, monotonic
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
    """Streams that want to be served, earliest deadline first.

    A stream is either waiting in the queue or out being served, never both, so its pieces can not
    be reordered. Not thread-safe: the owner holds a lock.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Stream[T]]] = []
        self._arrival = itertools.count()

    def add(self, work: T, now: float) -> Stream[T]:
        """Enqueue a new stream that wants its first audio."""
        stream = Stream(work, arrived_at=now)
        self._push(stream)
        return stream

    def take(self) -> Stream[T] | None:
        """Remove and return the stream that is due first; None when nobody waits."""
        while self._heap:
            _, _, stream = heapq.heappop(self._heap)
            if not stream.cancelled:
                return stream
        return None

    def put_back(self, stream: Stream[T], audio_seconds: float, now: float) -> None:
        """Return a stream that was taken and has just been delivered `audio_seconds`."""
        stream.hear(audio_seconds, now)
        if not stream.cancelled:
            self._push(stream)

    def cancel(self, stream: Stream[T]) -> None:
        """Forget a stream; it is never taken again."""
        stream.cancelled = True

    def __len__(self) -> int:
        return sum(not stream.cancelled for _, _, stream in self._heap)

    def _push(self, stream: Stream[T]) -> None:
        heapq.heappush(self._heap, (stream.deadline, next(self._arrival), stream))
