"""Levels and crossfades with pydub: the one place that imports it.

pydub counts in milliseconds. Slices of whole milliseconds, `samples_in` long, come out of it with
exactly as many samples as went in.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from serve_app.domain.types import Samples


def samples_in(milliseconds: int, sample_rate: int) -> int:
    """How many samples pydub counts as so many milliseconds."""
    return int(milliseconds * (sample_rate / 1000.0))


def milliseconds_in(samples: int, sample_rate: int) -> int:
    """The most whole milliseconds that fit in so many samples, as `samples_in` counts them."""
    return -(-(samples + 1) * 1000 // sample_rate) - 1


def silence(milliseconds: int, sample_rate: int) -> Samples:
    """Digital silence of exactly `samples_in(milliseconds)`."""
    return np.zeros(samples_in(milliseconds, sample_rate), np.int16)


def amplified(samples: Samples, sample_rate: int, gain: float) -> Samples:
    """Samples [n] with a gain in dB, clipped at full scale."""
    return _samples(_segment(samples, sample_rate).apply_gain(gain)) if gain else samples


def crossfaded(tail: Samples, head: Samples, sample_rate: int) -> Samples:
    """`tail` fading out over `head` fading in, [n] and [n] to [n]; n is of whole milliseconds."""
    fade = milliseconds_in(len(tail), sample_rate)
    before, after = _segment(tail, sample_rate), _segment(head, sample_rate)
    return _samples(before.append(after, crossfade=fade))


def _segment(samples: Samples, sample_rate: int) -> Any:
    data = samples.astype(np.int16, copy=False).tobytes()
    return _pydub().AudioSegment(data, sample_width=2, frame_rate=sample_rate, channels=1)


def _samples(segment: Any) -> Samples:
    return np.frombuffer(segment.raw_data, np.int16)


@lru_cache
def _pydub() -> Any:
    """pydub, which warns that it found no ffmpeg program (we need none) and of its own age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("pydub")
