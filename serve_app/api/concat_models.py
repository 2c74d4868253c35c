"""The bodies of POST /api/v1/concat and /concat/mixed."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.api.fields import OutputFields
from serve_app.audio.concat import ConcatOptions, Silence, parse_segment
from serve_app.domain.errors import InvalidRequest

MAX_SEGMENTS = 200


class ConcatFields(OutputFields):
    """How files are joined."""

    model_config = ConfigDict(extra="allow")

    normalize_levels: bool = Field(default=True, description="Bring all to one loudness.")
    crossfade_ms: int = Field(default=0, ge=0, le=5000)
    pause_duration_ms: int = Field(default=0, ge=0, le=3000, description="Between two files.")
    pause_variation_ms: int = Field(
        default=200, ge=0, le=500, description="A pause is longer or shorter by up to so much."
    )
    trim: bool = Field(default=False, description="Cut silence at both ends of each file.")
    trim_threshold_ms: int = Field(default=200, ge=50, le=1000)
    output_filename: str | None = Field(
        default=None, max_length=200, description="Name of the output, without extension."
    )

    @property
    def options(self) -> ConcatOptions:
        """The same for `audio/concat.py`."""
        return ConcatOptions(
            normalize_levels=self.normalize_levels,
            crossfade_ms=self.crossfade_ms,
            pause_duration_ms=self.pause_duration_ms,
            pause_variation_ms=self.pause_variation_ms,
            trim=self.trim,
            trim_threshold_ms=self.trim_threshold_ms,
        )


class ConcatBody(ConcatFields):
    """Files of outputs/, and silences."""

    files: list[Annotated[str, Field(min_length=1, max_length=1000)]] = Field(
        min_length=1,
        max_length=MAX_SEGMENTS,
        description="Names below outputs/, and silences such as (500ms) or (1.5s).",
    )

    def segments(self) -> list[Segment]:
        """The files as segments.

        Raises:
            InvalidRequest: a silence is too short or too long.
        """
        return [
            Segment(
                type=SegmentType.SILENCE if parse_segment(name) else SegmentType.FILE, source=name
            )
            for name in self.files
        ]


class SegmentType(StrEnum):
    """Where the audio of a segment comes from."""

    FILE = "server_file"
    UPLOAD = "upload"
    SILENCE = "silence"


class Segment(BaseModel):
    """One part of the result."""

    model_config = ConfigDict(extra="forbid")

    type: SegmentType
    source: str | None = Field(
        default=None, max_length=1000, description="A name below outputs/, or a silence."
    )
    index: int | None = Field(default=None, ge=0, description="Of the uploaded file, from 0.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type is SegmentType.UPLOAD and self.index is None:
            raise ValueError("an upload needs its index")
        if self.type is not SegmentType.UPLOAD and not self.source:
            raise ValueError(f"a {self.type} needs a source")
        return self

    @property
    def silence(self) -> Silence:
        """The silence it is.

        Raises:
            InvalidRequest: it is none.
        """
        if (found := parse_segment(self.source or "")) is None:
            raise InvalidRequest(f"{self.source!r} is no silence.", "Write (500ms) or (1.5s).")
        return found


class MixedBody(ConcatFields):
    """The `request_json` of a form with files."""

    segments: list[Segment] = Field(min_length=1, max_length=MAX_SEGMENTS)


def check_count(segments: list[Segment]) -> None:
    """There must be something to join.

    Raises:
        InvalidRequest: fewer than two files, or than one and a silence.
    """
    silences = sum(segment.type is SegmentType.SILENCE for segment in segments)
    files = len(segments) - silences
    if files < 1 or files + silences < 2:
        raise InvalidRequest("At least two files are needed, or one and a silence.")
