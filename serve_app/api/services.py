"""What the routes need, put together once per process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from serve_app.domain.protocols import SpeechBackend
from serve_app.library.outputs import OutputLibrary
from serve_app.observability.metrics import NullRecorder, Recorder
from serve_app.settings import Settings

T = TypeVar("T")


class Services:
    """The backends, the library and the threads of one ingress process."""

    def __init__(
        self,
        settings: Settings,
        speech: SpeechBackend,
        outputs: OutputLibrary,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings
        self.speech = speech
        self.outputs = outputs
        self.recorder = recorder or NullRecorder()
        self.started_at = time.time()
        self._threads = ThreadPoolExecutor(settings.http.encoder_threads, "audio")

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking `work` off the event loop, on one of few threads: it is all CPU or disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


async def _services(request: Request) -> Services:
    return request.app.state.services


InjectedServices = Annotated[Services, Depends(_services)]
