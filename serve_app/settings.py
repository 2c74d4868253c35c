"""Every setting of the service, and the only reader of the environment.

A setting comes from the `args` of the Serve config file, else from the environment
(`SERVE_APP_ENGINE__NAME=hibari`, nested with two underscores), else from the default here.
Unknown names are errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from serve_app.domain.types import AudioFormat


class _Section(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class EngineSettings(_Section):
    """Which engine speaks, and what its constructor is given."""

    name: str = Field(default="hibari", description="A name of `serve_app/engines/registry.py`.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the engine."
    )
    stall_timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="A step longer than this has the replica replaced.",
    )


class LimitSettings(_Section):
    """What a request may ask for, and how long it may take."""

    max_text_chars: int = Field(default=10_000, ge=1, description="Characters of `text`, trimmed.")
    max_body_bytes: int = Field(default=1_000_000, ge=1024, description="Bytes of a JSON body.")
    first_chunk_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest wait for the first audio: 504 after it."
    )
    chunk_timeout_s: float = Field(
        default=30.0,
        gt=0,
        description="Longest wait between two pieces: the body is broken.",
    )
    output_wait_s: float = Field(
        default=60.0,
        gt=0,
        description="Longest a GET waits for a file that is being made.",
    )


class StorageSettings(_Section):
    """Where files are kept."""

    outputs_dir: Path = Field(default=Path("outputs"), description="Folder served under /outputs.")


class HttpSettings(_Section):
    """How the API presents itself."""

    cors_origin_regex: str = Field(
        default=r"https?://(localhost|127\.0\.0\.1)(:\d+)?", description="Origins that may fetch."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses or networks whose X-Forwarded-* headers are believed."
    )
    encoder_threads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Threads of an ingress that process audio.",
    )


class SpeechDefaults(_Section):
    """The default of each field of POST /api/v1/tts that an operator may want to change."""

    export_formats: tuple[AudioFormat, ...] = (AudioFormat.WAV, AudioFormat.MP3)


class Settings(BaseSettings):
    """The whole configuration of one application."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="SERVE_APP_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    engine: EngineSettings = Field(default_factory=EngineSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    speech: SpeechDefaults = Field(default_factory=SpeechDefaults)
