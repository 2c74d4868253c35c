"""From one voice to another: F0 shifted and scaled, the envelope warped and equalised.

The other voice is that of a recording, or the source's own in another shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serve_app.domain.types import VoiceShape
from serve_app.engines.world.analysis import BINS, Floats, Frames
from serve_app.engines.world.capabilities import SAMPLE_RATE
from serve_app.engines.world.profile import (
    Profile,
    band_centres,
    band_frequencies,
    levels,
    mel,
    sonority,
)

LEAST_WARP, MOST_WARP = 0.75, 1.35
LEAST_RANGE, MOST_RANGE = 0.6, 1.7  # of pitch: more is agitated, less is monotonous

_NEPER = 10 / np.log(10)  # dB in one unit of the natural logarithm of power
_FREQUENCIES = np.linspace(0, SAMPLE_RATE / 2, BINS)
_LOWEST_F0, _HIGHEST_F0 = 50.0, 700.0  # Hz, of the output
_LEAST_DEVIATION = 0.02
_USUAL, _ROOM = 1.5, 0.75  # deviations: what is further out, creak or an octave error, is drawn in
_LOUDEST = -21.0  # dBFS of voiced frames; pulses in phase have higher peaks than a recording

_FORMANTS = (250.0, 6000.0)  # Hz, where formants are looked for
_FORMANTS_BY_F0 = 0.25  # voices an octave apart have formants about 2 ** 0.25 apart
_TRUST_IN_F0 = 300.0  # dB^2 that a warp costs which is off that by e
_KNEE = 8000.0  # Hz up to which the envelope is warped alike; the rest is fitted in

_MOST_VOICED = 15.0  # dB of equalisation
_MOST_UNVOICED = 8.0
_SMOOTHING = np.array([1.0, 2.0, 1.0]) / 4.0  # over bands
_TILTED = 500.0  # Hz above which brightness counts
_SPEECH, _SILENCE = -30.0, -45.0  # dB below the voice: as it is mapped, and never amplified


@dataclass(frozen=True, slots=True)
class Mapping:
    """How frames of one voice become frames of another."""

    pitch_from: float  # natural logarithm of F0, as all pitches
    pitch_to: float
    pitch_deviation: float  # of the source
    pitch_range: float  # what it is multiplied by
    level: float  # dB, of the source's voice
    warp: float  # how much higher the formants get
    voiced_gain: Floats  # natural logarithm of power, [BINS]
    unvoiced_gain: Floats

    @classmethod
    def between(cls, source: Profile, target: Profile) -> Mapping:
        """The mapping that gives the source's voice the target's pitch, formants and colour."""
        warp = find_warp(source, target)
        voiced = _equaliser(source.voiced, target.voiced, warp, _MOST_VOICED)
        unvoiced = _equaliser(source.unvoiced, target.unvoiced, warp, _MOST_UNVOICED)
        deviation = _deviation(source)
        gain = _quieting(source)
        return cls(
            pitch_from=source.pitch,
            pitch_to=target.pitch,
            pitch_deviation=deviation,
            pitch_range=float(np.clip(target.pitch_deviation / deviation, LEAST_RANGE, MOST_RANGE)),
            level=source.level,
            warp=warp,
            voiced_gain=voiced + gain,
            unvoiced_gain=unvoiced + gain,
        )

    @classmethod
    def shaped(cls, source: Profile, shape: VoiceShape) -> Mapping:
        """The mapping that changes the source's own voice, and keeps its loudness."""
        gain = _quieting(source)
        return cls(
            pitch_from=source.pitch,
            pitch_to=source.pitch + float(np.log(shape.pitch)),
            pitch_deviation=_deviation(source),
            pitch_range=shape.intonation,
            level=source.level,
            warp=shape.formants,
            voiced_gain=_tilt(source.voiced, shape) + gain,
            unvoiced_gain=_tilt(source.unvoiced, shape) + gain,
        )

    def apply(self, frames: Frames) -> Frames:
        """The same words in the other voice."""
        voiced = sonority(frames.f0, frames.log_envelope)[:, None]
        gain = voiced * self.voiced_gain + (1 - voiced) * self.unvoiced_gain
        activity = (levels(frames.log_envelope) - self.level - _SILENCE) / (_SPEECH - _SILENCE)
        gain = np.minimum(gain, 0) + np.clip(activity, 0, 1)[:, None] * np.maximum(gain, 0)
        envelope = _warped(frames.log_envelope, self.warp) + gain
        return Frames(self._f0(frames.f0), envelope, frames.aperiodicity)

    def _f0(self, f0: Floats) -> Floats:
        pitch = np.log(np.where(f0 > 0, f0, 1.0)) - self.pitch_from
        pitch = self.pitch_deviation * _drawn_in(pitch / self.pitch_deviation)
        mapped = np.exp(pitch * self.pitch_range + self.pitch_to)
        return np.where(f0 > 0, np.clip(mapped, _LOWEST_F0, _HIGHEST_F0), 0.0)


def _deviation(source: Profile) -> float:
    return max(source.pitch_deviation, _LEAST_DEVIATION)


def _quieting(source: Profile) -> float:
    """What a loud source is amplified by, 0 or less: natural logarithm of power."""
    return min(0.0, _LOUDEST - source.level) / _NEPER


def _drawn_in(deviations: Floats) -> Floats:
    """Deviations as they are up to _USUAL, and never more than _USUAL + _ROOM."""
    beyond = np.maximum(np.abs(deviations) - _USUAL, 0.0)
    bent = np.sign(deviations) * (_USUAL + _ROOM * np.tanh(beyond / _ROOM))
    return np.where(beyond > 0, bent, deviations)


def find_warp(source: Profile, target: Profile) -> float:
    """By what factor the source's formants must rise to lie where the target's do.

    The factor that makes the mean spectra of voiced speech most alike once slope and curvature
    are set apart (they are the recording's as much as the voice's), held near what the difference
    in pitch lets expect, because words and channels differ too.
    """
    if source.formants == target.formants:
        return 1.0
    expected = _FORMANTS_BY_F0 * (target.pitch - source.pitch)
    warps = np.geomspace(LEAST_WARP, MOST_WARP, 61)
    costs = [
        _unlikeness(source, target, warp) + _TRUST_IN_F0 * (np.log(warp) - expected) ** 2
        for warp in warps
    ]
    return float(warps[int(np.argmin(costs))])


def _unlikeness(source: Profile, target: Profile, warp: float) -> float:
    """Mean square in dB^2 of what a parabola leaves of the difference of two spectra."""
    centres = band_centres()
    chosen = (centres > mel(_FORMANTS[0])) & (centres < mel(_FORMANTS[1]))
    difference = (np.array(target.formants) - _warped_bands(source.formants, warp))[chosen]
    basis = np.vander(np.linspace(-1, 1, len(difference)), 3)
    fitted, *_ = np.linalg.lstsq(basis, difference, rcond=None)
    return float(np.mean((difference - basis @ fitted) ** 2))


def _warped_bands(spectrum: tuple[float, ...], warp: float) -> Floats:
    return np.interp(mel(_origin(band_frequencies(), warp)), band_centres(), spectrum)


def _origin(frequencies: Floats, warp: float) -> Floats:
    """Where in the source what is at these frequencies after a warp comes from, in Hz."""
    knee = _KNEE * min(1.0, warp)
    return np.interp(frequencies, [0.0, knee, SAMPLE_RATE / 2], [0.0, knee / warp, SAMPLE_RATE / 2])


def _warped(log_envelopes: Floats, warp: float) -> Floats:
    """Envelopes [k, BINS] with their formants `warp` times as high."""
    positions = _origin(_FREQUENCIES, warp) / _FREQUENCIES[1]
    below = np.minimum(positions.astype(np.intp), BINS - 2)
    way = positions - below
    return log_envelopes[:, below] * (1 - way) + log_envelopes[:, below + 1] * way


def _equaliser(
    source: tuple[float, ...], target: tuple[float, ...], warp: float, most: float
) -> Floats:
    """The gain [BINS] that brings one mean spectrum near another and keeps its loudness."""
    warped = _warped_bands(source, warp)
    difference = np.array(target) - warped
    difference -= _loudness(np.array(target)) - _loudness(np.array(source))
    padded = np.pad(difference, len(_SMOOTHING) // 2, mode="edge")
    smooth = np.clip(np.convolve(padded, _SMOOTHING, "valid"), -most, most)
    return np.interp(mel(_FREQUENCIES), band_centres(), smooth) / _NEPER


def _tilt(spectrum: tuple[float, ...], shape: VoiceShape) -> Floats:
    """The gain [BINS] of a shape's brightness; a mean spectrum stays as loud as it is."""
    tilted = _warped_bands(spectrum, shape.formants)
    tilted += shape.brightness * _octaves(band_frequencies())
    louder = _loudness(tilted) - _loudness(np.array(spectrum))
    return (shape.brightness * _octaves(_FREQUENCIES) - louder) / _NEPER


def _octaves(frequencies: Floats) -> Floats:
    """How far these are above _TILTED."""
    return np.log2(np.maximum(frequencies / _TILTED, 1.0))


def _loudness(spectrum: Floats) -> float:
    """dB of a spectrum [BANDS], as bands of equal width in mel are heard about equally."""
    return float(10 * np.log10(np.mean(10 ** (spectrum / 10))))
