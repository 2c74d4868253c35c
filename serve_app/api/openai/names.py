"""What fields of the native API are called in OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping

OPENAI_NAMES: Mapping[str, str] = {
    "text": "input",
    "reference_audio_filename": "voice",
    "export_formats": "response_format",
    "speed_factor": "speed",
}
NATIVE_NAMES: Mapping[str, str] = {name: native for native, name in OPENAI_NAMES.items()}


def openai_name(field: str) -> str:
    """A native field as a client of the OpenAI API knows it."""
    return OPENAI_NAMES.get(field, field)
