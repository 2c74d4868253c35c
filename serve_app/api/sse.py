"""Server-sent events that carry a stream: its audio in base64, and what is known of it.

The events and their names are those of the OpenAI speech API, with the words of the native API
between them. One event is one line of JSON: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from serve_app.api.errors import failure_as_openai
from serve_app.api.generation import Generation
from serve_app.domain.errors import SpeechServiceError
from serve_app.domain.types import WordTiming

MEDIA_TYPE = "text/event-stream"

_TOKENS_PER_SECOND = 25
"""Tokens of audio, as usage counts them: one is 40 ms."""


class EventStream:
    """A generation as events. A failure is told in an event, and then breaks the body."""

    def __init__(self, generation: Generation, request_id: str) -> None:
        self._generation = generation
        self._request_id = request_id
        self._told = 0  # words

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Words come before the audio in which they begin."""
        if self._generation.job.words is False:
            yield event("speech.words", words=None)
        try:
            async for data in self._generation:
                for piece in self._news(data):
                    yield piece
        except SpeechServiceError as failure:
            yield event("error", error=failure_as_openai(failure))
            raise
        yield self._done()

    def _news(self, data: bytes) -> Iterable[bytes]:
        if words := self._generation.words[self._told :]:
            self._told += len(words)
            yield event("speech.words", words=words_json(words))
        if data:
            yield event("speech.audio.delta", audio=base64.b64encode(data).decode())

    def _done(self) -> bytes:
        job, seconds = self._generation.job, self._generation.seconds
        text, audio = job.characters, round(seconds * _TOKENS_PER_SECOND)
        return event(
            "speech.audio.done",
            duration_seconds=round(seconds, 4),
            generation_seed_used=job.facts.get("generation_seed_used"),
            request_id=self._request_id,
            usage={"input_tokens": text, "output_tokens": audio, "total_tokens": text + audio},
        )


def event(kind: str, **fields: Any) -> bytes:
    """One event on the wire."""
    data: Mapping[str, Any] = {"type": kind, **fields}
    return f"data: {json.dumps(data)}\n\n".encode()


def words_json(words: Iterable[WordTiming]) -> list[dict[str, Any]]:
    """Words as every part of the API says them; seconds."""
    return [
        {"word": one.word, "start": round(one.start, 3), "end": round(one.end, 3)} for one in words
    ]
