"""The API without Ray: backends that drive engines in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from serve_app.api.app import create_app
from serve_app.api.opening import open_services
from serve_app.deployments.converter import Converter
from serve_app.deployments.recordings import Recordings
from serve_app.deployments.speaker import Speaker
from serve_app.domain.protocols import ConversionEngine, SpeechEngine
from serve_app.domain.types import (
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
    ConversionRequest,
    PcmChunk,
    SpeechRequest,
)
from serve_app.engines.fake_conversion import FakeConversionEngine
from serve_app.observability.metrics import Outcome
from serve_app.settings import Settings


class DirectBackend:
    """Speaks on a thread of this process, and counts the streams that are open."""

    def __init__(self, engine: SpeechEngine, settings: Settings) -> None:
        self.engine = engine
        self.speaker = Speaker(engine, Recordings.open(settings.storage))
        self.running = 1
        self.open_streams = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.engine.capabilities

    async def status(self) -> BackendStatus:
        return BackendStatus(running=self.running, starting=1 - self.running)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        self.open_streams += 1
        try:
            async with aclosing(self.speaker.speak(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.open_streams -= 1


class DirectConversion:
    """Converts on a thread of this process, and counts the streams that are open."""

    def __init__(
        self, engine: ConversionEngine[Any], settings: Settings, speech: DirectBackend
    ) -> None:
        self.converter = Converter(engine, Recordings.open(settings.storage), speech)
        self.capabilities: ConversionCapabilities = engine.capabilities
        self.running = 1
        self.open_streams = 0

    async def status(self) -> BackendStatus:
        return BackendStatus(running=self.running, starting=1 - self.running)

    async def convert(self, request: ConversionRequest) -> AsyncGenerator[PcmChunk, None]:
        self.open_streams += 1
        try:
            async with aclosing(self.converter.convert(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.open_streams -= 1


class CountingRecorder:
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.first_audios: list[tuple[str, float]] = []
        self.endings: list[tuple[str, Outcome, float]] = []

    def first_audio(self, kind: str, seconds: float) -> None:
        self.first_audios.append((kind, seconds))

    def ended(self, kind: str, outcome: Outcome, audio_seconds: float) -> None:
        self.endings.append((kind, outcome, audio_seconds))


class RunningApi:
    """The API on a port of this machine, and what is behind it."""

    def __init__(
        self,
        url: str,
        backend: DirectBackend,
        conversion: DirectConversion,
        folder: Path,
        recorder: CountingRecorder,
    ) -> None:
        self.url = url
        self.recorder = recorder
        self.backend = backend
        self.conversion = conversion
        self.outputs = folder / "outputs"
        self.voices = folder / "reference_audio"
        self.vc_inputs = folder / "vc_inputs"
        self.client = httpx.Client(base_url=url, timeout=30)

    def files(self) -> list[str]:
        """Every file below the outputs folder, hidden ones too."""
        return files_below(self.outputs)


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def settings_in(folder: Path, **sections: Any) -> Settings:
    """Settings whose files lie below `folder`."""
    storage = {
        "voices": str(folder / "reference_audio"),
        "vc_inputs": str(folder / "vc_inputs"),
        "outputs": str(folder / "outputs"),
        "database_url": f"sqlite:///{folder / 'serve_app.sqlite3'}",
        "scan_interval_s": 0.2,
        **sections.pop("storage", {}),
    }
    return Settings(storage=storage, **sections)  # pyright: ignore[reportArgumentType]


@contextlib.contextmanager
def running_api(
    engine: SpeechEngine,
    folder: Path,
    settings: Settings | None = None,
    conversion: ConversionEngine[Any] | None = None,
) -> Iterator[RunningApi]:
    """Serve the engines over real HTTP until the block is left; files lie below `folder`."""
    settings = settings or settings_in(folder)
    speech = DirectBackend(engine, settings)
    converting = DirectConversion(conversion or FakeConversionEngine(), settings, speech)
    recorder = CountingRecorder()
    app = create_app(settings, lambda: open_services(settings, speech, converting, recorder))
    with _listening() as listener, _serving(app, listener) as url:
        api = RunningApi(url, speech, converting, folder, recorder)
        with api.client:
            yield api
    speech.speaker.thread.close()
    converting.converter.thread.close()


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


@contextlib.contextmanager
def _serving(app: object, listener: socket.socket) -> Iterator[str]:
    config = uvicorn.Config(app, log_level="critical", lifespan="on", proxy_headers=False)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    assert server.started, "the API did not start"
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
