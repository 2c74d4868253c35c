"""The fields that several routes have, and how their values are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, Field

from serve_app.domain.errors import InvalidRequest, UnsupportedFormat
from serve_app.domain.types import AudioFormat
from serve_app.library.paths import output_folder


class ResponseMode(StrEnum):
    """How a generation route answers."""

    STREAM = "stream"
    EVENTS = "sse"  # a stream, in server-sent events
    URL = "url"


class StreamFormat(StrEnum):
    """What a stream consists of: audio, or events that carry audio and what is known of it."""

    AUDIO = "audio"
    SSE = "sse"


_MODES = {
    "stream": ResponseMode.STREAM,
    "file": ResponseMode.STREAM,
    "download": ResponseMode.STREAM,
    "url": ResponseMode.URL,
}


def parse_response_mode(value: str) -> ResponseMode:
    """A response mode by its name or alias.

    Raises:
        InvalidRequest: there is no such mode.
    """
    try:
        return _MODES[value]
    except KeyError:
        raise InvalidRequest(
            f"{value!r} is not one of stream, file, download or url.", field="response_mode"
        ) from None


def parse_format(value: str) -> AudioFormat:
    """An audio format by its name.

    Raises:
        UnsupportedFormat: we do not produce it.
    """
    try:
        return AudioFormat(value.strip().lower())
    except ValueError:
        known = ", ".join(AudioFormat)
        raise UnsupportedFormat(
            f"{value!r} is not a supported format.", f"One of {known}."
        ) from None


def as_list(value: Any) -> Any:
    """A comma string is a list too, and so is a text that holds a JSON list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json_list(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("not a valid JSON list") from None


FormatNames = Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def parse_formats(
    names: Sequence[str] | None, default: tuple[AudioFormat, ...]
) -> tuple[AudioFormat, ...]:
    """The formats to produce, each once, in order.

    Raises:
        UnsupportedFormat: we do not produce one of them.
    """
    if names is None:
        return default
    return tuple(dict.fromkeys(parse_format(name) for name in names))


def streamed_format(wanted: str | None, formats: tuple[AudioFormat, ...]) -> AudioFormat:
    """The format to stream, of those that are produced.

    Raises:
        UnsupportedFormat: it is not one of them.
    """
    if not wanted:
        return formats[0]
    if (parsed := parse_format(wanted)) not in formats:
        produced = ", ".join(formats)
        raise UnsupportedFormat(
            f"{parsed} is not one of the export_formats ({produced}).", field="return_format"
        )
    return parsed


class OutputFields(BaseModel):
    """What every route that makes audio takes: which files, where, and how to answer."""

    export_formats: FormatNames | None = Field(
        default=None,
        description="A list or a comma string; the first is streamed.",
    )
    return_format: str | None = Field(default=None, description="The format to stream.")
    response_mode: str | None = Field(default=None, description="stream (file, download) or url.")
    project: str | None = Field(default=None, description="A folder below outputs/.")
    folder: str | None = Field(default=None, description="Alias of project.")

    @property
    def project_folder(self) -> str:
        """The folder below outputs/, "" for none.

        Raises:
            InvalidRequest: project and folder disagree, or it is no plain relative folder.
        """
        if self.project and self.folder and self.project != self.folder:
            raise InvalidRequest("project and folder are aliases, but differ in this request.")
        return output_folder(self.project or self.folder)


ResponseModeQuery = Annotated[
    str | None, Query(description="stream (default; file and download are aliases) or url.")
]
ReturnFormatQuery = Annotated[
    str | None, Query(description="The format to stream, of the export_formats.")
]
