"""One output from its first audio to its end: awaited, then streamed, then published.

Nothing is answered before there is audio. Whatever way a generation ends other than by its last
sample, it leaves no file and stops the work behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

from serve_app.api.job import Job
from serve_app.api.rendering import Rendering
from serve_app.api.services import Services
from serve_app.domain.types import PcmChunk, WordTiming
from serve_app.library.outputs import PendingOutput
from serve_app.observability.metrics import Outcome

T = TypeVar("T")


class Generation:
    """The audio of one job, flowing through one `Rendering`. Iterate it for the body."""

    def __init__(self, services: Services, job: Job, streams: bool) -> None:
        self.job = job
        self._services = services
        self._streams = streams
        self._first: asyncio.Future[PcmChunk | None] | None = None
        self._output: PendingOutput | None = None
        self._rendering: Rendering | None = None
        self._finished = False
        self._head = b""
        self._working: asyncio.Future[Any] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self._outcome = Outcome.CANCELLED  # until it is known better

    @property
    def output(self) -> PendingOutput:
        """Where it is stored; known once the generation has begun."""
        assert self._output is not None
        return self._output

    @property
    def seconds(self) -> float:
        """Duration so far."""
        return self._rendering.seconds if self._rendering else 0.0

    @property
    def words(self) -> Sequence[WordTiming]:
        """The words that have been said so far, where they were asked for."""
        return self._rendering.words if self._rendering else ()

    async def begin(self) -> None:
        """Wait until there is something to send, so that failures before it can be statuses."""
        try:
            await self._open()
            while not self._head and not self._finished:
                self._head = await self._advance()
        except BaseException:
            await self.aclose()
            raise
        self._services.recorder.first_audio(self.job.draft.kind, self._elapsed())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The encoded body; an error breaks it off. The caller closes the generation anyway."""
        yield self._head
        while not self._finished:
            if data := await self._advance():
                yield data

    async def run_to_end(self) -> None:
        """Make everything into the stored files."""
        try:
            await self._open()
            while not self._finished:
                await self._advance()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop the work and leave no file, unless the generation has come to its end."""
        if self._cleaning is None:
            # A task of its own: the one that calls may be cancelled again at each await.
            self._cleaning = asyncio.create_task(self._clean_up())
        await asyncio.shield(self._cleaning)

    async def _open(self) -> None:
        """Reserve the output while the first audio is already being made."""
        self._first = asyncio.ensure_future(anext(self.job.chunks, None))
        try:
            await self._settled(self._reserve())
        except Exception:
            self._outcome = Outcome.FAILED
            raise

    async def _reserve(self) -> None:
        self._output = await self._services.library.outputs.reserve(self.job.draft)
        self._rendering = await self._services.in_thread(
            lambda: Rendering(self.job, self.output.scratch, self._streams)
        )

    async def _advance(self) -> bytes:
        """Take one chunk through the rendering; at the last, publish."""
        try:
            chunk = await self._next_chunk()
            if chunk is None:
                return await self._settled(self._finish())
            return await self._settled(self._push(chunk))
        except Exception:
            self._outcome = Outcome.FAILED
            raise

    async def _next_chunk(self) -> PcmChunk | None:
        if self._first is None:
            return await anext(self.job.chunks, None)
        chunk = await self._first
        self._first = None
        return chunk

    async def _push(self, chunk: PcmChunk) -> bytes:
        rendering = self._rendering
        assert rendering is not None
        return await self._services.in_thread(lambda: rendering.push(chunk))

    async def _finish(self) -> bytes:
        assert self._rendering is not None
        tail = await self._services.in_thread(self._rendering.finish)
        await self.output.commit(self.seconds, self.job.sample_rate)
        self._finished = True
        self._outcome = Outcome.COMPLETED
        return tail

    async def _settled(self, step: Awaitable[T]) -> T:
        """Bring one step to its end even if the client leaves meanwhile."""
        self._working = asyncio.ensure_future(step)
        return await asyncio.shield(self._working)

    async def _clean_up(self) -> None:
        try:
            await self._stop()
            if not self._finished:
                await self._discard()
        finally:
            self._services.recorder.ended(self.job.draft.kind, self._outcome, self.seconds)
            await self.job.tidy_up()

    async def _stop(self) -> None:
        """Nothing of it is under way any more."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)
        await self.job.chunks.aclose()
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _discard(self) -> None:
        if self._rendering is not None:
            await self._services.in_thread(self._rendering.close)
        if self._output is not None:
            await self._output.discard()

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began
