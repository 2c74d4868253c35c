"""Answers that are read while they arrive, for threads and for asyncio."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

import httpx

from serve_app.client.errors import StreamBroken, UnexpectedAnswer, reason_of
from serve_app.client.events import Done, EventDecoder, SpeechEvent
from serve_app.client.files import Progress, SavedAudio, saving

_EXTENDED_NAME = re.compile(r"filename\*=UTF-8''([^;\s]+)")
_PLAIN_NAME = re.compile(r'filename="([^"]*)"')


class AudioFacts:
    """What the head of an answer says of the audio that follows.

    Attributes:
        format: its name, as in "mp3".
        media_type: the Content-Type, as in "audio/pcm;rate=24000".
        sample_rate: Hz.
        seed: makes the same speech again; None where nothing was drawn, as in a conversion.
        filename: the name under which the server stores it.
        request_id: what the log of the server calls the request.
        ignored: the names of parameters that have no effect.
        alternatives: the paths of the other formats; they are there when the stream has ended.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.media_type = headers.get("content-type", "")
        if "x-sample-rate" not in headers:
            raise UnexpectedAnswer(url, f"{self.media_type or 'nothing'} in place of audio")
        seed = headers.get("x-generation-seed")
        alternatives = _listed(headers.get("x-alternative-formats", ""), "|")
        try:
            self.sample_rate = _positive(headers["x-sample-rate"])
            self.seed = int(seed) if seed else None
            self.alternatives = dict(alternative.split(":", 1) for alternative in alternatives)
        except ValueError as error:
            raise UnexpectedAnswer(url, f"a header cannot be read: {error}") from None
        self.filename = filename_in(headers.get("content-disposition", ""))
        self.format = self.filename.rpartition(".")[2]
        self.request_id = headers.get("x-request-id", "")
        self.ignored = _listed(headers.get("x-ignored-parameters", ""), ",")


class AudioStream(AudioFacts):
    """Audio that arrives while it is being made. Iterate it, once, for its bytes."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(str(response.url), response.headers)
        self._response = response

    def __iter__(self) -> Generator[bytes]:
        """The pieces, as they come.

        Raises:
            StreamBroken: it ended too early.
        """
        with unbroken():
            yield from self._response.iter_bytes()

    def save(self, path: str | os.PathLike[str], progress: Progress | None = None) -> SavedAudio:
        """Write all of it to a file, which has its name only when it is whole.

        Raises:
            StreamBroken: it ended too early.
            OSError: the file cannot be written.
        """
        with saving(path, progress) as file:
            for data in self:
                file.write(data)
            return file.keep()


class AsyncAudioStream(AudioFacts):
    """As `AudioStream`, for asyncio."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(str(response.url), response.headers)
        self._response = response

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """As `AudioStream.__iter__`."""
        with unbroken():
            async for data in self._response.aiter_bytes():
                yield data

    async def save(
        self, path: str | os.PathLike[str], progress: Progress | None = None
    ) -> SavedAudio:
        """As `AudioStream.save`."""
        with saving(path, progress) as file:
            async for data in self:
                file.write(data)
            return file.keep()


class EventStream(AudioFacts):
    """Speech as events, as they arrive. Iterate it, once; the last event is `Done`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(str(response.url), response.headers)
        self._response = response

    def __iter__(self) -> Generator[SpeechEvent]:
        """The events.

        Raises:
            StreamBroken: they ended too early, or the server says that it failed.
        """
        ending = _Ending()
        with unbroken():
            for data in self._response.iter_bytes():
                yield from ending.watched(data)
        ending.check()


class AsyncEventStream(AudioFacts):
    """As `EventStream`, for asyncio."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(str(response.url), response.headers)
        self._response = response

    async def __aiter__(self) -> AsyncGenerator[SpeechEvent]:
        """As `EventStream.__iter__`."""
        ending = _Ending()
        with unbroken():
            async for data in self._response.aiter_bytes():
                for event in ending.watched(data):
                    yield event
        ending.check()


@contextmanager
def unbroken() -> Generator[None]:
    """Reading a body: what breaks it is a `StreamBroken`."""
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise StreamBroken(reason_of(error)) from None


def filename_in(disposition: str) -> str:
    """The name in a Content-Disposition, the extended one before the plain one (RFC 6266)."""
    if extended := _EXTENDED_NAME.search(disposition):
        return unquote(extended[1])
    plain = _PLAIN_NAME.search(disposition)
    return plain[1] if plain else ""


class _Ending:
    """Decodes events, and knows whether the last of them has come."""

    def __init__(self) -> None:
        self._decoder = EventDecoder()
        self._has_come = False

    def watched(self, data: bytes) -> Generator[SpeechEvent]:
        for event in self._decoder.feed(data):
            self._has_come = isinstance(event, Done)
            yield event

    def check(self) -> None:
        if not self._has_come:
            raise StreamBroken("it ended without its last event")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is not positive")
    return number


def _listed(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(separator) if part)
