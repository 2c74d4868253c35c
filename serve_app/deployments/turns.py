"""The core of an engine that serves one listener at a time: each gets its turns.

The listener who would run dry first is next (`domain/deadline.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from serve_app.domain.deadline import DeadlineQueue, Stream
from serve_app.domain.errors import EngineBroken, GenerationFailed, SpeechServiceError
from serve_app.domain.protocols import Delivery, Steps
from serve_app.domain.types import EngineLoad, PcmChunk

logger = logging.getLogger(__name__)


class Turns:
    """A `Core` whose tasks are steps of their own."""

    def __init__(self) -> None:
        self._queue: DeadlineQueue[Steps] = DeadlineQueue()

    @property
    def busy(self) -> bool:
        """See `Core`."""
        return len(self._queue) > 0

    @property
    def load(self) -> EngineLoad:
        """See `Core`; a step serves one."""
        return EngineLoad(running=len(self._queue), batch_size=1.0 if self.busy else 0.0)

    def add(self, stream: Stream[Steps]) -> None:
        """See `Core`."""
        self._queue.put_back(stream, 0.0, time.monotonic())

    def remove(self, stream: Stream[Steps]) -> None:
        """See `Core`."""
        self._queue.cancel(stream)
        stream.work.close()

    def step(self) -> Sequence[Delivery[Steps]]:
        """See `Core`."""
        stream = self._queue.take(time.monotonic())
        if stream is None:
            return ()
        result = _next(stream)
        if isinstance(result, PcmChunk):
            self._queue.put_back(stream, result.seconds, time.monotonic())
        return (Delivery(stream, result),)


def _next(stream: Stream[Steps]) -> PcmChunk | SpeechServiceError | None:
    try:
        return next(stream.work, None)
    except EngineBroken:
        raise
    except SpeechServiceError as error:
        return error
    except Exception:
        # The edge of the engine: one broken request must not end the others.
        logger.exception("The engine failed, request %s", stream.request_id)
        return GenerationFailed("The speech engine failed while it was speaking.")
