"""What an engine knows of each voice, found out once.

A profile is kept in memory by the content of the recording, and that of a voice also in the store,
so that a new replica does not pay again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, TypeVar

import numpy as np

from serve_app.audio.wav import pcm_bytes
from serve_app.deployments.recordings import Recordings
from serve_app.domain.errors import NotFound, VoiceNotFound
from serve_app.domain.protocols import ConversionEngine, SpeechBackend, VoiceLearner
from serve_app.domain.types import (
    Listening,
    PcmChunk,
    Samples,
    Shelf,
    SpeechRequest,
    StoredAudio,
)

Profile = TypeVar("Profile")
_REMEMBERED = 512
"""Profiles in memory; one is a few kilobytes."""

_PASSAGE = (
    "The north wind and the sun were disputing which was the stronger.",
    "A traveler came along, wrapped in a warm cloak, and they agreed to try him.",
    "Did the wind blow as hard as it could? Yes, but the man held on to his cloak!",
    "Then the sun shone out warmly, and at once he took it off.",
)
"""What a built-in voice is asked to say, so that it can be known before it speaks."""


class _Once(Generic[Profile]):
    """Profiles in memory: one search for each key at a time, whoever of those that wait leaves."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, asyncio.Task[Profile]] = OrderedDict()

    async def get(self, key: str, find: Callable[[], Coroutine[Any, Any, Profile]]) -> Profile:
        task = self._known.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._known[key] = asyncio.create_task(find())
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return await asyncio.shield(task)


class VoiceProfiles(Generic[Profile]):
    """What one engine knows of the voices in the library."""

    def __init__(
        self,
        engine: VoiceLearner[Profile],
        name: str,
        listening: Listening,
        recordings: Recordings,
    ) -> None:
        self._engine = engine
        self._name = name
        self._listening = listening
        self._recordings = recordings
        self._once: _Once[Profile] = _Once()

    async def of(self, audio: StoredAudio) -> Profile:
        """The profile of a voice to speak in.

        Raises:
            InvalidRequest: there is no voice in the recording.
            NotFound: the recording is gone.
        """
        return await self._once.get(audio.digest, lambda: self._find(audio))

    async def _find(self, audio: StoredAudio) -> Profile:
        name = f"{audio.digest}.{self._name}"
        with contextlib.suppress(NotFound, ValueError):  # new, or of another version
            return self._engine.load(await self._recordings.read_note(audio.shelf, name))
        samples = await self._recordings.listen(audio, self._listening)
        if audio.seconds <= self._listening.seconds and digest_of(samples) != audio.digest:
            raise VoiceNotFound("The voice was replaced just now.", "Ask again.")
        profile = await asyncio.to_thread(self._engine.analyse, samples)
        if audio.shelf is Shelf.VOICES:  # others came with a request, and are not kept
            await self._recordings.write_note(audio.shelf, name, self._engine.dump(profile))
        return profile


class SourceProfiles(Generic[Profile]):
    """What a conversion engine knows of those who speak in its sources."""

    def __init__(
        self, engine: ConversionEngine[Profile], recordings: Recordings, speech: SpeechBackend
    ) -> None:
        self._engine = engine
        self._listening = Listening(engine.capabilities.source_seconds, spread=True)
        self._recordings = recordings
        self._speech = speech
        self._once: _Once[Profile] = _Once()

    async def of(self, source: StoredAudio | SpeechRequest) -> Profile | None:
        """The profile of who speaks in the source, or None where the engine does not ask for it."""
        if not self._listening.seconds:
            return None
        if isinstance(source, SpeechRequest):
            voice = source.voice or self._speech.capabilities.voices[0]
            return await self._once.get(f"speaker {voice}", lambda: self._speaker(source))
        return await self._once.get(source.digest, lambda: self._recorded(source))

    async def _recorded(self, source: StoredAudio) -> Profile:
        samples = await self._recordings.listen(source, self._listening)
        return await asyncio.to_thread(self._engine.analyse, samples)

    async def _speaker(self, request: SpeechRequest) -> Profile:
        calibration = SpeechRequest(
            _PASSAGE, seed=1, voice=request.voice, request_id=request.request_id
        )
        heard = await _collect(self._speech.speak(calibration), self._listening.seconds)
        return await asyncio.to_thread(self._engine.analyse, heard)


def digest_of(samples: Samples) -> str:
    """As the library knows a recording."""
    return hashlib.sha256(pcm_bytes(samples)).hexdigest()


async def _collect(chunks: AsyncGenerator[PcmChunk, None], seconds: float) -> Samples:
    """The first `seconds` of a stream, [n]."""
    pieces: list[Samples] = []
    heard = 0.0
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            pieces.append(chunk.samples)
            heard += chunk.seconds
            if heard >= seconds:
                break
    return np.concatenate(pieces)
