"""What an engine knows of each voice, found out once.

A profile is kept in memory by the content of the recording, and that of a target also in the store,
so that a new replica does not pay again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

import numpy as np

from serve_app.audio.wav import pcm_bytes
from serve_app.deployments.recordings import Recordings
from serve_app.domain.errors import NotFound, VoiceNotFound
from serve_app.domain.protocols import ConversionEngine, SpeechBackend
from serve_app.domain.types import PcmChunk, Samples, Shelf, SpeechRequest, StoredAudio

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


class VoiceProfiles(Generic[Profile]):
    """The profiles of one conversion engine."""

    def __init__(
        self, engine: ConversionEngine[Profile], recordings: Recordings, speech: SpeechBackend
    ) -> None:
        self._engine = engine
        self._recordings = recordings
        self._speech = speech
        self._known: OrderedDict[str, asyncio.Task[Profile]] = OrderedDict()

    async def of_target(self, audio: StoredAudio) -> Profile:
        """The profile of a voice to speak in.

        Raises:
            InvalidRequest: there is no voice in the recording.
            NotFound: the recording is gone.
        """
        return await self._once(f"target {audio.digest}", lambda: self._target(audio))

    async def of_source(self, source: StoredAudio | SpeechRequest) -> Profile | None:
        """The profile of who speaks in the source, or None where the engine does not ask for it."""
        if not self._engine.capabilities.source_seconds:
            return None
        if isinstance(source, SpeechRequest):
            voice = source.voice or self._speech.capabilities.voices[0]
            return await self._once(f"speaker {voice}", lambda: self._speaker(source))
        return await self._once(f"source {source.digest}", lambda: self._recorded(source))

    async def _once(self, key: str, find: Callable[[], Awaitable[Profile]]) -> Profile:
        """One search for each key at a time, whoever of those that wait for it leaves."""
        task = self._known.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._known[key] = asyncio.ensure_future(find())  # type: ignore[arg-type]
        self._known.move_to_end(key)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return await asyncio.shield(task)

    async def _target(self, audio: StoredAudio) -> Profile:
        name = f"{audio.digest}.{self._engine.capabilities.name}"
        with contextlib.suppress(NotFound, ValueError):  # new, or of another version
            return self._engine.load(await self._recordings.read_note(audio.shelf, name))
        seconds = self._engine.capabilities.target_seconds
        samples = await self._recordings.sample(audio, seconds)
        if audio.seconds <= seconds and digest_of(samples) != audio.digest:
            raise VoiceNotFound("The voice was replaced just now.", "Ask again.")
        profile = await self._analyse(samples)
        if audio.shelf is Shelf.VOICES:  # others came with a request, and are not kept
            await self._recordings.write_note(audio.shelf, name, self._engine.dump(profile))
        return profile

    async def _recorded(self, source: StoredAudio) -> Profile:
        seconds = self._engine.capabilities.source_seconds
        return await self._analyse(await self._recordings.sample(source, seconds))

    async def _speaker(self, request: SpeechRequest) -> Profile:
        calibration = SpeechRequest(
            _PASSAGE, seed=1, voice=request.voice, request_id=request.request_id
        )
        heard = await _collect(
            self._speech.speak(calibration), self._engine.capabilities.source_seconds
        )
        return await self._analyse(heard)

    async def _analyse(self, samples: Samples) -> Profile:
        return await asyncio.to_thread(self._engine.analyse, samples)


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
