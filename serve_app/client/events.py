"""Speech as server-sent events: audio, words and the end, each a line of JSON."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from serve_app.client.answers import Word
from serve_app.client.errors import StreamBroken

_DATA = b"data:"


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """The next bytes of the one container."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """Words whose audio comes next or soon; None, once, if the engine cannot tell."""

    words: tuple[Word, ...] | None


@dataclass(frozen=True, slots=True)
class Done:
    """The speech is whole."""

    duration_seconds: float
    seed: int
    request_id: str


SpeechEvent = AudioDelta | Words | Done


class EventDecoder:
    """Bytes in pieces of any size -> events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[SpeechEvent]:
        """The events that are complete with `data`; those of an unknown type are left out.

        Raises:
            StreamBroken: the server says that it failed, or what it says is no event.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(_DATA) and (event := _event_of(line.removeprefix(_DATA))):
                yield event


def _event_of(text: bytes) -> SpeechEvent | None:
    try:
        return _read(from_json(text))
    except (KeyError, TypeError, ValueError) as error:
        raise StreamBroken(f"an event cannot be read ({error})") from None


def _read(told: Any) -> SpeechEvent | None:
    match told["type"]:
        case "speech.audio.delta":
            return AudioDelta(b64decode(told["audio"]))
        case "speech.words":
            return Words(_words(told["words"]))
        case "speech.audio.done":
            seed, request_id = told["generation_seed_used"], told["request_id"]
            return Done(float(told["duration_seconds"]), int(seed), request_id)
        case "error":
            raise StreamBroken(told["error"]["message"])
        case _:
            return None


def _words(told: Any) -> tuple[Word, ...] | None:
    return None if told is None else tuple(map(Word.model_validate, told))
