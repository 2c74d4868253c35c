"""The two seams of the service: engines below the replica, backends below the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Protocol

from serve_app.domain.types import BackendStatus, Capabilities, PcmChunk, SpeechRequest


class SpeechEngine(Protocol):
    """Text in, PCM out. Plain and blocking: no asyncio, no HTTP, no Ray.

    One thread drives an engine, but it interleaves many `speak` generators, so a generator must
    keep its state to itself.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        """Yield the speech in order. Each step is one bounded piece of work (at most a few tens of
        milliseconds of computing where the model allows it), and the first is the smallest, so that
        a scheduler can serve many listeners by turns. Closing the generator abandons the rest.

        Raises:
            InvalidRequest: the engine cannot pronounce the text.
            GenerationFailed: the model failed.
        """
        ...


class SpeechBackend(Protocol):
    """Where the API sends speech requests; the Ray handle is behind it."""

    @property
    def capabilities(self) -> Capabilities: ...

    def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the speech of `request` in order. Closing the generator cancels the synthesis.

        Raises:
            InvalidRequest, GenerationFailed, Overloaded, ModelNotLoaded
        """
        ...

    async def status(self) -> BackendStatus:
        """The replicas behind this backend."""
        ...
