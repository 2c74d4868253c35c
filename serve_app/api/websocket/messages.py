"""What a client may send, one JSON object in each text frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serve_app.api.tts_models import SpeechBody
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import AudioFormat

_NO_TEXT_YET = "1234567890"
"""Stands for the text while the settings are checked: any engine can say it, and no clean-up or
pronunciation is likely to take it away."""

_LONGEST_ID = 128
_OUR_NAMES = {"reference_audio_filename": "voice", "export_formats": "format"}

_FILES_ONLY = frozenset(
    {
        "export_formats",
        "return_format",
        "response_mode",
        "stream_format",
        "project",
        "folder",
        "normalize_audio",
        "normalize_method",
        "normalize_level",
        "normalize_tp",
        "normalize_lra",
    }
)
"""Fields of a request that have no meaning where nothing is stored."""


class Start(BaseModel):
    """Begins an utterance. Any other field of POST /api/v1/tts may be set too."""

    model_config = ConfigDict(extra="allow")

    type: Literal["start"]
    utterance_id: Any = ""  # what is wrong with a field ends the utterance, so `body` finds it
    voice: Any = None
    format: Any = AudioFormat.PCM

    @property
    def id(self) -> str:
        """What to call the utterance, "" to have it named."""
        return str(self.utterance_id)[:_LONGEST_ID]

    @property
    def without_effect(self) -> tuple[str, ...]:
        """The names of fields that are only for what is stored."""
        return tuple(name for name in self._settings if name in _FILES_ONLY)

    def body(self) -> SpeechBody:
        """The settings as those of a request, whose text is yet to come.

        Raises:
            InvalidRequest: a field is not what it should be.
        """
        if not isinstance(self.utterance_id, str) or len(self.utterance_id) > _LONGEST_ID:
            raise InvalidRequest(
                f"a text of at most {_LONGEST_ID} characters is expected.", field="utterance_id"
            )
        if "text" in self._settings:
            raise InvalidRequest(
                "it is sent in messages of its own, of the type text.", field="text"
            )
        fields = {name: value for name, value in self._settings.items() if name not in _FILES_ONLY}
        fields |= {"text": _NO_TEXT_YET, "export_formats": [self.format]}
        if self.voice is not None:
            fields["reference_audio_filename"] = self.voice
        try:
            return SpeechBody.model_validate(fields)
        except ValidationError as error:
            raise InvalidRequest(_sentences(error)) from None

    @property
    def _settings(self) -> Mapping[str, Any]:
        return self.model_extra or {}


class Text(BaseModel):
    """More of the utterance's text, as it comes."""

    type: Literal["text"]
    text: str


class Flush(BaseModel):
    """Speak what has come so far."""

    type: Literal["flush"]


class Cancel(BaseModel):
    """Stop speaking, and forget the rest."""

    type: Literal["cancel"]


class End(BaseModel):
    """That was all of the utterance's text."""

    type: Literal["end"]


ClientMessage = Annotated[Start | Text | Flush | Cancel | End, Field(discriminator="type")]
_MESSAGES: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)


def parse_message(data: str) -> ClientMessage:
    """The message in one text frame.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return _MESSAGES.validate_json(data)
    except ValidationError as error:
        raise InvalidRequest(
            _sentences(error), "Send JSON objects whose type is start, text, flush, cancel or end."
        ) from None


def _sentences(error: ValidationError) -> str:
    return " ".join(_sentence(dict(problem)) for problem in error.errors(include_url=False))


def _sentence(problem: Mapping[str, Any]) -> str:
    field = ".".join(_OUR_NAMES.get(part, str(part)) for part in problem["loc"]) or "message"
    return f"{field}: {str(problem['msg']).removeprefix('Value error, ').rstrip('.')}."
