"""Frames in, samples out: WORLD's synthesis as a stream, so that its pieces have no joint.

Like pyworld.synthesize, each pulse and each stretch of noise sounds through the minimum-phase
filter of its frame. Unlike it, the phase of the pulses, the noise and what still rings are kept
from push to push, and noise is drawn a frame at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve_app.engines.world.analysis import BINS, FFT_SIZE, HOP, Floats, Frames
from serve_app.engines.world.capabilities import SAMPLE_RATE

Spectra = npt.NDArray[np.complex64]  # logarithm of a filter, [k, BINS]
Sound = npt.NDArray[np.float32]

_NOISE_SEED = 1
_PREROLL = 16  # samples that a pulse between two samples rings before it
_LEAST_SHARE = 1e-8  # of power, where a logarithm needs some
_FREQUENCIES = np.maximum(np.arange(BINS) * SAMPLE_RATE / FFT_SIZE, 2.0)


def _high_pass(corner: float) -> Floats:
    """Logarithm of the amplitude of a filter of second order, [BINS]."""
    return -0.5 * np.log1p((corner / _FREQUENCIES) ** 4)


_NO_RUMBLE = _high_pass(40.0)  # there is no speech below it, but the envelope is not 0 there
_NO_HUM = _high_pass(300.0)  # a vowel whose voicing dio missed would rumble as noise
_DELAY = (-2j * np.pi / FFT_SIZE * np.arange(BINS)).astype(np.complex64)  # of one sample


@dataclass(frozen=True, slots=True)
class _Filters:
    """What sounds in each frame."""

    f0: Floats  # [k]
    periodic: Spectra
    noise: Spectra


@dataclass(frozen=True, slots=True)
class _Pulses:
    """Where the vocal folds close."""

    positions: npt.NDArray[np.intp]  # samples, [p]
    delays: Floats  # how much later than the position, 0..1 samples, [p]
    f0: Floats  # Hz, [p]


class Synthesizer:
    """Brings out what sounds before the last frame pushed, less a few samples."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(_NOISE_SEED)
        self._previous: _Filters | None = None
        self._phase = 0.0  # periods since the last pulse
        self._ringing: Sound = np.zeros(_PREROLL, np.float32)  # what comes out next begins here
        self._too_early = _PREROLL  # samples before the first frame

    def push(self, frames: Frames) -> Floats:
        """What k more frames bring out, about k HOP samples."""
        filters = _filters(frames)
        if self._previous is not None:
            filters = _appended(self._previous, filters)
        self._previous = _last(filters)
        sound = self._sound(filters)
        early, self._too_early = self._too_early, max(0, self._too_early - len(sound))
        return sound[early:]

    def finish(self, length: int) -> Floats:
        """The next `length` samples without any more frames: what still rings."""
        return _fitted(self._ringing, length).astype(np.float64)

    def _sound(self, filters: _Filters) -> Floats:
        intervals = len(filters.f0) - 1
        sound = _fitted(self._ringing, _PREROLL + intervals * HOP + FFT_SIZE)
        self._add_noise(sound, filters.noise[:-1])
        self._add_pulses(sound, filters)
        self._ringing = sound[intervals * HOP :]
        return sound[: intervals * HOP].astype(np.float64)

    def _add_noise(self, sound: Sound, filters: Spectra) -> None:
        noise = self._random.standard_normal((len(filters), HOP)).astype(np.float32)
        responses = np.fft.irfft(np.fft.rfft(noise, FFT_SIZE) * np.exp(filters), FFT_SIZE)
        for index, response in enumerate(responses):
            start = _PREROLL + index * HOP
            sound[start : start + FFT_SIZE] += response

    def _add_pulses(self, sound: Sound, filters: _Filters) -> None:
        pulses, self._phase = _pulses(filters.f0, self._phase)
        logarithms = _between(filters, pulses.positions) + pulses.delays[:, None] * _DELAY
        periods = np.sqrt(SAMPLE_RATE / pulses.f0)
        spectra = np.exp(logarithms.astype(np.complex64)) * periods[:, None].astype(np.float32)
        responses = np.roll(np.fft.irfft(spectra, FFT_SIZE), _PREROLL, axis=1)
        for position, response in zip(pulses.positions, responses, strict=True):
            sound[position : position + FFT_SIZE] += response


def _filters(frames: Frames) -> _Filters:
    noise_share = np.clip(frames.aperiodicity, 0.0, 1.0) ** 2
    amplitude = 0.5 * frames.log_envelope + _NO_RUMBLE
    noise_amplitude = np.where(frames.f0[:, None] > 0, amplitude, amplitude + _NO_HUM)
    periodic_share = np.log(np.maximum(1.0 - noise_share, _LEAST_SHARE))
    return _Filters(
        frames.f0,
        _minimum_phase(amplitude + 0.5 * periodic_share),
        _minimum_phase(noise_amplitude + 0.5 * np.log(np.maximum(noise_share, _LEAST_SHARE))),
    )


def _minimum_phase(log_amplitude: Floats) -> Spectra:
    """The logarithm of the minimum-phase filter of an amplitude, by folding its cepstrum."""
    cepstrum = np.fft.irfft(log_amplitude.astype(np.float32), FFT_SIZE)
    cepstrum[:, 1 : FFT_SIZE // 2] *= 2.0
    cepstrum[:, FFT_SIZE // 2 + 1 :] = 0.0
    return np.fft.rfft(cepstrum).astype(np.complex64, copy=False)


def _appended(one: _Filters, other: _Filters) -> _Filters:
    return _Filters(
        np.concatenate([one.f0, other.f0]),
        np.concatenate([one.periodic, other.periodic]),
        np.concatenate([one.noise, other.noise]),
    )


def _last(filters: _Filters) -> _Filters:
    return _Filters(filters.f0[-1:], filters.periodic[-1:].copy(), filters.noise[-1:].copy())


def _pulses(f0: Floats, phase: float) -> tuple[_Pulses, float]:
    """Pulses between the first and the last frame, and the phase there.

    Between voiced frames F0 is interpolated; at the end of voicing it is held for half a frame.
    """
    left, right = f0[:-1, None], f0[1:, None]
    way = np.arange(HOP) / HOP
    start, stop = np.where(left > 0, left, right), np.where(right > 0, right, left)
    is_voiced = np.where(way < 0.5, left > 0, right > 0).ravel()
    course = (start + (stop - start) * way).ravel()
    phases = phase + np.cumsum(np.where(is_voiced, course, 0.0) / SAMPLE_RATE)
    (positions,) = np.nonzero(np.diff(np.floor(phases), prepend=np.floor(phase)))
    excess = phases[positions] % 1.0
    pulses = _Pulses(positions, 1.0 - excess * SAMPLE_RATE / course[positions], course[positions])
    return pulses, float(phases[-1] % 1.0) if len(phases) else phase


def _between(filters: _Filters, positions: npt.NDArray[np.intp]) -> Spectra:
    """Filters at positions between voiced frames, interpolated as logarithms, [p, BINS]."""
    before = positions // HOP
    after = before + 1
    way = (positions % HOP / HOP).astype(np.float32)
    way = np.where(filters.f0[before] > 0, way, np.float32(1.0))
    way = np.where(filters.f0[after] > 0, way, np.float32(0.0))[:, None]
    return (1 - way) * filters.periodic[before] + way * filters.periodic[after]


def _fitted(sound: Sound, length: int) -> Sound:
    """A copy with `length` samples, cut or filled with silence."""
    fitted = np.zeros(length, np.float32)
    kept = min(length, len(sound))
    fitted[:kept] = sound[:kept]
    return fitted
