"""The thread of an engine: requests arrive on the event loop, the engine blocks.

The thread runs the engine's core: one that serves many listeners with each step, or `Turns`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from serve_app.deployments.turns import Turns
from serve_app.domain.deadline import Stream
from serve_app.domain.errors import EngineBroken, GenerationFailed, SpeechServiceError
from serve_app.domain.protocols import BatchingEngine, Core
from serve_app.domain.types import EngineLoad, PcmChunk

logger = logging.getLogger(__name__)

Task = TypeVar("Task")

_BROKEN = "The speech engine broke and is being replaced."


@dataclass(slots=True, eq=False)
class _Mailbox:
    """The way from the thread back to who waits on the event loop."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    results: asyncio.Queue[PcmChunk | SpeechServiceError | None] = field(
        default_factory=lambda: asyncio.Queue[PcmChunk | SpeechServiceError | None]()
    )  # None is the end of a task

    def put(self, result: PcmChunk | SpeechServiceError | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.results.put_nowait, result)


class EngineThread(Generic[Task]):
    """Lets many requests share one blocking engine."""

    def __init__(self, core: Core[Task]) -> None:
        self._core = core
        self._changed = threading.Condition()
        self._arrived: list[Stream[Task]] = []
        self._left: list[Stream[Task]] = []
        self._mailboxes: dict[Stream[Task], _Mailbox] = {}
        self._step_began: float | None = None
        self._closing = False
        self._broken = False
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    @classmethod
    def of(cls, engine: object) -> EngineThread[Any]:
        """The thread of an engine: on its own core if it has one, else by turns."""
        if isinstance(engine, BatchingEngine):
            return EngineThread(cast(BatchingEngine[Any], engine).core())
        return EngineThread(Turns())

    @property
    def load(self) -> EngineLoad:
        """How busy the engine is."""
        return self._core.load

    def listener(self, request_id: str) -> Listener[Task]:
        """A new place in the queue, for a request whose tasks come bit by bit."""
        return Listener(self, request_id)

    async def run(self, request_id: str, task: Task) -> AsyncGenerator[PcmChunk, None]:
        """Yield what comes of `task`, as it is made; closing the generator abandons the rest.

        Raises:
            SpeechServiceError: as the engine raised it; GenerationFailed for anything else.
        """
        with contextlib.closing(self.listener(request_id)) as listener:
            async with aclosing(listener.run(task)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def check_health(self, stall_timeout: float) -> None:
        """Whether the engine can go on.

        Raises:
            RuntimeError: it broke, or has been in one step for more than `stall_timeout` seconds.
        """
        if self._broken:
            raise RuntimeError("The engine broke; the log says why.")
        if (stalled := self.stalled_for()) > stall_timeout:
            raise RuntimeError(f"The engine has been stuck in one step for {stalled:.0f} s.")

    def stalled_for(self) -> float:
        """Seconds the engine has been busy with its present step; 0 when it is idle."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """Let the streams that have begun finish, then end the thread. Nothing new may be asked."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def enqueue(self, place: Stream[Task], mailbox: _Mailbox) -> None:
        """Queue the task of a listener.

        Raises:
            GenerationFailed: the engine broke.
        """
        with self._changed:
            if self._broken:
                raise GenerationFailed(_BROKEN)
            self._mailboxes[place] = mailbox
            self._arrived.append(place)
            self._changed.notify()

    def leave(self, place: Stream[Task]) -> None:
        """Give up a place in the queue."""
        with self._changed:
            if self._mailboxes.pop(place, None) is not None:
                self._left.append(place)
                self._changed.notify()

    def _run(self) -> None:
        try:
            while self._wait_for_work():
                self._step_began = time.monotonic()
                deliveries = self._core.step()
                self._step_began = None
                for delivery in deliveries:
                    self._deliver(delivery.stream, delivery.result)
        except Exception as error:
            # The edge of the engine: whatever it is, nothing more can be made here.
            logger.exception("The engine broke")
            self._break(error)

    def _wait_for_work(self) -> bool:
        """Hand the core who came and who left; False when there is nothing more to do."""
        with self._changed:
            while not (self._arrived or self._left or self._core.busy or self._closing):
                self._changed.wait()
            arrived, self._arrived = self._arrived, []
            left, self._left = self._left, []
        for stream in arrived:
            self._core.add(stream)
        for stream in left:
            self._core.remove(stream)
        return self._core.busy or not self._closing

    def _deliver(self, stream: Stream[Task], result: PcmChunk | SpeechServiceError | None) -> None:
        with self._changed:
            mailbox = self._mailboxes.get(stream)
            if not isinstance(result, PcmChunk):
                self._mailboxes.pop(stream, None)
        if mailbox is not None:
            mailbox.put(result)

    def _break(self, error: Exception) -> None:
        with self._changed:
            self._broken = True
            self._step_began = None
            waiting, self._mailboxes = list(self._mailboxes.values()), {}
        message = error.message if isinstance(error, EngineBroken) else _BROKEN
        for mailbox in waiting:
            mailbox.put(GenerationFailed(message))


class Listener(Generic[Task]):
    """One request's place in the queue, kept over all the tasks that are run for it.

    What it has heard counts for all of them, so a conversion whose source comes bit by bit is as
    urgent as its listener is near to running dry.
    """

    def __init__(self, thread: EngineThread[Task], request_id: str) -> None:
        self._thread = thread
        self._request_id = request_id
        self._place: Stream[Task] | None = None

    async def run(self, task: Task) -> AsyncGenerator[PcmChunk, None]:
        """Yield what comes of `task`; run it to its end before the next. See `EngineThread.run`."""
        if self._place is None:
            self._place = Stream(task, time.monotonic(), self._request_id)
        self._place.work = task
        mailbox = _Mailbox()
        self._thread.enqueue(self._place, mailbox)
        while (result := await mailbox.results.get()) is not None:
            if isinstance(result, SpeechServiceError):
                raise result
            yield result

    def close(self) -> None:
        """Leave the queue: nothing more is made for this request."""
        if self._place is not None:
            self._thread.leave(self._place)
