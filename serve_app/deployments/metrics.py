"""The metrics of `observability/metrics.py`, recorded through Ray."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ray.util import metrics

from serve_app.domain.types import EngineLoad
from serve_app.observability.metrics import (
    AUDIO_SECONDS,
    ENGINE_BATCH_SIZE,
    ENGINE_CACHE_USE,
    ENGINE_REAL_TIME_FACTOR,
    ENGINE_RUNNING,
    ENGINE_WAITING,
    REQUESTS,
    TIME_TO_FIRST_AUDIO,
    Metric,
    Outcome,
)

_REPORT_EVERY = 2.0  # seconds
_GAUGES = {
    "running": ENGINE_RUNNING,
    "waiting": ENGINE_WAITING,
    "batch_size": ENGINE_BATCH_SIZE,
    "cache_use": ENGINE_CACHE_USE,
    "real_time_factor": ENGINE_REAL_TIME_FACTOR,
}
"""By the field of `EngineLoad` that they show."""


class RayRecorder:
    """Counts through Ray's agent on this node, which Prometheus scrapes."""

    def __init__(self) -> None:
        self._requests = _counter(REQUESTS)
        self._audio_seconds = _counter(AUDIO_SECONDS)
        self._time_to_first_audio = _histogram(TIME_TO_FIRST_AUDIO)

    def first_audio(self, kind: str, seconds: float) -> None:
        """See `Recorder`."""
        self._time_to_first_audio.observe(seconds, tags={"kind": kind})

    def ended(self, kind: str, outcome: Outcome, audio_seconds: float) -> None:
        """See `Recorder`."""
        self._requests.inc(tags={"kind": kind, "outcome": outcome.value})
        if audio_seconds > 0:
            self._audio_seconds.inc(audio_seconds, tags={"kind": kind})


async def report_load(kind: str, load_of: Callable[[], EngineLoad]) -> None:
    """Report how busy a replica's engine is, until cancelled."""
    gauges = {name: _gauge(metric) for name, metric in _GAUGES.items()}
    while True:
        load = load_of()
        for name, gauge in gauges.items():
            gauge.set(getattr(load, name), tags={"kind": kind})
        await asyncio.sleep(_REPORT_EVERY)


def _gauge(metric: Metric) -> metrics.Gauge:
    return metrics.Gauge(metric.name, metric.description, metric.labels)


def _counter(metric: Metric) -> metrics.Counter:
    return metrics.Counter(metric.name, metric.description, metric.labels)


def _histogram(metric: Metric) -> metrics.Histogram:
    return metrics.Histogram(metric.name, metric.description, list(metric.buckets), metric.labels)
