"""One engine and many listeners in virtual time: what the order of service does to them.

A discrete-event simulation. The engine serves one piece of one stream at a time; a piece costs
computing time and gives audio, delivered whole when it is done. Nothing sleeps and nothing is
random but the arrivals, whose source is given.
"""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from serve_app.domain.deadline import Stream


@dataclass(frozen=True)
class Piece:
    """One step of an engine."""

    audio: float  # seconds it gives
    cost: float  # seconds it takes


@dataclass(frozen=True)
class Arrival:
    """A request: when it comes and what has to be done for it."""

    at: float
    pieces: tuple[Piece, ...]


@dataclass
class Listener:
    """What one client hears, playing in real time since the first piece."""

    arrived_at: float
    work: Iterator[Piece]
    pieces_left: int
    started_at: float | None = None
    heard: float = 0.0
    least_in_hand: float = float("inf")
    completed_at: float = 0.0

    @property
    def first_audio(self) -> float:
        """Seconds from arrival to the first audio; infinite when there was none."""
        return float("inf") if self.started_at is None else self.started_at - self.arrived_at

    @property
    def ran_dry(self) -> bool:
        """Whether playback ever had to stop for want of audio."""
        return self.least_in_hand < 0

    def receive(self, piece: Piece, now: float) -> None:
        """Hear the next piece, which arrives now."""
        if self.started_at is None:
            self.started_at = now
        else:
            self.least_in_hand = min(self.least_in_hand, self.started_at + self.heard - now)
        self.heard += piece.audio
        self.completed_at = now


class Queue(Protocol):
    """The part of `DeadlineQueue` that an engine's worker uses."""

    def add(self, work: Listener, now: float) -> Stream[Listener]: ...

    def take(self, now: float) -> Stream[Listener] | None: ...

    def put_back(self, stream: Stream[Listener], audio_seconds: float, now: float) -> None: ...


class FirstComeQueue:
    """Pieces in the order in which their streams ask: what a thread pool or an actor does."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Stream[Listener]] = collections.deque()

    def add(self, work: Listener, now: float) -> Stream[Listener]:
        """Enqueue a new stream behind all others."""
        stream = Stream(work, now)
        self._waiting.append(stream)
        return stream

    def take(self, now: float) -> Stream[Listener] | None:  # noqa: ARG002
        """Remove and return the stream that has waited longest."""
        return self._waiting.popleft() if self._waiting else None

    def put_back(self, stream: Stream[Listener], audio_seconds: float, now: float) -> None:  # noqa: ARG002
        """Return a stream, behind all others."""
        self._waiting.append(stream)


def simulate(arrivals: Sequence[Arrival], queue: Queue) -> list[Listener]:
    """Serve all arrivals to the end and return what each listener heard, in order of arrival."""
    coming = collections.deque(sorted(arrivals, key=lambda arrival: arrival.at))
    listeners: list[Listener] = []
    now = 0.0

    def admit() -> None:
        while coming and coming[0].at <= now:
            arrival = coming.popleft()
            listeners.append(Listener(arrival.at, iter(arrival.pieces), len(arrival.pieces)))
            queue.add(listeners[-1], arrival.at)

    while True:
        admit()
        stream = queue.take(now)
        if stream is None:
            if not coming:
                return listeners
            now = coming[0].at
            continue
        piece = next(stream.work.work)
        now += piece.cost
        stream.work.receive(piece, now)
        stream.work.pieces_left -= 1
        admit()
        if stream.work.pieces_left:
            queue.put_back(stream, piece.audio, now)


def arrive_together(count: int, pieces: tuple[Piece, ...]) -> list[Arrival]:
    """All requests at once."""
    return [Arrival(0.0, pieces) for _ in range(count)]


def arrive_at_random(
    count: int, pieces: tuple[Piece, ...], load: float, source: random.Random
) -> list[Arrival]:
    """A Poisson process that keeps the engine busy for `load` (0..1) of the time."""
    work = sum(piece.cost for piece in pieces)
    gaps = (source.expovariate(load / work) for _ in range(count))
    return [Arrival(at, pieces) for at in itertools.accumulate(gaps)]
