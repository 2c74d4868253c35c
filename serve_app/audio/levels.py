"""How loud the speech in several recordings is, and what brings them to one level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.domain.types import PcmChunk

HEADROOM_DBFS = -1.0
"""No sample is raised above this."""

SPEECH_DBFS = -50.0
"""Frames of 10 ms below this are pauses, and do not count."""

_FRAMES_PER_SECOND = 100
_FULL_SCALE = 32768


@dataclass(frozen=True, slots=True)
class Level:
    """Of one recording, in dB relative to full scale."""

    speech: float  # the mean power of what is no pause
    peak: float


def gains(recordings: Iterable[Iterable[PcmChunk]]) -> Sequence[float]:
    """The gain in dB of each recording that brings their speech to the mean of their levels.

    A recording gets less where its peak would exceed HEADROOM_DBFS, and none if it is silent.
    """
    levels = [measure(recording) for recording in recordings]
    spoken = [level.speech for level in levels if level is not None]
    target = sum(spoken) / len(spoken) if spoken else 0.0
    return [0.0 if level is None else _gain(level, target) for level in levels]


def _gain(level: Level, target: float) -> float:
    """What leads to the target; a peak that is too high already is no reason to turn down."""
    return min(target - level.speech, max(0.0, HEADROOM_DBFS - level.peak))


def measure(recording: Iterable[PcmChunk]) -> Level | None:
    """The level of a recording; None if it is silent all along."""
    power, frames, peak = 0.0, 0, 0
    for chunk in recording:
        powers = _powers(chunk)
        speech = powers[powers >= _FULL_SCALE**2 * 10 ** (SPEECH_DBFS / 10)]
        power, frames = power + float(speech.sum()), frames + len(speech)
        peak = max(peak, int(np.abs(chunk.samples.astype(np.int32)).max(initial=0)))
    if not frames:
        return None
    return Level(_decibels(math.sqrt(power / frames)), _decibels(peak))


def _powers(chunk: PcmChunk) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The mean square of each frame of 10 ms, [ceil(n / frame)]."""
    frame = chunk.sample_rate // _FRAMES_PER_SECOND
    squares = chunk.samples.astype(np.float64) ** 2
    starts = np.arange(0, len(squares), frame)
    return np.add.reduceat(squares, starts) / np.minimum(frame, len(squares) - starts)


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude / _FULL_SCALE)
