"""The thread of an engine, its time given out by deadline.

Requests arrive on the event loop; the engine blocks. What a request wants is a generator of the
engine, and the thread steps the one whose listener would run dry first (`domain/deadline.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from dataclasses import dataclass, field

from serve_app.domain.deadline import DeadlineQueue, Stream
from serve_app.domain.errors import GenerationFailed, SpeechServiceError
from serve_app.domain.types import PcmChunk

logger = logging.getLogger(__name__)

Steps = Generator[PcmChunk, None, None]


@dataclass(slots=True, eq=False)
class _Work:
    """What the thread steps for one listener, and the way back to who waits for it."""

    request_id: str
    steps: Steps
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    results: asyncio.Queue[PcmChunk | SpeechServiceError | None] = field(
        default_factory=lambda: asyncio.Queue[PcmChunk | SpeechServiceError | None]()
    )  # None ends the steps

    def deliver(self, result: PcmChunk | SpeechServiceError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.results.put_nowait, result)


class EngineThread:
    """Lets many requests share one blocking engine."""

    def __init__(self) -> None:
        self._queue: DeadlineQueue[_Work] = DeadlineQueue()
        self._changed = threading.Condition()
        self._step_began: float | None = None
        self._closing = False
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    def listener(self, request_id: str) -> Listener:
        """A new place in the queue, for a request whose steps come bit by bit."""
        return Listener(self, request_id)

    async def run(self, request_id: str, steps: Steps) -> AsyncGenerator[PcmChunk, None]:
        """Yield what `steps` makes, as it is made; closing the generator frees its turn.

        Raises:
            SpeechServiceError: as the engine raised it; GenerationFailed for anything else.
        """
        with contextlib.closing(self.listener(request_id)) as listener:
            async with aclosing(listener.run(steps)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def stalled_for(self) -> float:
        """Seconds the engine has been busy with its present step; 0 when it is idle."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """Let the streams that have begun finish, then end the thread. Nothing new may be asked."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def enqueue(self, place: Stream[_Work] | None, work: _Work) -> Stream[_Work]:
        """Queue `work`, in the place its listener has already or in a new one."""
        with self._changed:
            now = time.monotonic()
            if place is None:
                place = self._queue.add(work, now)
            else:
                place.work = work
                self._queue.put_back(place, 0.0, now)
            self._changed.notify()
        return place

    def leave(self, place: Stream[_Work]) -> None:
        """Give up a place in the queue."""
        with self._changed:
            self._queue.cancel(place)

    def _run(self) -> None:
        while (stream := self._next()) is not None:
            self._step_began = time.monotonic()
            chunk = _step(stream.work)
            self._step_began = None
            if chunk is not None:
                with self._changed:
                    self._queue.put_back(stream, chunk.seconds, time.monotonic())
                stream.work.deliver(chunk)

    def _next(self) -> Stream[_Work] | None:
        with self._changed:
            while (stream := self._queue.take(time.monotonic())) is None and not self._closing:
                self._changed.wait()
        return stream


class Listener:
    """One request's place in the queue, kept over all the steps that are run for it.

    What it has heard counts for all of them, so a conversion whose source comes bit by bit is as
    urgent as its listener is near to running dry.
    """

    def __init__(self, thread: EngineThread, request_id: str) -> None:
        self._thread = thread
        self._request_id = request_id
        self._place: Stream[_Work] | None = None

    async def run(self, steps: Steps) -> AsyncGenerator[PcmChunk, None]:
        """Yield what `steps` makes; run it to its end before the next. See `EngineThread.run`."""
        work = _Work(self._request_id, steps)
        self._place = self._thread.enqueue(self._place, work)
        while (result := await work.results.get()) is not None:
            if isinstance(result, SpeechServiceError):
                raise result
            yield result

    def close(self) -> None:
        """Leave the queue: nothing more is stepped for this request."""
        if self._place is not None:
            self._thread.leave(self._place)


def _step(work: _Work) -> PcmChunk | None:
    """One step; the chunk it made, or None after the end of the steps was delivered."""
    try:
        chunk = next(work.steps, None)
    except SpeechServiceError as error:
        work.deliver(error)
        return None
    except Exception:
        # The edge of the engine's thread: one broken request must not end the others.
        logger.exception("The engine failed, request %s", work.request_id)
        work.deliver(GenerationFailed("The speech engine failed while it was speaking."))
        return None
    if chunk is None:
        work.deliver(None)
    return chunk
