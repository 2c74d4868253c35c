"""WORLD's three features of speech, a frame every 5 ms.

M. Morise, F. Yokomori, K. Ozawa: WORLD: a vocoder-based high-quality speech synthesis system for
real-time applications (IEICE Trans. Inf. & Syst., 2016). F0 is found by dio and stonemask, the
spectral envelope by cheaptrick, the aperiodicity by d4c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyworld

from serve_app.domain.types import Samples
from serve_app.engines.world.capabilities import SAMPLE_RATE

Floats = npt.NDArray[np.float64]

HOP = 120  # samples from frame to frame
FRAMES_PER_SECOND = SAMPLE_RATE // HOP
FFT_SIZE = 1024
BINS = FFT_SIZE // 2 + 1
REACH = 10 * HOP  # samples to either side of a frame that its features depend on
LOWEST_F0, HIGHEST_F0 = 60.0, 600.0  # Hz

_LOWEST_F0_OF_ENVELOPE = 71.0  # Hz; below it cheaptrick needs a longer transform than FFT_SIZE
_DIO_DOWNSAMPLING = 2  # a third of the time; F0 differs by more than 5 % in 0.14 % of the frames
_SILENCE = 1e-16  # power below which there is nothing to take a logarithm of


@dataclass(frozen=True, slots=True)
class Frames:
    """A run of k frames."""

    f0: Floats  # Hz, [k]; 0 where unvoiced
    log_envelope: Floats  # natural logarithm of the power spectrum, [k, BINS]
    aperiodicity: Floats  # share of noise in the amplitude, 0..1, [k, BINS]


def to_signal(samples: Samples) -> Floats:
    """Samples [n] as -1..1."""
    return samples / 32768.0


def track_f0(signal: Floats) -> Floats:
    """F0 in Hz of the frames at 0, HOP, 2 HOP ... of a signal [n], [n // HOP + 1], unrefined."""
    f0, _ = pyworld.dio(
        np.ascontiguousarray(signal),
        SAMPLE_RATE,
        f0_floor=LOWEST_F0,
        f0_ceil=HIGHEST_F0,
        frame_period=1000 / FRAMES_PER_SECOND,
        speed=_DIO_DOWNSAMPLING,
    )
    return f0


def refine_f0(signal: Floats, f0: Floats, times: Floats) -> Floats:
    """F0 [k] made exact at `times` [k] (seconds)."""
    refined = pyworld.stonemask(signal, f0, times, SAMPLE_RATE)
    return np.where(refined > 0, np.clip(refined, LOWEST_F0, HIGHEST_F0), 0.0)


def log_envelope(signal: Floats, f0: Floats, times: Floats) -> Floats:
    """Logarithm of the power envelope at `times` [k] (seconds), [k, BINS]."""
    bounded = np.where(f0 > 0, np.maximum(f0, _LOWEST_F0_OF_ENVELOPE), 0.0)
    envelope = pyworld.cheaptrick(
        signal, bounded, times, SAMPLE_RATE, f0_floor=_LOWEST_F0_OF_ENVELOPE, fft_size=FFT_SIZE
    )
    return np.log(np.maximum(envelope, _SILENCE))


def analyse_frames(signal: Floats, f0: Floats) -> Frames:
    """Frames at REACH, REACH + HOP ... of a signal [2 REACH + (k - 1) HOP]; F0 [k] as tracked."""
    times = (REACH + HOP * np.arange(len(f0))) / SAMPLE_RATE
    refined = refine_f0(signal, f0, times)
    envelope = log_envelope(signal, refined, times)
    return Frames(refined, envelope, _aperiodicity(signal, refined, times))


def _aperiodicity(signal: Floats, f0: Floats, times: Floats) -> Floats:
    """Two frames share one, because d4c costs more than all the rest: [k, BINS]."""
    pairs = np.arange(0, len(f0), 2)
    second = np.minimum(pairs + 1, len(f0) - 1)
    chosen = np.where(f0[pairs] > 0, pairs, second)
    shared = pyworld.d4c(signal, f0[chosen], times[chosen], SAMPLE_RATE, fft_size=FFT_SIZE)
    aperiodicity = np.repeat(shared, 2, axis=0)[: len(f0)]
    return np.where(f0[:, None] > 0, aperiodicity, 1.0)
