"""Listeners who ask a server for speech again and again, and what they hear."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count

from serve_app.cli.listening import AudioMeter, Listener
from serve_app.client import (
    AsyncClient,
    Overloaded,
    RequestRefused,
    ServerError,
    StreamBroken,
)

_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What the listeners ask for: so many requests in all, or as many as are begun in time."""

    text: str
    audio_format: str  # one of MEASURABLE
    voice: str | None
    clients: int
    requests: int | None = None
    seconds: float | None = None


@dataclass
class Heard:
    """What they have heard so far. Times in seconds."""

    streams: list[Listener] = field(default_factory=list[Listener])  # that came to their end
    errors: Counter[str] = field(default_factory=Counter[str])
    began_at: float = field(default_factory=time.perf_counter)
    ended_at: float = field(default_factory=time.perf_counter)

    @property
    def wall_seconds(self) -> float:
        """From the first request to the last end."""
        return self.ended_at - self.began_at

    @property
    def audio_seconds(self) -> float:
        """How much audio it was, all streams together."""
        return sum(stream.seconds for stream in self.streams)

    @property
    def audio_rate(self) -> float:
        """Seconds of audio per second, all streams together."""
        return self.audio_seconds / self.wall_seconds if self.streams else 0.0


async def drive(
    load: Load, connect: Callable[[], AsyncClient], heard: Heard, progress: Callable[[], None]
) -> None:
    """Put the load on a server. `heard` grows meanwhile; `progress` is called at each end.

    Raises:
        RequestRefused: the request itself is wrong, so that every one would be refused.
    """
    async with connect() as client:
        heard.began_at = time.perf_counter()
        seeds = _seeds(load, heard.began_at)

        async def listen() -> None:
            for seed in seeds:
                await _hear(client, load, seed, heard)
                progress()

        try:
            await asyncio.gather(*(listen() for _ in range(load.clients)))
        finally:
            heard.ended_at = time.perf_counter()


def _seeds(load: Load, began_at: float) -> Iterator[int]:
    """One for each request, shared by all listeners; ends when there is nothing more to ask."""
    for seed in count(1):
        if load.requests is not None and seed > load.requests:
            return
        if load.seconds is not None and time.perf_counter() - began_at >= load.seconds:
            return
        yield seed


async def _hear(client: AsyncClient, load: Load, seed: int, heard: Heard) -> None:
    """One stream to its end, or to its error: then some time passes before one asks again."""
    try:
        heard.streams.append(await _listened(client, load, seed))
    except ServerError as error:
        if _is_final(error):
            raise
        heard.errors[str(error)] += 1
        wait = error.retry_after if isinstance(error, Overloaded) else None
        await asyncio.sleep(wait or _PATIENCE_S)


def _is_final(error: ServerError) -> bool:
    """Whether there is no use in asking for the same again."""
    if not isinstance(error, RequestRefused) or isinstance(error, Overloaded):
        return False
    return error.status < HTTPStatus.INTERNAL_SERVER_ERROR


async def _listened(client: AsyncClient, load: Load, seed: int) -> Listener:
    listener = Listener(time.perf_counter())
    async with client.stream(
        load.text, format=load.audio_format, voice=load.voice, seed=seed
    ) as stream:
        meter = AudioMeter(stream.format, stream.sample_rate)
        async for data in stream:
            if seconds := meter.measure(data):
                listener.receive(seconds, time.perf_counter())
    if not listener.seconds:
        raise StreamBroken("there is no audio in it")
    listener.ended_at = time.perf_counter()
    return listener
