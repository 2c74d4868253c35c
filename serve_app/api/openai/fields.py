"""What a client of the OpenAI speech API sends, and what it asks of the native one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from serve_app.api.fields import Number, StreamFormat
from serve_app.api.forms import validated
from serve_app.api.openai.names import NATIVE_NAMES, OPENAI_NAMES
from serve_app.api.tts_models import SpeechBody
from serve_app.domain.types import AudioFormat

_SLOWEST, _FASTEST = 0.5, 2.0  # that we speak

_OVERRULED = frozenset({*OPENAI_NAMES, "response_mode", "return_format"})
"""Fields of the native API whose place is taken by OpenAI's."""


def _name_of(voice: Any) -> Any:
    """`{"id": name}` is a voice, too."""
    if isinstance(voice, Mapping):
        return cast(Mapping[str, Any], voice).get("id", voice)
    return voice


VoiceName = Annotated[str | None, BeforeValidator(_name_of)]


class SpeechFields(BaseModel):
    """What to say and how. Fields of POST /api/v1/tts may stand beside these."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(
        default="tts-1", description="A name of GET /v1/models; each means the engine that runs."
    )
    input: str = Field(description="What to say; at most 10,000 characters by default.")
    response_format: AudioFormat = Field(
        default=AudioFormat.MP3, description="pcm is 16-bit, little-endian, mono, 24 kHz."
    )
    speed: Number = Field(
        default=1.0, ge=0.25, le=4.0, description="The pitch is kept; clamped to 0.5..2."
    )
    stream_format: StreamFormat = Field(
        default=StreamFormat.AUDIO, description="sse streams server-sent events."
    )
    instructions: str | None = Field(default=None, description="Has no effect.")

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, data: Any) -> Any:
        """Wrappers of SDKs send every option they have, as null or as an empty field of a form."""
        if not isinstance(data, Mapping):
            return data
        fields = cast(Mapping[str, Any], data)
        optional = {name for name, one in cls.model_fields.items() if not one.is_required()}
        return {
            name: value
            for name, value in fields.items()
            if name not in optional or value not in (None, "")
        }

    def native(self) -> SpeechBody:
        """The body of POST /api/v1/tts that asks for the same.

        Raises:
            RequestValidationError: one of the native fields is wrong.
        """
        given = self.model_dump(
            include=set(type(self).model_fields), exclude={"model"}, exclude_unset=True
        )
        wanted = {NATIVE_NAMES.get(name, name): value for name, value in given.items()}
        if "speed" in given:
            wanted["speed_factor"] = self._speed
        wanted["export_formats"] = [self.response_format]
        extra = {
            name: value
            for name, value in (self.model_extra or {}).items()
            if name not in _OVERRULED
        }
        return validated(SpeechBody, {**extra, **wanted})

    @property
    def overruled(self) -> list[str]:
        """The native fields that were sent and have no effect beside OpenAI's."""
        return sorted(_OVERRULED & set(self.model_extra or {}))

    @property
    def warning(self) -> str:
        """What is done in another way than it was asked for, "" for nothing."""
        if self._speed == self.speed:
            return ""
        bounds = f"{_SLOWEST:g}..{_FASTEST:g}"
        return f"speed: {self.speed:g} is not in {bounds}, so it was {self._speed:g}"

    @property
    def _speed(self) -> float:
        return min(max(self.speed, _SLOWEST), _FASTEST)


class SpeechJson(SpeechFields):
    """The JSON body, which names its voice."""

    voice: VoiceName = Field(
        default=None,
        description='A name of GET /v1/audio/voices, a path, or {"id": name}; null is the default.',
    )
