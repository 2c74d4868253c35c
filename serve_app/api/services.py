"""What the routes need, put together once per process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from serve_app.api.intake import Intake
from serve_app.api.sources import Sources
from serve_app.domain.protocols import ConversionBackend, SpeechBackend
from serve_app.library.download import Downloader, DownloadRules
from serve_app.library.library import Library
from serve_app.observability.metrics import NullRecorder, Recorder
from serve_app.settings import Settings

T = TypeVar("T")


class Services:
    """The backends, the library and the threads of one ingress process."""

    def __init__(
        self,
        settings: Settings,
        speech: SpeechBackend,
        conversion: ConversionBackend,
        library: Library,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings
        self.speech = speech
        self.conversion = conversion
        self.library = library
        self.recorder = recorder or NullRecorder()
        self.started_at = time.time()
        self._threads = ThreadPoolExecutor(settings.http.encoder_threads, "audio")
        self.intake = Intake(settings.limits, Downloader(_rules(settings)), self.in_thread)
        self.sources = Sources(library, self.intake, settings.presets)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking `work` off the event loop, on one of few threads: it is all CPU or disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _rules(settings: Settings) -> DownloadRules:
    return DownloadRules(
        allowed=settings.sources.allow_urls,
        max_bytes=settings.limits.max_upload_bytes,
        timeout_s=settings.sources.timeout_s,
        allowed_networks=settings.sources.allowed_networks,
    )


async def _services(request: Request) -> Services:
    return request.app.state.services


InjectedServices = Annotated[Services, Depends(_services)]
