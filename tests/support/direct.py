"""The API without Ray: a backend that drives an engine in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import uvicorn

from serve_app.api.app import create_app
from serve_app.api.services import Services
from serve_app.audio.transcode import transcode
from serve_app.deployments.engine_worker import EngineWorker
from serve_app.domain.protocols import SpeechEngine
from serve_app.domain.types import BackendStatus, Capabilities, PcmChunk, SpeechRequest
from serve_app.library.outputs import OutputLibrary
from serve_app.observability.metrics import Outcome
from serve_app.settings import Settings


class DirectBackend:
    """Speaks on a thread of this process, and counts the streams that are open."""

    def __init__(self, engine: SpeechEngine) -> None:
        self.worker = EngineWorker(engine)
        self.running = 1
        self.open_streams = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.worker.engine.capabilities

    async def status(self) -> BackendStatus:
        return BackendStatus(running=self.running, starting=1 - self.running)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        self.open_streams += 1
        try:
            async with aclosing(self.worker.speak(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.open_streams -= 1


class CountingRecorder:
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.first_audios: list[float] = []
        self.endings: list[tuple[Outcome, float]] = []

    def first_audio(self, seconds: float) -> None:
        self.first_audios.append(seconds)

    def ended(self, outcome: Outcome, audio_seconds: float) -> None:
        self.endings.append((outcome, audio_seconds))


class RunningApi:
    """The API on a port of this machine, and what is behind it."""

    def __init__(
        self, url: str, backend: DirectBackend, outputs: Path, recorder: CountingRecorder
    ) -> None:
        self.url = url
        self.recorder = recorder
        self.backend = backend
        self.outputs = outputs
        self.client = httpx.Client(base_url=url, timeout=30)

    def files(self) -> list[str]:
        """Every file below the outputs folder, hidden ones too."""
        return sorted(str(f.relative_to(self.outputs)) for f in self.outputs.rglob("*.*"))


@contextlib.contextmanager
def running_api(
    engine: SpeechEngine, outputs: Path, settings: Settings | None = None
) -> Iterator[RunningApi]:
    """Serve `engine` over real HTTP until the block is left."""
    settings = settings or Settings()
    backend = DirectBackend(engine)
    library = OutputLibrary(outputs, transcode, settings.limits.output_wait_s)
    recorder = CountingRecorder()
    app = create_app(Services(settings, backend, library, recorder))
    with _listening() as listener, _serving(app, listener) as url:
        api = RunningApi(url, backend, outputs, recorder)
        with api.client:
            yield api
    backend.worker.close()


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@contextlib.contextmanager
def _serving(app: object, listener: socket.socket) -> Iterator[str]:
    config = uvicorn.Config(app, log_level="critical", lifespan="off", proxy_headers=False)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition to become true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.005)
