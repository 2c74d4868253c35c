"""Every setting of the service, and the only reader of the environment.

A setting comes from the `args` of the Serve config file, else from the environment
(`SERVE_APP_ENGINE__NAME=hibari`, nested with two underscores), else from the default here.
Unknown names are errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from serve_app.domain.types import AudioFormat
from serve_app.presets import OPENAI_VOICES, Preset, with_defaults


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


class ConversionSettings(EngineSettings):
    """Which engine converts voices, and what its constructor is given."""

    name: str = Field(default="world", description="A name of `serve_app/engines/registry.py`.")


class LimitSettings(_Section):
    """What a request may ask for, and how long it may take."""

    max_text_chars: int = Field(default=10_000, ge=1, description="Characters of `text`, trimmed.")
    max_body_bytes: int = Field(default=1_000_000, ge=1024, description="Bytes of a JSON body.")
    max_upload_bytes: int = Field(
        default=100_000_000, ge=1024, description="Bytes of an uploaded file."
    )
    max_voice_seconds: float = Field(default=600.0, gt=0, description="Length of a voice.")
    max_input_seconds: float = Field(
        default=4 * 3600.0, gt=0, description="Length of an input of conversion."
    )
    max_expansion: float = Field(
        default=200.0, gt=1, description="Decoded bytes for each byte of an upload."
    )
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
    """Where files and facts are kept, and for how long.

    A root is a folder, or the URL of a bucket and prefix: `s3://...`, `gs://...`, `az://...`.
    """

    voices: str = Field(default="reference_audio", description="Root of the voices.")
    vc_inputs: str = Field(default="vc_inputs", description="Root of the inputs of conversion.")
    outputs: str = Field(default="outputs", description="Root of what is served under /outputs.")
    options: dict[str, str] = Field(
        default_factory=dict,
        description="Options of the object store, such as endpoint; keys come from its usual ways.",
        repr=False,
    )
    database_url: str = Field(
        default="sqlite:///serve_app.sqlite3",
        description="SQLite or PostgreSQL (`postgresql://...`).",
        repr=False,
    )
    scan_interval_s: float = Field(
        default=5.0, gt=0, description="How often the folders are looked at for new files."
    )
    outputs_max_age_hours: float | None = Field(
        default=None, gt=0, description="Outputs older than this are removed."
    )
    outputs_max_total_mb: float | None = Field(
        default=None, gt=0, description="Beyond this the oldest outputs are removed."
    )

    def absolute(self) -> Self:
        """The same with every relative folder taken from where this process runs."""
        update = {
            name: _absolute(getattr(self, name)) for name in ("voices", "vc_inputs", "outputs")
        }
        scheme, slashes, file = self.database_url.partition(":///")
        if slashes and scheme.startswith("sqlite"):
            update["database_url"] = f"{scheme}:///{Path(file).absolute()}"
        return self.model_copy(update=update)


def _absolute(root: str) -> str:
    return root if "://" in root else str(Path(root).absolute())


class SourceSettings(_Section):
    """Voices and inputs that are named by an http(s) URL."""

    allow_urls: bool = Field(default=False, description="Whether they are fetched at all.")
    allowed_networks: tuple[str, ...] = Field(
        default=(), description="Private networks that may be fetched from all the same."
    )
    timeout_s: float = Field(default=20.0, gt=0, description="Longest a download may take.")


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


class WebSocketSettings(_Section):
    """What one socket of text in and audio out may do."""

    idle_timeout_s: float = Field(
        default=60.0, gt=0, description="A socket on which nothing happens is closed after this."
    )
    max_pending_chars: int = Field(
        default=10_000, ge=100, description="Characters that may wait to be spoken."
    )
    max_ahead_s: float = Field(
        default=20.0, gt=0, description="Seconds of audio that are sent before their time."
    )


class SpeechDefaults(_Section):
    """The default of each field of POST /api/v1/tts that an operator may want to change."""

    export_formats: tuple[AudioFormat, ...] = (AudioFormat.WAV, AudioFormat.MP3)


class ConversionDefaults(_Section):
    """The default of each field of POST /api/v1/vc that an operator may want to change."""

    export_formats: tuple[AudioFormat, ...] = (AudioFormat.WAV, AudioFormat.MP3)


class Settings(BaseSettings):
    """The whole configuration of one application."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix="SERVE_APP_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    engine: EngineSettings = Field(default_factory=EngineSettings)
    conversion: ConversionSettings = Field(default_factory=ConversionSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    sources: SourceSettings = Field(default_factory=SourceSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    websocket: WebSocketSettings = Field(default_factory=WebSocketSettings)
    presets: Annotated[dict[str, Preset], BeforeValidator(with_defaults)] = Field(
        default_factory=lambda: dict(OPENAI_VOICES),
        description="Named voices, beside OpenAI's names; null takes a name away.",
    )
    speech: SpeechDefaults = Field(default_factory=SpeechDefaults)
    vc: ConversionDefaults = Field(default_factory=ConversionDefaults)
