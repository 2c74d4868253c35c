"""Files from outside, made into the library's form before anything else looks at them.

An upload or a download is copied to a scratch file with its limit enforced while it is read, then
decoded within bounds and written anew: nothing of the sender's bytes is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import UploadFile

from serve_app.api.audio_tools import audio_facts, bounds
from serve_app.audio.decode import Bounds, normalise
from serve_app.domain.errors import FileTooLarge, SpeechServiceError
from serve_app.library.download import Downloader
from serve_app.library.entries import AudioFacts
from serve_app.settings import LimitSettings

InThread = Callable[[Callable[[], AudioFacts]], Awaitable[AudioFacts]]
Fill = Callable[[Path], Awaitable[None]]
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PlainAudio:
    """A decoded file in the library's form, at a scratch path."""

    file: Path
    facts: AudioFacts


class Intake:
    """Turns what strangers send into plain audio."""

    def __init__(self, limits: LimitSettings, downloader: Downloader, in_thread: InThread) -> None:
        self._limits = limits
        self._downloader = downloader
        self._in_thread = in_thread

    def voice_bounds(self) -> Bounds:
        """What a voice may be."""
        return bounds(self._limits, self._limits.max_voice_seconds)

    def input_bounds(self) -> Bounds:
        """What an input of conversion may be."""
        return bounds(self._limits, self._limits.max_input_seconds)

    @asynccontextmanager
    async def upload(
        self, upload: UploadFile, bounds: Bounds, scratch: Callable[[], Path]
    ) -> AsyncGenerator[PlainAudio]:
        """An uploaded file as plain audio; its scratch file is gone after the block.

        Raises:
            FileTooLarge, InvalidAudio
        """

        async def fill(path: Path) -> None:
            await self._save(upload, path)

        async with self._plain(fill, bounds, scratch, upload.filename or "The file") as plain:
            yield plain

    @asynccontextmanager
    async def download(
        self, url: str, bounds: Bounds, scratch: Callable[[], Path]
    ) -> AsyncGenerator[PlainAudio]:
        """A file from another server as plain audio.

        Raises:
            UrlNotAllowed, DownloadFailed, FileTooLarge, InvalidAudio
        """

        async def fill(path: Path) -> None:
            await self._downloader.fetch(url, path)

        async with self._plain(fill, bounds, scratch, "The file of the URL") as plain:
            yield plain

    @asynccontextmanager
    async def _plain(
        self, fill: Fill, bounds: Bounds, scratch: Callable[[], Path], what: str
    ) -> AsyncGenerator[PlainAudio]:
        with contextlib.ExitStack() as files:
            raw, plain = scratch(), scratch()
            for path in (raw, plain):
                files.callback(path.unlink, missing_ok=True)
            await fill(raw)
            facts = await self._in_thread(lambda: _normalised(raw, plain, bounds, what))
            raw.unlink()
            yield PlainAudio(plain, facts)

    async def _save(self, upload: UploadFile, path: Path) -> None:
        """Copy an upload piece by piece; starlette has spooled it to disk while it came in."""
        await upload.seek(0)  # a file may be a part of the result more than once
        size = 0
        with path.open("wb") as target:
            while piece := await upload.read(CHUNK_BYTES):
                size += len(piece)
                if size > self._limits.max_upload_bytes:
                    raise FileTooLarge(
                        f"The file is larger than {self._limits.max_upload_bytes} bytes.",
                        "Send a shorter recording, or one in a compressed format.",
                    )
                target.write(piece)


def _normalised(raw: Path, plain: Path, bounds: Bounds, what: str) -> AudioFacts:
    try:
        return audio_facts(normalise(raw, plain, bounds))
    except SpeechServiceError as error:
        raise type(error)(f"{what[:100]}: {error.message}", error.detail) from error
