"""One speech request from plan to end: awaits the first audio, then streams, then publishes.

Nothing is answered before there is audio. Whatever way a session ends other than by its last
sample, it leaves no file and stops the synthesis behind it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from serve_app.api.rendering import Rendering
from serve_app.api.services import Services
from serve_app.domain.types import SpeechRequest
from serve_app.observability.metrics import Outcome


class SpeechSession:
    """The speech of one request, flowing through one `Rendering`. Iterate it for the body."""

    def __init__(self, services: Services, rendering: Rendering, request: SpeechRequest) -> None:
        self._services = services
        self._rendering = rendering
        self._chunks = services.speech.speak(request)
        self._head = b""
        self._working: asyncio.Future[bytes] | None = None
        self._cleaning: asyncio.Task[None] | None = None
        self._began = time.perf_counter()
        self._outcome = Outcome.CANCELLED  # until it is known better

    async def begin(self) -> None:
        """Wait until there is something to send, so that failures before it can be statuses."""
        try:
            while not self._head and not self._rendering.finished:
                self._head = await self._advance()
        except BaseException:
            await self.aclose()
            raise
        self._services.recorder.first_audio(time.perf_counter() - self._began)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The encoded body; an error breaks it off. The caller closes the session in any case."""
        yield self._head
        while not self._rendering.finished:
            if data := await self._advance():
                yield data

    async def run_to_end(self) -> None:
        """Speak everything into the stored files."""
        try:
            while not self._rendering.finished:
                await self._advance()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop the synthesis and leave no file, unless the session has come to its end."""
        if self._cleaning is None:
            # A task of its own: the one that calls may be cancelled again at each await.
            self._cleaning = asyncio.create_task(self._clean_up())
        await asyncio.shield(self._cleaning)

    async def _clean_up(self) -> None:
        await self._chunks.aclose()
        if self._working is not None:
            await asyncio.wait([self._working])
        if not self._rendering.finished:
            await self._services.in_thread(self._rendering.discard)
        self._services.recorder.ended(self._outcome, self._rendering.seconds)

    async def _advance(self) -> bytes:
        """Take one chunk through the rendering; at the last, publish."""
        try:
            chunk = await anext(self._chunks, None)
            if chunk is not None:
                return await self._work(lambda: self._rendering.push(chunk))
            tail = await self._work(self._rendering.finish)
        except Exception:
            self._outcome = Outcome.FAILED
            raise
        self._outcome = Outcome.COMPLETED
        return tail

    async def _work(self, step: Callable[[], bytes]) -> bytes:
        """Run one step of the rendering to its end even if the client leaves meanwhile."""
        self._working = asyncio.ensure_future(self._services.in_thread(step))
        return await asyncio.shield(self._working)
