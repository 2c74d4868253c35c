"""What the server tells, as values. Members that this version does not know are left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of what is read from JSON; immutable."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Acknowledgement(Answer):
    """It was done, and there is nothing more to say."""

    success: bool


class Word(Answer):
    """A word and when it is said, in seconds from the beginning of the speech."""

    word: str
    start: float
    end: float


class OutputFile(Answer):
    """One stored file of an answer; `Client.download` fetches its `path`."""

    format: str
    filename: str
    url: str
    path: str


class SpokenFiles(Answer):
    """A text that was spoken into stored files."""

    files: tuple[OutputFile, ...] = Field(validation_alias="output_files")
    seed: int = Field(validation_alias="generation_seed_used")
    duration_seconds: float
    processing_seconds: float = Field(validation_alias="processing_time_seconds")
    words: tuple[Word, ...] | None = None  # None where not asked for, or the engine cannot tell
    warnings: tuple[str, ...] = ()
    request_id: str


class VoiceInfo(Answer):
    """A voice of the library."""

    filename: str
    name: str
    path: str = Field(validation_alias="url")  # below the folder of voices: what names the voice
    description: str
    tags: tuple[str, ...]
    duration_seconds: float
    sample_rate: int  # Hz
    file_size_bytes: int
    format: str
    default_parameters: Mapping[str, Any]  # of speech in this voice, where a request has none
    created_date: datetime
    last_used: datetime | None
    usage_count: int
    folder_path: str


class VoiceAnswer(Answer):
    """A voice that was stored or changed."""

    voice: VoiceInfo = Field(validation_alias="voice_info")


class VoicePage(Answer):
    """One page of the voices."""

    voices: tuple[VoiceInfo, ...]
    has_next: bool


class OutputInfo(Answer):
    """A stored output."""

    filename: str
    generation_type: str | None  # tts, vc or concat
    created_date: datetime
    file_size_bytes: int
    duration_seconds: float
    format: str
    parameters: Mapping[str, Any]
    source_files: tuple[str, ...]
    folder_path: str
    path: str
    url: str


class OutputPage(Answer):
    """One page of the outputs."""

    files: tuple[OutputInfo, ...]
    has_next: bool


class ModelsLoaded(Answer):
    """Which of the models a replica has loaded."""

    tts: bool
    vc: bool


class ReplicaCount(Answer):
    """How many replicas stand behind one kind of work."""

    running: int
    starting: int


class Replicas(Answer):
    """The replicas of speech and of voice conversion."""

    tts: ReplicaCount
    vc: ReplicaCount


class Health(Answer):
    """Whether the server can serve: "healthy" if all of it can, "degraded" if not."""

    status: str
    models_loaded: ModelsLoaded
    version: str
    uptime_seconds: float
    replicas: Replicas
    warnings: tuple[str, ...]


class SpeechEngineInfo(Answer):
    """The engine that speaks, and what it can do."""

    name: str
    sample_rate: int  # Hz
    languages: tuple[str, ...]
    voices: tuple[str, ...]  # its own; the first is the default
    controls: tuple[str, ...]  # names of the fields of a request that have an effect
    native_speed: bool
    word_timings: bool = False


class ConversionEngineInfo(Answer):
    """The engine that converts voices."""

    name: str
    sample_rate: int  # Hz


class Engines(Answer):
    """The running engines."""

    tts: SpeechEngineInfo
    vc: ConversionEngineInfo


class Limits(Answer):
    """What the server takes at most."""

    max_text_length: int  # characters
    max_body_bytes: int
    max_upload_bytes: int
    max_voice_seconds: float
    max_input_seconds: float


class PresetInfo(Answer):
    """A named voice that is another voice, or that in another shape."""

    name: str
    voice: str | None  # None is the engine's default
    pitch: float
    formants: float
    intonation: float
    brightness: float  # dB per octave


class ControlRange(Answer):
    """The values a numeric field of a speech request may have."""

    minimum: float | None
    maximum: float | None
    default: float | None  # None is the engine's own
    description: str | None = None


class ServerConfig(Answer):
    """What the server can do, and what it does if nothing else is asked for."""

    tts_defaults: Mapping[str, Any]
    vc_defaults: Mapping[str, Any]
    supported_formats: tuple[str, ...]
    limits: Limits = Field(validation_alias="api_limits")
    engines: Engines
    url_sources_allowed: bool
    presets: tuple[PresetInfo, ...] = ()
    control_ranges: Mapping[str, ControlRange] = Field(default_factory=dict[str, ControlRange])
