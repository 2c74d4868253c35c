"""Loudness of a whole signal, by EBU R 128 or by its peak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from serve_app.audio.filters import FilterChain, Signal, join, to_samples, to_signal
from serve_app.domain.types import Samples

NormalizeMethod = Literal["ebu", "peak"]

SILENCE_LUFS = -70.0  # the absolute gate of BS.1770-4: nothing below it is measured

_MIN_MEASURED_SECONDS = 1.0  # a gating block takes 0.4 s
_MIN_COMPRESSED_SECONDS = 4.0  # loudnorm looks 3 s ahead; a loudness range takes longer to settle
_RELATIVE_GATE_LU = 10.0  # BS.1770-4
_PROBE_PEAK = 0.5  # ebur128 reports peaks with three decimals, so it measures at a known level
_TRUE_PEAK_MARGIN_DB = 0.05  # those decimals, and the rounding to 16 bits


@dataclass(frozen=True, slots=True)
class _Loudness:
    integrated: float  # LUFS
    range: float  # LU
    true_peak: float  # dBTP


@dataclass(frozen=True, slots=True)
class _Target:
    level: float  # LUFS
    true_peak: float  # dBTP
    range: float  # LU


def normalize(
    samples: Samples,
    sample_rate: int,
    method: NormalizeMethod = "ebu",
    level: float = -24.0,
    true_peak: float = -2.0,
    loudness_range: float = 7.0,
) -> Samples:
    """Samples [n] at `level`, as samples [n]; silence stays as it is.

    ebu: `level` in LUFS (ITU-R BS.1770-4), as near as `true_peak` (dBTP) allows; a signal with
    more than `loudness_range` (LU, EBU Tech 3342) is compressed. peak: the highest sample comes
    to `level` dBFS, 0 at most.
    """
    if not samples.any():
        return samples
    signal = to_signal(samples)
    if method == "peak":
        return to_samples(_amplified(signal, min(level, 0.0) - _peak_dbfs(signal)))
    return _ebu(samples, signal, sample_rate, _Target(level, true_peak, loudness_range))


def _ebu(samples: Samples, signal: Signal, sample_rate: int, target: _Target) -> Samples:
    measured = _measure(signal, sample_rate)
    if measured.integrated <= SILENCE_LUFS:
        return samples
    if _needs_compression(signal, sample_rate, measured, target):
        signal = _compressed(signal, sample_rate, measured, target)
        measured = _measure(signal, sample_rate)
    return to_samples(_amplified(signal, _gain(measured, target)))


def _gain(measured: _Loudness, target: _Target) -> float:
    """The gain in dB to the target's level, or as far towards it as its true peak allows."""
    headroom = target.true_peak - _TRUE_PEAK_MARGIN_DB - measured.true_peak
    return min(target.level - measured.integrated, headroom)


def _needs_compression(
    signal: Signal, sample_rate: int, measured: _Loudness, target: _Target
) -> bool:
    """Whether one gain for the whole signal would miss the target, as loudnorm decides it."""
    if len(signal) < _MIN_COMPRESSED_SECONDS * sample_rate:
        return False
    gain = target.level - measured.integrated
    return gain > _gain(measured, target) or measured.range > target.range


def _compressed(signal: Signal, sample_rate: int, measured: _Loudness, target: _Target) -> Signal:
    """The second pass of FFmpeg's loudnorm, which works at 192 kHz; signal [n] to signal [n]."""
    chain = FilterChain(
        sample_rate,
        ("loudnorm", _loudnorm_arguments(measured, target)),
        ("aresample", str(sample_rate)),
    )
    frames = [*chain.push(signal), *chain.flush()]
    compressed = join(frames)[: len(signal)]
    return np.pad(compressed, (0, len(signal) - len(compressed)))


def _loudnorm_arguments(measured: _Loudness, target: _Target) -> str:
    values = {
        "I": np.clip(target.level, -70, -5),
        "TP": np.clip(target.true_peak, -9, 0),
        "LRA": np.clip(target.range, 1, 50),
        "measured_I": np.clip(measured.integrated, -99, 0),
        "measured_TP": np.clip(measured.true_peak, -99, 99),
        "measured_LRA": np.clip(measured.range, 0, 99),
        "measured_thresh": np.clip(measured.integrated - _RELATIVE_GATE_LU, -99, 0),
    }
    return ":".join(f"{name}={value:.2f}" for name, value in values.items())


def _measure(signal: Signal, sample_rate: int) -> _Loudness:
    """Loudness by FFmpeg's ebur128 filter; a signal under a second is measured as a loop."""
    peak = _peak_dbfs(signal)
    offset = 20 * math.log10(_PROBE_PEAK) - peak
    chain = FilterChain(sample_rate, ("ebur128", "metadata=1:peak=true"))
    frames = chain.push(_measurable(_amplified(signal, offset), sample_rate))
    facts = [frame.metadata for frame in [*frames, *chain.flush()] if frame.metadata][-1]
    return _Loudness(
        integrated=float(facts["lavfi.r128.I"]) - offset,
        range=float(facts["lavfi.r128.LRA"]),
        true_peak=20 * math.log10(float(facts["lavfi.r128.true_peak"])) - offset,
    )


def _measurable(signal: Signal, sample_rate: int) -> Signal:
    """At least a second of the signal, and silence up to ebur128's next report, each 0.1 s."""
    repeats = math.ceil(_MIN_MEASURED_SECONDS * sample_rate / len(signal))
    return np.concatenate([np.tile(signal, repeats), np.zeros(math.ceil(0.1 * sample_rate))])


def _amplified(signal: Signal, gain: float) -> Signal:
    """The signal with a gain in dB."""
    return signal * 10 ** (gain / 20)


def _peak_dbfs(signal: Signal) -> float:
    return 20 * math.log10(float(np.abs(signal).max()))
