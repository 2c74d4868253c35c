"""The metrics of `observability/metrics.py`, recorded through Ray."""

# Ray is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from __future__ import annotations

from ray.util import metrics

from serve_app.observability.metrics import (
    AUDIO_SECONDS,
    REQUESTS,
    TIME_TO_FIRST_AUDIO,
    Metric,
    Outcome,
)


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


def _counter(metric: Metric) -> metrics.Counter:
    return metrics.Counter(metric.name, metric.description, metric.labels)


def _histogram(metric: Metric) -> metrics.Histogram:
    return metrics.Histogram(metric.name, metric.description, list(metric.buckets), metric.labels)
