"""Which audio a request means: a name in the library, a URL, or a file that came with it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile

from serve_app.api.intake import Intake, PlainAudio
from serve_app.audio.decode import Bounds
from serve_app.domain.errors import InvalidRequest, NotFound, VoiceNotFound
from serve_app.domain.types import Shelf, StoredAudio, VoiceShape
from serve_app.library.entries import Entry, Filter, PageRequest
from serve_app.library.library import Library
from serve_app.library.shelf import FileShelf
from serve_app.presets import Preset


async def _keep() -> None:
    """The audio belongs to the library."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio that a request may read, and how to remove it afterwards if nobody else needs it."""

    audio: StoredAudio
    name: str  # as a person would call it
    entry: Entry | None = None  # of the library, if it is kept there
    tidy_up: Callable[[], Awaitable[None]] = _keep


@dataclass(frozen=True, slots=True)
class Voice:
    """The voice a request wants: one of the engine's, that in another shape, or a recording's."""

    built_in: str | None = None  # None is the engine's default
    reference: Recording | None = None
    shape: VoiceShape | None = None

    @property
    def recording(self) -> StoredAudio | None:
        """What it sounds like, where the engine does not know by itself."""
        return self.reference.audio if self.reference else None

    @property
    def path(self) -> str:
        """Its place in the library, "" where it has none."""
        return self.reference.entry.path if self.reference and self.reference.entry else ""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The parameters that come with it."""
        if self.reference is None or self.reference.entry is None:
            return {}
        return self.reference.entry.description.default_parameters

    async def tidy_up(self) -> None:
        """Remove what was fetched for this request alone."""
        if self.reference is not None:
            await self.reference.tidy_up()


class Sources:
    """Finds the audio behind names and URLs."""

    def __init__(self, library: Library, intake: Intake, presets: Mapping[str, Preset]) -> None:
        self._library = library
        self._intake = intake
        self._presets = presets

    async def voice(self, name: str | None, built_in: Sequence[str]) -> Voice:
        """The voice called `name`: of the library, else of the engine, else a preset.

        Raises:
            VoiceNotFound, UrlNotAllowed, DownloadFailed, InvalidAudio, FileTooLarge
        """
        if not name:
            return Voice()
        found = await self._plain_voice(name, built_in)
        if found is None and (preset := self._presets.get(name)):
            if preset.voice is None:
                return Voice(shape=preset.shape)
            found = await self._plain_voice(preset.voice, built_in)
        if found is None:
            known = ", ".join(dict.fromkeys((*built_in, *self._presets)))
            raise VoiceNotFound(
                f"There is no voice called {name!r}.",
                f"There are {known}; GET /api/v1/voices lists the uploaded ones.",
            )
        return found

    async def _plain_voice(self, name: str, built_in: Sequence[str]) -> Voice | None:
        is_reserved = name in built_in or name in self._presets
        if is_reserved and not await self._library.voices.knows(name):  # what most requests name
            return Voice(built_in=name) if name in built_in else None
        try:
            return Voice(reference=await self.target(name))
        except VoiceNotFound:
            return Voice(built_in=name) if name in built_in else None

    async def target(self, name: str) -> Recording:
        """A voice of the library, or from a URL.

        Raises:
            VoiceNotFound, UrlNotAllowed, DownloadFailed, InvalidAudio, FileTooLarge
        """
        return await self._find(name, self._library.voices, self._intake.voice_bounds())

    async def recording(self, name: str) -> Recording:
        """An input of conversion, or one from a URL.

        Raises:
            NotFound, UrlNotAllowed, DownloadFailed, InvalidAudio, FileTooLarge
        """
        return await self._find(name, self._library.vc_inputs, self._intake.input_bounds())

    async def uploaded_target(self, upload: UploadFile) -> Recording:
        """A voice that came with the request and is not kept."""
        return await self._uploaded(upload, self._intake.voice_bounds())

    async def uploaded_recording(self, upload: UploadFile) -> Recording:
        """An input that came with the request and is not kept."""
        return await self._uploaded(upload, self._intake.input_bounds())

    async def count(self, *used: Voice | Recording) -> None:
        """Count one use of each that is in the library."""
        for voice in used:
            recording = voice.reference if isinstance(voice, Voice) else voice
            if recording is not None and recording.entry is not None:
                await self._shelf_of(recording.entry).use(recording.entry.path)

    def _shelf_of(self, entry: Entry) -> FileShelf:
        return self._library.voices if entry.shelf is Shelf.VOICES else self._library.vc_inputs

    async def _find(self, name: str, shelf: FileShelf, bounds: Bounds) -> Recording:
        if is_url(name):
            plain = self._intake.download(name, bounds, self._library.vc_inputs.scratch)
            return await self._for_one_request(plain, without_query(name).rsplit("/", 1)[-1])
        entry = await _named(shelf, name)
        return Recording(await shelf.audio(entry), entry.filename, entry)

    async def _uploaded(self, upload: UploadFile, bounds: Bounds) -> Recording:
        plain = self._intake.upload(upload, bounds, self._library.vc_inputs.scratch)
        return await self._for_one_request(plain, upload.filename or "upload")

    async def _for_one_request(
        self, plain: AbstractAsyncContextManager[PlainAudio], name: str
    ) -> Recording:
        """Put it where replicas can read it, under a hidden name."""
        blobs = self._library.vc_inputs.blobs
        key = f".derived/{uuid.uuid4().hex}.wav"
        async with plain as audio:
            await blobs.put_file(key, audio.file)
            stored = StoredAudio(Shelf.VC_INPUTS, key, audio.facts.digest, audio.facts.seconds)

        async def remove() -> None:
            await blobs.delete([key])

        return Recording(stored, name, tidy_up=remove)


def is_url(name: str) -> bool:
    """Does it name a file on another server?"""
    return "://" in name


def without_query(name: str) -> str:
    """A name as it may be shown: what follows "?" in a URL may be a signature or a password."""
    return re.split("[?#]", name, maxsplit=1)[0] if is_url(name) else name


async def _named(shelf: FileShelf, name: str) -> Entry:
    """By its path, or else by what people call it."""
    try:
        return await shelf.find(name)
    except NotFound:
        page = await shelf.page(Filter(names=(name,)), PageRequest(page_size=100))
        called = [entry for entry in page.entries if entry.description.name == name]
        if len(called) > 1:
            paths = ", ".join(entry.path for entry in called)
            raise InvalidRequest(f"{name!r} is the name of several files: {paths}.") from None
        if not called:
            raise
        return called[0]
