"""The client for threads."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
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
from serve_app.client.streams import AudioStream, EventStream, unbroken
from serve_app.client.transport import Server, Transport


class Client:
    """A connection to a speech server; several threads may use one.

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
        self._transport = Transport(Server(url.rstrip("/"), api_key, timeout, max_wait))
        self.voices = Voices(self._transport)
        self.outputs = Outputs(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    @contextmanager
    def stream(
        self,
        text: str,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        **options: Unpack[SpeechOptions],
    ) -> Generator[AudioStream]:
        """Speech that arrives while it is being made; leaving the block early stops the server.

        `format` is what arrives, else the first of `formats`; the other `formats` are stored on the
        server too.
        """
        call = calls.speech(text, calls.streamed_first(format, formats), options)
        with self._transport.opened(call) as response:
            yield AudioStream(response)

    def save(
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
        with saving(path, progress) as file, self.stream(text, format=chosen, **options) as speech:
            for data in speech:
                file.write(data)
            return file.keep()

    def speak(
        self,
        text: str,
        *,
        formats: Sequence[str] | None = None,
        timestamps: bool = False,
        **options: Unpack[SpeechOptions],
    ) -> SpokenFiles:
        """Speech into files on the server; with `timestamps` it says when each word is said."""
        call = calls.speech_files(text, formats, timestamps, options)
        return self._transport.ask(call, SpokenFiles)

    @contextmanager
    def events(
        self,
        text: str,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        timestamps: bool = False,
        **options: Unpack[SpeechOptions],
    ) -> Generator[EventStream]:
        """Speech as events: audio, with `timestamps` the words in it, and its end."""
        chosen = calls.streamed_first(format, formats)
        call = calls.speech_events(text, chosen, timestamps, options)
        with self._transport.opened(call) as response:
            yield EventStream(response)

    @contextmanager
    def convert(
        self,
        source: str | Path,
        target: str | Path,
        *,
        format: str | None = None,
        formats: Sequence[str] | None = None,
        **options: Unpack[ConversionOptions],
    ) -> Generator[AudioStream]:
        """`source` said again in the voice of `target`.

        Each is a `Path`, a file that is uploaded for this alone, or the name or URL of a recording
        that the server knows. `format` and `formats` are as in `stream`.
        """
        chosen = calls.streamed_first(format, formats)
        with self._transport.opened(calls.conversion(source, target, chosen, options)) as response:
            yield AudioStream(response)

    def download(
        self,
        path_or_url: str,
        to: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> SavedAudio:
        """Fetch a stored file, by the path or the URL that the server gave it."""
        stored = self._transport.opened(calls.fetch(path_or_url))
        with saving(to, progress) as file, stored as response, unbroken():
            for data in response.iter_bytes():
                file.write(data)
            return file.keep()

    def health(self) -> Health:
        """Whether the server can serve; no error if it cannot."""
        return self._transport.ask(calls.health(), Health)

    def config(self) -> ServerConfig:
        """What the server can do."""
        return self._transport.ask(calls.config(), ServerConfig)


class Voices:
    """The voices of the library."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Unpack[VoiceFilters]) -> Iterator[VoiceInfo]:
        """Those that match, sorted by name; page after page is fetched as they are taken."""
        for number in count(1):
            page = self._transport.ask(calls.voices_page(number, filters), VoicePage)
            yield from page.voices
            if not page.has_next:
                return

    def add(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        **description: Unpack[VoiceDescription],
    ) -> VoiceInfo:
        """Upload a recording. Requests name the voice by the `path` of the answer."""
        call = calls.add_voice(Path(path), overwrite, description)
        return self._transport.ask(call, VoiceAnswer).voice

    def update(self, filename: str, **description: Unpack[VoiceDescription]) -> VoiceInfo:
        """Change what is given; another folder moves the voice there."""
        return self._transport.ask(calls.update_voice(filename, description), VoiceAnswer).voice

    def remove(self, filename: str) -> None:
        """Delete a voice for good."""
        self._transport.ask(calls.remove_voice(filename), Acknowledgement)


class Outputs:
    """What the server has made and stored."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Unpack[OutputFilters]) -> Iterator[OutputInfo]:
        """Those that match, the newest first; page after page is fetched as they are taken."""
        for number in count(1):
            page = self._transport.ask(calls.outputs_page(number, filters), OutputPage)
            yield from page.files
            if not page.has_next:
                return
