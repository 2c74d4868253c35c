"""Every metric: its name, its meaning and its buckets. Ray exports them as `ray_<name>`.

`deployments/metrics.py` records them through Ray; a `Recorder` that keeps nothing is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """How a request for audio ended."""

    COMPLETED = "completed"
    FAILED = "failed"  # by an error of ours, before or after the first audio
    CANCELLED = "cancelled"  # the client left, or sent what cannot be spoken after the beginning


@dataclass(frozen=True, slots=True)
class Metric:
    """A counter or a gauge, or with buckets a histogram."""

    name: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


REQUESTS = Metric(
    "serve_app_generations_total",
    "Requests for audio that ended, by kind (tts, vc, concat) and outcome.",
    ("kind", "outcome"),
)
AUDIO_SECONDS = Metric(
    "serve_app_audio_seconds_total", "Seconds of audio that were made, by kind.", ("kind",)
)
TIME_TO_FIRST_AUDIO = Metric(
    "serve_app_time_to_first_audio_seconds",
    "From the request to the first bytes of audio, by kind.",
    ("kind",),
    buckets=(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10, 30),
)


ENGINE_RUNNING = Metric(
    "serve_app_engine_running", "Requests that a replica's engine is making.", ("kind",)
)
ENGINE_WAITING = Metric(
    "serve_app_engine_waiting", "Requests that wait inside a replica for a place.", ("kind",)
)
ENGINE_BATCH_SIZE = Metric(
    "serve_app_engine_batch_size", "Requests that one step of the model served, lately.", ("kind",)
)
ENGINE_CACHE_USE = Metric(
    "serve_app_engine_cache_use",
    "Share of the memory of running requests in use, 0 to 1.",
    ("kind",),
)
ENGINE_REAL_TIME_FACTOR = Metric(
    "serve_app_engine_real_time_factor",
    "Seconds of work for a second of audio, lately.",
    ("kind",),
)


class Recorder(Protocol):
    """Where the ingress counts what happens."""

    def first_audio(self, kind: str, seconds: float) -> None:
        """A stream has its first audio, so many seconds after it was asked for."""
        ...

    def ended(self, kind: str, outcome: Outcome, audio_seconds: float) -> None:
        """A request for audio has ended after so many seconds of it."""
        ...


class NullRecorder:
    """Counts nothing."""

    def first_audio(self, kind: str, seconds: float) -> None:
        """See `Recorder`."""

    def ended(self, kind: str, outcome: Outcome, audio_seconds: float) -> None:
        """See `Recorder`."""
