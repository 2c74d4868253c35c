"""Voices by name: the names that clients of the OpenAI speech API ask for, and an operator's own.

A preset is a voice that is there under another name, or the engine's voice in another shape. How
the default ones were chosen and what they sound like is in docs/voices.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.domain.types import VoiceShape


class Preset(BaseModel):
    """One named voice. The default is the engine's default voice as it is."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    voice: str | None = Field(
        default=None, description="A voice of the library or of the engine; null is its default."
    )
    pitch: float = Field(default=1.0, ge=0.5, le=2.0, description="Times the median F0.")
    formants: float = Field(default=1.0, ge=0.75, le=1.35, description="Times the formants.")
    intonation: float = Field(
        default=1.0, ge=0.3, le=2.0, description="Times the movements of the pitch."
    )
    brightness: float = Field(
        default=0.0, ge=-6.0, le=6.0, description="dB per octave above 500 Hz."
    )

    @property
    def shape(self) -> VoiceShape | None:
        """How its voice differs from the one it is made of; None where it does not."""
        shape = VoiceShape(self.pitch, self.formants, self.intonation, self.brightness)
        return None if shape == VoiceShape() else shape

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if self.voice is not None and self.shape is not None:
            raise ValueError(
                "A preset is a voice that is there or a shape of the engine's own: "
                "give it a voice, or pitch, formants, intonation and brightness."
            )
        return self


OPENAI_VOICES: Mapping[str, Preset] = {
    "alloy": Preset(),
    "ash": Preset(pitch=0.67, formants=0.93, intonation=1.15, brightness=0.0),
    "ballad": Preset(pitch=0.79, formants=0.9, intonation=0.75, brightness=-1.0),
    "cedar": Preset(pitch=0.555, formants=0.92, intonation=0.95, brightness=-0.5),
    "coral": Preset(pitch=1.12, formants=0.93, intonation=1.25, brightness=1.0),
    "echo": Preset(pitch=0.605, formants=0.82, intonation=1.1, brightness=1.5),
    "fable": Preset(pitch=0.87, formants=0.96, intonation=1.4, brightness=1.5),
    "marin": Preset(pitch=1.0, formants=0.87, intonation=1.1, brightness=2.4),
    "nova": Preset(pitch=1.24, formants=1.0, intonation=1.1, brightness=2.0),
    "onyx": Preset(pitch=0.5, formants=0.8, intonation=0.85, brightness=-1.0),
    "sage": Preset(pitch=0.9, formants=0.89, intonation=0.7, brightness=-1.0),
    "shimmer": Preset(pitch=1.12, formants=0.97, intonation=0.8, brightness=-3.0),
    "verse": Preset(pitch=0.74, formants=0.84, intonation=1.3, brightness=1.5),
}


def with_defaults(given: Any) -> Any:
    """The presets of a configuration over the default ones; null takes a name away."""
    if not isinstance(given, Mapping):
        return given
    merged: dict[Any, Any] = {**OPENAI_VOICES, **given}
    return {name: preset for name, preset in merged.items() if preset is not None}
