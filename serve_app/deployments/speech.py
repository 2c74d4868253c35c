"""The TTS deployment: a replica holds one engine and streams what it says."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray import serve

from serve_app.deployments.autoscaling import stats_of
from serve_app.deployments.loopback import keep_replica_ports_on_loopback
from serve_app.deployments.metrics import report_load
from serve_app.deployments.recordings import Recordings
from serve_app.deployments.speaker import Speaker
from serve_app.domain.types import PcmChunk, SpeechRequest
from serve_app.engines.registry import create_speech_engine
from serve_app.settings import Settings


@serve.deployment(name="Speech")
class SpeechDeployment:
    """Speaks `SpeechRequest`s. `user_config` replaces engine options without a restart."""

    def __init__(self, settings: Settings) -> None:
        keep_replica_ports_on_loopback()
        self._settings = settings.engine
        self._recordings = Recordings.open(settings.storage)
        self._load(settings.engine.options)
        self._reporting = asyncio.ensure_future(
            report_load("tts", lambda: self._speaker.thread.load)
        )

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load the engine anew when a config deploy changes its options."""
        options = {**self._settings.options, **user_config}
        if options != self._options:
            replaced = self._speaker
            self._load(options)
            replaced.thread.close()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the speech of one request; cancelling it frees the engine within one step."""
        async with aclosing(self._speaker.speak(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def check_health(self) -> None:
        """Called by Serve; raising has this replica replaced."""
        self._speaker.thread.check_health(self._settings.stall_timeout_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve; what `OwedAudioPolicy` is told."""
        return stats_of(self._speaker.owed)

    def _load(self, options: dict[str, Any]) -> None:
        self._options = options
        engine = create_speech_engine(self._settings.name, options)
        self._speaker = Speaker(engine, self._recordings)
