"""How busy the engine was in the last seconds."""

from __future__ import annotations

_REMEMBERED = 0.98
"""Of what was, at each step: about the last fifty count."""


class Meter:
    """Moving averages over the steps of the engine; read from other threads."""

    def __init__(self) -> None:
        self._worked = 0.0
        self._heard = 0.0
        self._batch = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of audio, all listeners together."""
        return self._worked / self._heard if self._heard else 0.0

    @property
    def batch_size(self) -> float:
        """Requests that a step of T3 served."""
        return self._batch

    def count(self, worked: float, heard: float) -> None:
        """Count a step of so many seconds that brought so many seconds of audio."""
        self._worked = _REMEMBERED * self._worked + worked
        self._heard = _REMEMBERED * self._heard + heard

    def count_batch(self, size: int) -> None:
        """Count a step of T3."""
        self._batch = _REMEMBERED * self._batch + (1 - _REMEMBERED) * size
