"""Each request to the server, built without sending it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from serve_app.client.errors import CannotBeSent
from serve_app.client.options import (
    ConversionOptions,
    OutputFilters,
    SpeechOptions,
    VoiceDescription,
    VoiceFilters,
)

_WIRE_NAMES = {
    "voice": "reference_audio_filename",
    "speed": "speed_factor",
    "sound_words": "sound_words_field",
}
_FORMAT_OF_EXTENSION = {"ogg": "opus"}
_LARGEST_PAGE = "100"

Formats = Sequence[str] | None
"""Names of audio formats; None is the server's default."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: where, and what is sent."""

    method: str
    path: str  # or a URL
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    uploads: Mapping[str, Path] = field(default_factory=dict[str, Path])
    answers: frozenset[int] = frozenset({200})  # statuses that are no errors


def health() -> Call:
    """GET /api/v1/health, which is 503 while nothing can speak."""
    return Call("GET", "/api/v1/health", answers=frozenset({200, 503}))


def config() -> Call:
    """GET /api/v1/config."""
    return Call("GET", "/api/v1/config")


def fetch(path_or_url: str) -> Call:
    """GET of a stored file."""
    return Call("GET", path_or_url)


def speech(text: str, formats: Formats, options: SpeechOptions) -> Call:
    """POST /api/v1/tts that streams the first of the formats."""
    return Call("POST", "/api/v1/tts", json=_speech_body(text, formats, options))


def speech_files(text: str, formats: Formats, timestamps: bool, options: SpeechOptions) -> Call:
    """POST /api/v1/tts that answers with files."""
    body = _speech_body(text, formats, options) | _timestamps(timestamps)
    return Call("POST", "/api/v1/tts", {"response_mode": "url"}, json=body)


def speech_events(text: str, formats: Formats, timestamps: bool, options: SpeechOptions) -> Call:
    """POST /api/v1/tts that answers with server-sent events."""
    body = _speech_body(text, formats, options) | _timestamps(timestamps)
    return Call("POST", "/api/v1/tts", json={**body, "stream_format": "sse"})


def conversion(
    source: str | Path, target: str | Path, formats: Formats, options: ConversionOptions
) -> Call:
    """POST /api/v1/vc: JSON where the server knows both recordings, else a form with files."""
    uploads, names = _uploads_and_names(source, target)
    fields = given({**options, **names})
    if not uploads:
        return Call("POST", "/api/v1/vc", json={**fields, **_export(formats)})
    listed = {"export_formats": ",".join(formats)} if formats else {}
    texts = {name: _form_text(value) for name, value in fields.items()}
    return Call("POST", "/api/v1/vc", form={**texts, **listed}, uploads=uploads)


def voices_page(number: int, filters: VoiceFilters) -> Call:
    """GET /api/v1/voices."""
    return _page("/api/v1/voices", number, filters)


def add_voice(path: Path, overwrite: bool, description: VoiceDescription) -> Call:
    """POST /api/v1/voice."""
    metadata = json.dumps({**given(description), "overwrite": overwrite})
    uploads = {"voice_file": path}
    return Call("POST", "/api/v1/voice", form={"metadata": metadata}, uploads=uploads)


def update_voice(filename: str, description: VoiceDescription) -> Call:
    """PUT /api/v1/voice/{filename}/metadata."""
    return Call("PUT", f"{_voice_path(filename)}/metadata", json=given(description))


def remove_voice(filename: str) -> Call:
    """DELETE /api/v1/voice/{filename}."""
    return Call("DELETE", _voice_path(filename), {"confirm": "true"})


def outputs_page(number: int, filters: OutputFilters) -> Call:
    """GET /api/v1/outputs."""
    return _page("/api/v1/outputs", number, filters)


def streamed_first(first: str | None, formats: Formats) -> Formats:
    """The formats to ask for so that `first` is the one that is streamed."""
    if first is None:
        return formats
    return tuple(dict.fromkeys((first, *(formats or ()))))


def format_of(path: Path) -> str | None:
    """The format that the extension of a file means; None without one."""
    extension = path.suffix.removeprefix(".").lower()
    return _FORMAT_OF_EXTENSION.get(extension, extension) or None


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in options.items() if value is not None}


def _voice_path(filename: str) -> str:
    """Where a voice is on the server.

    HTTP resolves "." and "..", and a name with them would mean another place: that of all voices.

    Raises:
        CannotBeSent: no voice can have that name.
    """
    if not {"", ".", ".."}.isdisjoint(re.split(r"[/\\]", filename)):
        raise CannotBeSent(f"{filename!r} is not a voice's name.")
    try:
        return f"/api/v1/voice/{quote(filename)}"
    except UnicodeEncodeError:
        raise CannotBeSent(f"{filename!r} is not text in UTF-8.") from None


def _speech_body(text: str, formats: Formats, options: SpeechOptions) -> dict[str, Any]:
    named = {_WIRE_NAMES.get(name, name): value for name, value in given(options).items()}
    return {"text": text, **named, **_export(formats)}


def _export(formats: Formats) -> dict[str, Any]:
    return {"export_formats": list(formats)} if formats else {}


def _timestamps(wanted: bool) -> dict[str, str]:
    return {"timestamps": "word"} if wanted else {}


def _uploads_and_names(
    source: str | Path, target: str | Path
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files under the fields that take files, names under those that take names."""
    uploads: dict[str, Path] = {}
    names: dict[str, str] = {}
    for recording, file_field, name_field in (
        (source, "input_audio", "input_audio_source"),
        (target, "target_voice", "target_voice_source"),
    ):
        if isinstance(recording, Path):
            uploads[file_field] = recording
        else:
            names[name_field] = recording
    return uploads, names


def _form_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _page(path: str, number: int, filters: Mapping[str, Any]) -> Call:
    page = {"page": str(number), "page_size": _LARGEST_PAGE}
    return Call("GET", path, {**given(filters), **page})
