"""One speech engine at work, in a replica or in a test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from serve_app.deployments.engine_thread import EngineThread
from serve_app.deployments.owed import Owed, expected_seconds
from serve_app.deployments.profiles import VoiceProfiles
from serve_app.deployments.recordings import Recordings
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.protocols import CloningEngine, SpeechEngine, Steps
from serve_app.domain.types import PcmChunk, SpeechRequest


class Speaker:
    """One speech engine, its thread, and the voices that it knows."""

    def __init__(self, engine: SpeechEngine, recordings: Recordings) -> None:
        self._engine = engine
        self._cloner = _cloner(engine, recordings)
        self.thread = EngineThread.of(engine)
        self.owed = Owed()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the speech of `request`; closing the generator frees the engine.

        Raises:
            SpeechServiceError: as `SpeechEngine.speak` does; NotFound if the reference is gone.
        """
        with self.owed.request(expected_seconds(request)) as debt:
            steps = await self._begin(request)
            async with aclosing(self.thread.run(request.request_id, steps)) as chunks:
                async for chunk in chunks:
                    debt.pay(chunk.seconds)
                    yield chunk

    async def _begin(self, request: SpeechRequest) -> Steps:
        if request.reference is None:
            return self._engine.speak(request)
        if self._cloner is None:
            raise InvalidRequest("The speech engine does not speak in the voice of a recording.")
        engine, voices = self._cloner
        return engine.speak_as(request, await voices.of(request.reference))


def _cloner(
    engine: SpeechEngine, recordings: Recordings
) -> tuple[CloningEngine[Any], VoiceProfiles[Any]] | None:
    """The engine as one that speaks in the voice of a recording, and the voices that it knows."""
    capabilities = engine.capabilities
    if capabilities.reference is None:
        return None
    cloning = cast(CloningEngine[Any], engine)
    return cloning, VoiceProfiles(cloning, capabilities.name, capabilities.reference, recordings)
