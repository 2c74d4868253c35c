"""The conversion deployment: a replica holds one engine and gives speech another voice."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.deployments.autoscaling import stats_of
from serve_app.deployments.backends import HandleSpeechBackend
from serve_app.deployments.converter import Converter
from serve_app.deployments.loopback import keep_replica_ports_on_loopback
from serve_app.deployments.metrics import report_load
from serve_app.deployments.recordings import Recordings
from serve_app.domain.types import ConversionRequest, PcmChunk
from serve_app.engines.registry import create_conversion_engine, speech_capabilities
from serve_app.settings import Settings


@serve.deployment(name="Conversion")
class ConversionDeployment:
    """Converts `ConversionRequest`s. `user_config` replaces engine options without a restart."""

    def __init__(self, settings: Settings, speech: DeploymentHandle[Any]) -> None:
        keep_replica_ports_on_loopback()
        self._settings = settings
        self._recordings = Recordings.open(settings.storage)
        self._speech = HandleSpeechBackend(
            speech, speech_capabilities(settings.engine.name), settings.limits
        )
        self._load(settings.conversion.options)
        self._reporting = asyncio.ensure_future(
            report_load("vc", lambda: self._converter.thread.load)
        )

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Load the engine anew when a config deploy changes its options."""
        options = {**self._settings.conversion.options, **user_config}
        if options != self._options:
            replaced = self._converter
            self._load(options)
            replaced.thread.close()

    async def convert(self, request: ConversionRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the conversion of one request; cancelling it frees the engine within one step."""
        async with aclosing(self._converter.convert(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def check_health(self) -> None:
        """Called by Serve; raising has this replica replaced."""
        self._converter.thread.check_health(self._settings.conversion.stall_timeout_s)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Called by Serve; what `OwedAudioPolicy` is told."""
        return stats_of(self._converter.owed)

    def _load(self, options: dict[str, Any]) -> None:
        self._options = options
        engine = create_conversion_engine(self._settings.conversion.name, options)
        self._converter = Converter(engine, self._recordings, self._speech)
        self._warming_up = asyncio.ensure_future(self._converter.warm_up())
