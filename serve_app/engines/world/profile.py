"""What is known of a voice: its pitch, and its mean spectra."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve_app.domain.errors import InvalidAudio
from serve_app.domain.types import Samples
from serve_app.engines.world.analysis import (
    BINS,
    FFT_SIZE,
    FRAMES_PER_SECOND,
    HOP,
    REACH,
    Floats,
    log_envelope,
    refine_f0,
    to_signal,
    track_f0,
)
from serve_app.engines.world.capabilities import SAMPLE_RATE

BANDS = 64
LEAST_VOICED_SECONDS = 0.5

_LOWEST_BAND, _HIGHEST_BAND = 80.0, 11_500.0  # Hz
_PIECE = 5 * SAMPLE_RATE
_MOST_FRAMES = 800  # of each kind that are looked at, spread over the recording
_CREAK = 71.0  # Hz, WORLD's own lower limit of F0
_HISS = 4000 * FFT_SIZE // SAMPLE_RATE  # bin from which on it is counted
_DYNAMICS = 30.0  # dB below the voiced frames, where speech ends
_ABOVE_NOISE = 10.0  # dB above the quietest frames, where speech begins
_DECIBELS = 10 / np.log(10)  # in one unit of the natural logarithm of power
_VERSION = b"WORLD-1\n"
_LAYOUT = struct.Struct(f"<{3 + 3 * BANDS}d")


@dataclass(frozen=True, slots=True)
class Profile:
    """A voice. Spectra are of the power envelope in dB, in BANDS bands (`band_centres`)."""

    pitch: float  # natural logarithm of the median F0 in Hz
    pitch_deviation: float  # of that logarithm
    level: float  # dB, median power of the voiced frames
    formants: tuple[float, ...]  # mean of the voiced frames' dB: each counts alike
    voiced: tuple[float, ...]  # mean of their power: the long-term spectrum
    unvoiced: tuple[float, ...]  # mean power of consonants, not of silence

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """What `to_bytes` made bytes of.

        Raises:
            ValueError: the bytes are damaged or of another version.
        """
        if len(data) != len(_VERSION) + _LAYOUT.size or not data.startswith(_VERSION):
            raise ValueError("These bytes are no profile of a voice of this version.")
        numbers: tuple[float, ...] = _LAYOUT.unpack(data[len(_VERSION) :])
        if not np.isfinite(numbers).all():
            raise ValueError("This profile of a voice is damaged.")
        spectra = [numbers[start : start + BANDS] for start in range(3, len(numbers), BANDS)]
        return cls(numbers[0], numbers[1], numbers[2], spectra[0], spectra[1], spectra[2])

    def to_bytes(self) -> bytes:
        """The version and the numbers as little-endian doubles."""
        spectra = (*self.formants, *self.voiced, *self.unvoiced)
        return _VERSION + _LAYOUT.pack(self.pitch, self.pitch_deviation, self.level, *spectra)


def mel(frequency: npt.ArrayLike) -> Floats:
    """Frequencies in Hz on the mel scale (O'Shaughnessy, 1987)."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency, np.float64) / 700.0)


def band_centres() -> Floats:
    """Centres of the bands in mel, [BANDS], evenly spaced."""
    return np.linspace(float(mel(_LOWEST_BAND)), float(mel(_HIGHEST_BAND)), BANDS)


def band_frequencies() -> Floats:
    """The same centres in Hz, [BANDS]."""
    return 700.0 * (10 ** (band_centres() / 2595.0) - 1)


def _band_weights() -> Floats:
    """[BINS, BANDS]; low bands are narrower than a bin and interpolate between two."""
    bins = np.linspace(0, SAMPLE_RATE / 2, BINS)
    centres = band_centres()
    width = centres[1] - centres[0]
    weights: Floats = np.maximum(0, 1 - np.abs(mel(bins)[:, None] - centres) / width)
    nearest = np.maximum(0, 1 - np.abs(bins[:, None] - band_frequencies()) / bins[1])
    weights = np.where(weights.sum(axis=0) < 2, nearest, weights)
    return weights / weights.sum(axis=0)


_BAND_WEIGHTS = _band_weights()


def analyse(samples: Samples) -> Profile:
    """The voice in samples [n] of 24 kHz.

    Raises:
        InvalidAudio: fewer than LEAST_VOICED_SECONDS of it are voiced.
    """
    signal = to_signal(samples)
    f0 = _track(signal)
    voiced = np.flatnonzero(f0 > 0)
    seconds = len(voiced) / FRAMES_PER_SECOND
    if seconds < LEAST_VOICED_SECONDS:
        raise InvalidAudio(
            "There is too little speech in the recording to learn its voice from.",
            f"{seconds:.2f} s of it are voiced; {LEAST_VOICED_SECONDS} s are needed.",
        )
    return _profile(np.pad(signal, REACH), f0, voiced)


def _track(signal: Floats) -> Floats:
    """F0 in Hz every HOP, in pieces: dio takes twice as long for a second of a long signal."""
    starts = range(0, len(signal) - HOP, _PIECE)
    tracks = [track_f0(signal[start : start + _PIECE])[: _PIECE // HOP] for start in starts]
    return np.concatenate([np.zeros(0), *tracks])


def _profile(padded: Floats, f0: Floats, voiced: npt.NDArray[np.intp]) -> Profile:
    refined, spectra = _look(padded, f0, _spread(voiced))
    _, others = _look(padded, f0, _spread(np.flatnonzero(f0 == 0)))
    level = float(np.median(levels(spectra)))
    sonorous = spectra[(sonority(refined, spectra) == 1) & (levels(spectra) > level - _DYNAMICS)]
    vowels = sonorous if len(sonorous) else spectra
    noisy = np.concatenate([spectra[sonority(refined, spectra) < 0.5], others])
    consonants = _audible(noisy, level)
    logarithms = np.log(_without_creak(refined[refined > 0]))
    return Profile(
        pitch=float(np.median(logarithms)),
        pitch_deviation=_deviation(logarithms),
        level=level,
        formants=_mean_decibels(vowels),
        voiced=_decibels_of_mean(vowels),
        unvoiced=_decibels_of_mean(consonants if len(consonants) else vowels),
    )


def _mean_decibels(log_envelopes: Floats) -> tuple[float, ...]:
    return tuple((_DECIBELS * log_envelopes.mean(axis=0) @ _BAND_WEIGHTS).tolist())


def _decibels_of_mean(log_envelopes: Floats) -> tuple[float, ...]:
    power = np.exp(log_envelopes).mean(axis=0) @ _BAND_WEIGHTS
    return tuple((_DECIBELS * np.log(power)).tolist())


def _look(padded: Floats, f0: Floats, chosen: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """F0 [k] and logarithmic envelopes [k, BINS] of the chosen frames [k]."""
    times = (REACH + HOP * chosen) / SAMPLE_RATE
    refined = refine_f0(padded, f0[chosen], times)
    return refined, log_envelope(padded, refined, times)


def _spread(frames: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    step = -(-len(frames) // _MOST_FRAMES)
    return frames[:: max(1, step)]


def levels(log_envelopes: Floats) -> Floats:
    """Power of each frame in dB, [k]."""
    return 10 * np.log10(np.exp(log_envelopes).mean(axis=1))


def sonority(f0: Floats, log_envelopes: Floats) -> Floats:
    """From 0 for a hiss to 1 for a vowel, [k], by the power below and above 4 kHz.

    An F0 alone is not enough: dio finds one in many a sibilant.
    """
    power = np.exp(log_envelopes)
    ratio = power[:, :_HISS].sum(axis=1) / power[:, _HISS:].sum(axis=1)
    return np.where(f0 > 0, np.clip(np.log10(ratio), 0.0, 1.0), 0.0)


def _audible(log_envelopes: Floats, level: float) -> Floats:
    """Those unvoiced frames [k, BINS] that are neither silence nor background noise."""
    loudness = levels(log_envelopes)
    if not len(loudness):
        return log_envelopes
    floor = max(level - _DYNAMICS, float(np.percentile(loudness, 10)) + _ABOVE_NOISE)
    return log_envelopes[loudness > floor]


def _without_creak(f0: Floats) -> Floats:
    """What is not lower than any voice speaks, unless all of it is."""
    modal = f0[f0 > _CREAK]
    return modal if len(modal) else f0


def _deviation(logarithms: Floats) -> float:
    """Half the distance of the 16th and the 84th percentile, which octave errors do not reach."""
    low, high = np.percentile(logarithms, (16, 84))
    return float(high - low) / 2
