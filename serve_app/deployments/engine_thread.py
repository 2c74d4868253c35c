"""One engine on one thread, its time given out by deadline.

Requests arrive on the event loop; the engine blocks. Each stream is a generator of the engine, and
the thread steps the one whose listener would run dry first (`domain/deadline.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

from serve_app.domain.deadline import DeadlineQueue, Stream
from serve_app.domain.errors import GenerationFailed, SpeechServiceError
from serve_app.domain.protocols import SpeechEngine
from serve_app.domain.types import PcmChunk, SpeechRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Speech:
    """A stream's generator and the way back to the request that waits for it."""

    request_id: str
    steps: Generator[PcmChunk, None, None]
    results: asyncio.Queue[PcmChunk | SpeechServiceError | None]  # None ends the stream
    loop: asyncio.AbstractEventLoop

    def deliver(self, result: PcmChunk | SpeechServiceError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.results.put_nowait, result)


class EngineWorker:
    """Lets many requests share one blocking engine."""

    def __init__(self, engine: SpeechEngine) -> None:
        self.engine = engine
        self._queue: DeadlineQueue[_Speech] = DeadlineQueue()
        self._changed = threading.Condition()
        self._step_began: float | None = None
        self._closing = False
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream `request` as the engine makes it; closing the generator frees its turn.

        Raises:
            InvalidRequest, GenerationFailed: as the engine raised it.
        """
        speech = _Speech(
            request.request_id,
            self.engine.speak(request),
            asyncio.Queue(),
            asyncio.get_running_loop(),
        )
        stream = self._enqueue(speech)
        try:
            while (result := await speech.results.get()) is not None:
                if isinstance(result, SpeechServiceError):
                    raise result
                yield result
        finally:
            with self._changed:
                self._queue.cancel(stream)

    def stalled_for(self) -> float:
        """Seconds the engine has been busy with its present step; 0 when it is idle."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """Let the streams that have begun finish, then end the thread. Nothing new may be asked."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def _enqueue(self, speech: _Speech) -> Stream[_Speech]:
        with self._changed:
            stream = self._queue.add(speech, time.monotonic())
            self._changed.notify()
        return stream

    def _run(self) -> None:
        while (stream := self._next()) is not None:
            self._step_began = time.monotonic()
            chunk = self._step(stream.work)
            self._step_began = None
            if chunk is not None:
                with self._changed:
                    self._queue.put_back(stream, chunk.seconds, time.monotonic())

    def _next(self) -> Stream[_Speech] | None:
        with self._changed:
            while (stream := self._queue.take(time.monotonic())) is None and not self._closing:
                self._changed.wait()
        return stream

    def _step(self, speech: _Speech) -> PcmChunk | None:
        try:
            chunk = next(speech.steps, None)
        except SpeechServiceError as error:
            speech.deliver(error)
            return None
        except Exception:
            # The edge of the engine's thread: one broken request must not end the others.
            logger.exception("The engine failed, request %s", speech.request_id)
            speech.deliver(GenerationFailed("The speech engine failed while it was speaking."))
            return None
        speech.deliver(chunk)
        return chunk
