"""The client for asyncio: `client.py` with `async`, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from serve_app.client import calls
from serve_app.client.answers import (
    Acknowledgement,
    Health,
    OutputInfo,
    OutputPage,
    ServerConfig,
    SpokenFiles,
    VoiceAnswer,
    VoiceInfo,
    VoicePage,
)
from serve_app.client.files import Progress, SavedAudio, saving
from serve_app.client.options import (
    ConversionOptions,
    OutputFilters,
    SpeechOptions,
    VoiceDescription,
    VoiceFilters,
)
from serve_app.client.streams import AsyncAudioStream, AsyncEventStream, unbroken
from serve_app.client.transport import AsyncTransport, Server


class AsyncClient:
    """As `Client`, for asyncio.

    Every method raises `CannotBeSent`, `ServerUnreachable`, `RequestRefused`, `UnexpectedAnswer`.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        *,
        api_key: str | None = None,
        timeout: float = 300.0,
        max_wait: float = 5.0,
    ) -> None:
        """`timeout`: seconds without a byte from the server after which it is given up.

        `max_wait`: an overloaded server is asked once more if it says to come back in so many
        seconds; 0 never waits.

        Raises:
            CannotBeSent: the key has characters that cannot be sent, or the URL has a password.
        """
        self._transport = AsyncTransport(Server(url.rstrip("/"), api_key, timeout, max_wait))
        self.voices = AsyncVoices(self._transport)
        self.outputs = AsyncOutputs(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    @asynccontextmanager
    async def stream(
        self,
        text: str,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        **options: Unpack[SpeechOptions],
    ) -> AsyncGenerator[AsyncAudioStream]:
        """Speech that arrives while it is being made; leaving the block early stops the server.

        `format` is what arrives, else the first of `formats`; the other `formats` are stored on the
        server too.
        """
        call = calls.speech(text, calls.streamed_first(format, formats), options)
        async with self._transport.opened(call) as response:
            yield AsyncAudioStream(response)

    async def save(
        self,
        text: str,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[SpeechOptions],
    ) -> SavedAudio:
        """Speech into a file here, in the format that its extension means unless one is given."""
        chosen = format or calls.format_of(Path(path))
        with saving(path, progress) as file:
            async with self.stream(text, format=chosen, **options) as speech:
                async for data in speech:
                    file.write(data)
                return file.keep()

    async def speak(
        self,
        text: str,
        *,
        formats: Sequence[str] | None = None,
        timestamps: bool = False,
        **options: Unpack[SpeechOptions],
    ) -> SpokenFiles:
        """Speech into files on the server; with `timestamps` it says when each word is said."""
        call = calls.speech_files(text, formats, timestamps, options)
        return await self._transport.ask(call, SpokenFiles)

    @asynccontextmanager
    async def events(
        self,
        text: str,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        timestamps: bool = False,
        **options: Unpack[SpeechOptions],
    ) -> AsyncGenerator[AsyncEventStream]:
        """Speech as events: audio, with `timestamps` the words in it, and its end."""
        chosen = calls.streamed_first(format, formats)
        call = calls.speech_events(text, chosen, timestamps, options)
        async with self._transport.opened(call) as response:
            yield AsyncEventStream(response)

    @asynccontextmanager
    async def convert(
        self,
        source: str | Path,
        target: str | Path,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        **options: Unpack[ConversionOptions],
    ) -> AsyncGenerator[AsyncAudioStream]:
        """`source` said again in the voice of `target`.

        Each is a `Path`, a file that is uploaded for this alone, or the name or URL of a recording
        that the server knows. `format` and `formats` are as in `stream`.
        """
        chosen = calls.streamed_first(format, formats)
        async with self._transport.opened(
            calls.conversion(source, target, chosen, options)
        ) as response:
            yield AsyncAudioStream(response)

    async def download(
        self,
        path_or_url: str,
        to: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> SavedAudio:
        """Fetch a stored file, by the path or the URL that the server gave it."""
        with saving(to, progress) as file, unbroken():
            async with self._transport.opened(calls.fetch(path_or_url)) as response:
                async for data in response.aiter_bytes():
                    file.write(data)
                return file.keep()

    async def health(self) -> Health:
        """Whether the server can serve; no error if it cannot."""
        return await self._transport.ask(calls.health(), Health)

    async def config(self) -> ServerConfig:
        """What the server can do."""
        return await self._transport.ask(calls.config(), ServerConfig)


class AsyncVoices:
    """The voices of the library."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, **filters: Unpack[VoiceFilters]) -> AsyncIterator[VoiceInfo]:
        """Those that match, sorted by name; page after page is fetched as they are taken."""
        for number in count(1):
            page = await self._transport.ask(calls.voices_page(number, filters), VoicePage)
            for found in page.voices:
                yield found
            if not page.has_next:
                return

    async def add(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        **description: Unpack[VoiceDescription],
    ) -> VoiceInfo:
        """Upload a recording. Requests name the voice by the `path` of the answer."""
        call = calls.add_voice(Path(path), overwrite, description)
        return (await self._transport.ask(call, VoiceAnswer)).voice

    async def update(self, filename: str, **description: Unpack[VoiceDescription]) -> VoiceInfo:
        """Change what is given; another folder moves the voice there."""
        return (
            await self._transport.ask(calls.update_voice(filename, description), VoiceAnswer)
        ).voice

    async def remove(self, filename: str) -> None:
        """Delete a voice for good."""
        await self._transport.ask(calls.remove_voice(filename), Acknowledgement)


class AsyncOutputs:
    """What the server has made and stored."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, **filters: Unpack[OutputFilters]) -> AsyncIterator[OutputInfo]:
        """Those that match, the newest first; page after page is fetched as they are taken."""
        for number in count(1):
            page = await self._transport.ask(calls.outputs_page(number, filters), OutputPage)
            for found in page.files:
                yield found
            if not page.has_next:
                return
