"""One conversion engine at work, in a replica or in a test.

The source is a recording in the store, or what the Speech deployment is just saying: then this
process listens to that one's stream, and its own listeners hear the first words while the rest is
still being spoken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any

from serve_app.deployments.engine_thread import EngineThread
from serve_app.deployments.owed import Owed, expected_seconds
from serve_app.deployments.profiles import SourceProfiles, VoiceProfiles
from serve_app.deployments.recordings import Recordings
from serve_app.domain.errors import InvalidRequest, SpeechServiceError
from serve_app.domain.protocols import Conversion, ConversionEngine, SpeechBackend, Steps
from serve_app.domain.types import (
    Capabilities,
    ConversionCapabilities,
    ConversionRequest,
    PcmChunk,
    Samples,
    SpeechRequest,
    StoredAudio,
    VoiceShape,
    WordTiming,
)


class Converter:
    """One conversion engine, its thread, and what it knows of voices."""

    def __init__(
        self, engine: ConversionEngine[Any], recordings: Recordings, speech: SpeechBackend
    ) -> None:
        _check_rates(engine.capabilities, speech.capabilities)
        self._engine = engine
        self._recordings = recordings
        self._speech = speech
        capabilities = engine.capabilities
        self._voices = VoiceProfiles(engine, capabilities.name, capabilities.target, recordings)
        self._sources = SourceProfiles(engine, recordings, speech)
        self.thread = EngineThread.of(engine)
        self.owed = Owed()

    async def warm_up(self) -> None:
        """Get to know the default voice of the speech engine before somebody waits for it."""
        with contextlib.suppress(SpeechServiceError):  # then the first request asks again
            await self._sources.of(SpeechRequest(chunks=(), seed=1))

    async def convert(self, request: ConversionRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the conversion of `request`; closing the generator frees the engine."""
        with (
            self.owed.request(expected_seconds(request.source)) as debt,
            closing(self.thread.listener(request.request_id)) as listener,
        ):
            conversion = await self._begin(request)
            words: list[WordTiming] = []
            async with aclosing(self._steps(request.source, conversion, words)) as pieces:
                async for steps in pieces:
                    async with aclosing(listener.run(steps)) as chunks:
                        async for chunk in chunks:
                            debt.pay(chunk.seconds)
                            yield replace(chunk, words=_taken(words))

    async def _begin(self, request: ConversionRequest) -> Conversion:
        source, target = await asyncio.gather(
            self._sources.of(request.source), self._target(request.target)
        )
        joining = replace(request.joining, is_live=isinstance(request.source, SpeechRequest))
        return self._engine.convert(source, target, joining)

    async def _target(self, target: StoredAudio | VoiceShape) -> Any:
        if isinstance(target, StoredAudio):
            return await self._voices.of(target)
        if not self._engine.capabilities.shapes:
            raise InvalidRequest("The conversion engine makes no voices of a shape.")
        return target

    async def _steps(
        self,
        source: StoredAudio | SpeechRequest,
        conversion: Conversion,
        words: list[WordTiming],
    ) -> AsyncGenerator[Steps, None]:
        """What the engine has to do, as the source comes in; nothing is read ahead of it.

        The words of the source are put into `words`: a conversion is as long as its source.
        """
        async with aclosing(self._samples(source, words)) as pieces:
            async for samples in pieces:
                yield conversion.push(samples)
        yield conversion.finish()

    async def _samples(
        self, source: StoredAudio | SpeechRequest, words: list[WordTiming]
    ) -> AsyncGenerator[Samples, None]:
        if isinstance(source, StoredAudio):
            async with aclosing(self._recordings.stream(source)) as pieces:
                async for samples in pieces:
                    yield samples
            return
        async with aclosing(self._speech.speak(source)) as chunks:
            async for chunk in chunks:
                words += chunk.words
                yield chunk.samples


def _taken(words: list[WordTiming]) -> tuple[WordTiming, ...]:
    taken = tuple(words)
    words.clear()
    return taken


def _check_rates(conversion: ConversionCapabilities, speech: Capabilities) -> None:
    if conversion.sample_rate != speech.sample_rate:
        raise ValueError(
            f"{speech.name} speaks at {speech.sample_rate} Hz, but {conversion.name} converts at "
            f"{conversion.sample_rate} Hz: choose engines of one rate."
        )
