"""A streaming `hibari.dsp.synth`: spectra in as they are rendered, samples out as they are final.

    S = exp(lh) e^{i pi tanh(theta)} STFT(pulses(f0)) + exp(ln) Z + exp(lr) e^{i phi}

then one inverse STFT (1200 points, hop 300, Hann, 24 kHz). Rows are frames. What reaches over a
cut is carried: the phase of the pulses, the samples under the next STFT frames, the state of the
noise generator and the tail of the overlap-add. So the cuts leave no trace in the samples.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from serve_app.engines.hibari.pulses import OVERLAP, PulseTrain, frames_with_pulses
from serve_app.engines.hibari.upstream import HANN, HOP, N_FFT, Floats

Spectrum = npt.NDArray[np.complex64]

BINS = N_FFT // 2 + 1
_BLOCK = 32  # frames worked on at once: they stay in the L2 cache
_CENTRE = OVERLAP // 2  # hops between the start of a frame and its centre
_LARGEST_LOG_MAGNITUDE = np.float32(7.0)  # as in `dsp.ex`
_HOP_ENERGY = (HANN * HANN).reshape(OVERLAP, HOP)  # squared window, a row a hop
_FULL_ENERGY = _HOP_ENERGY.sum(axis=0)  # 1.5 everywhere
_HANN_NORMALISED = HANN / np.tile(_FULL_ENERGY, OVERLAP)


class Scratch:
    """Buffers for one block, shared by the vocoders of one thread.

    Fresh arrays of this size are mapped and cleared by the system each time, which took longer
    than the arithmetic.
    """

    def __init__(self) -> None:
        self.framed = np.empty((_BLOCK, N_FFT), np.float32)
        self.spectrum = np.empty((_BLOCK, BINS), np.complex64)
        self.term = np.empty((_BLOCK, BINS), np.complex64)
        self.magnitude = np.empty((_BLOCK, BINS), np.float32)
        self.part = np.empty((_BLOCK, BINS), np.float32)
        self.angle = np.empty((_BLOCK, BINS), np.float32)
        self.source = np.empty((_BLOCK, BINS), np.complex64)


class Vocoder:
    """The samples of one utterance, from its spectra in order.

    Args:
        f0: [F], Hz, of the whole utterance.
        rng: source of the noise, advanced by every frame.
        scratch: working memory; what it holds between calls does not matter.
    """

    def __init__(self, f0: Floats, rng: np.random.Generator, scratch: Scratch) -> None:
        self._pulses = PulseTrain(f0)
        self._has_pulses = frames_with_pulses(f0)
        self._rng = rng
        self._scratch = scratch
        self._frames = len(f0)
        self._next = 0
        self._tail = np.zeros((OVERLAP - 1, HOP), np.float32)

    def revise(self, f0: Floats) -> None:
        """Change what is to come: f0 [F] of the whole utterance, which may be longer or shorter.

        It must equal the former one in all frames given so far and the next two.
        """
        self._pulses.revise(f0)
        self._has_pulses = frames_with_pulses(f0)
        self._frames = len(f0)

    def push(self, spectra: Floats) -> Floats:
        """Take the next frames [n, 5 * BINS] and return the samples they complete.

        A sample is complete two frames later, so the first call returns two hops less than it is
        given and the last returns them on top: F * HOP in all.
        """
        blocks = (spectra[i : i + _BLOCK] for i in range(0, len(spectra), _BLOCK))
        return np.concatenate([self._synthesise(block) for block in blocks])

    def _synthesise(self, spectra: Floats) -> Floats:
        frames = self._scratch.framed[: len(spectra)]
        _irfft(self._spectrum(spectra), frames)
        frames *= _HANN_NORMALISED
        return self._overlap_add(frames.reshape(-1, OVERLAP, HOP))

    def _spectrum(self, spectra: Floats) -> Spectrum:
        lh, theta, ln, lr, phi = (spectra[:, i * BINS : (i + 1) * BINS] for i in range(5))
        spectrum = self._noise(ln)
        spectrum += self._polar(lr, phi)
        source, voiced = self._source(len(spectra))
        angle = np.tanh(theta[voiced], out=self._scratch.angle[: len(source)])
        angle *= np.pi
        source *= self._polar(lh[voiced], angle)
        spectrum[voiced] += source
        return spectrum

    def _source(self, count: int) -> tuple[Spectrum, slice]:
        """STFT of the pulses under the next `count` frames, centred and reflected at the
        utterance's ends as `dsp.stft` does. Only of the stretch, returned too, that has any."""
        frames = self._scratch.framed[:count]
        self._pulses.windowed_frames(frames)
        rows = np.flatnonzero(self._has_pulses[self._next : self._next + count])
        voiced = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
        source = self._scratch.source[: voiced.stop - voiced.start]
        if len(source):
            _rfft(frames[voiced], source)
        return source, voiced

    def _polar(self, log_magnitude: Floats, angle: Floats) -> Spectrum:
        """exp(log_magnitude + i angle). Cosines go to a dense buffer first: three times as fast."""
        term, part = self._scratch.term[: len(angle)], self._scratch.part[: len(angle)]
        magnitude = self._magnitude(log_magnitude)
        np.multiply(np.cos(angle, out=part), magnitude, out=term.real)
        np.multiply(np.sin(angle, out=part), magnitude, out=term.imag)
        return term

    def _noise(self, log_magnitude: Floats) -> Spectrum:
        count = len(log_magnitude)
        spectrum = self._scratch.spectrum[:count]
        spectrum[:] = gaussian_noise(self._rng, count)
        spectrum *= self._magnitude(log_magnitude)
        return spectrum

    def _magnitude(self, log: Floats) -> Floats:
        out = np.minimum(log, _LARGEST_LOG_MAGNITUDE, out=self._scratch.magnitude[: len(log)])
        return np.exp(out, out=out)

    def _overlap_add(self, frames: Floats) -> Floats:
        """Add frames [n, 4, HOP] to the carried tail; return the hops no later frame reaches."""
        count = len(frames)
        hops = np.zeros((count + OVERLAP - 1, HOP), np.float32)
        hops[: OVERLAP - 1] = self._tail
        for k in range(OVERLAP):
            hops[k : k + count] += frames[:, k]
        start, self._next = self._next, self._next + count
        self._tail = hops[count:]
        if self._next < self._frames:
            hops = hops[:count]
        return self._trim(hops, start)

    def _trim(self, hops: Floats, start: int) -> Floats:
        """Scale the hops near the ends, where fewer windows overlap, and drop the padding.

        Args:
            hops: overlap-added hops, the first of which begins with frame `start`.
        """
        for row in range(len(hops)):
            if not OVERLAP - 1 <= start + row < self._frames:
                hops[row] *= self._end_gain(start + row)
        first = max(0, _CENTRE - start)
        last = self._frames + _CENTRE - start
        return hops[first:last].reshape(-1)

    def _end_gain(self, hop: int) -> Floats:
        """Full overlap over the overlap of the windows that reach `hop`, per sample [HOP]."""
        reached = [k for k in range(OVERLAP) if 0 <= hop - k < self._frames]
        return _FULL_ENERGY / np.maximum(_HOP_ENERGY[reached].sum(axis=0), 1e-11)


def _rfft(frames: Floats, out: Spectrum) -> Spectrum:
    """Single precision, which NumPy 2 keeps and its types do not tell."""
    np.fft.rfft(frames, axis=1, out=cast(Any, out))
    return out


def _irfft(spectrum: Spectrum, out: Floats) -> None:
    np.fft.irfft(spectrum, N_FFT, axis=1, out=cast(Any, out))


def gaussian_noise(rng: np.random.Generator, frames: int) -> Spectrum:
    """The noise Z a `Vocoder` draws from `rng` for its next frames: [frames, BINS].

    Each frame is a stretch from anywhere in one long Gaussian sequence: fresh values took half of
    the vocoder's time, and the voice has little noise to hear them in (40 dB below the rest).
    """
    return _GAUSSIAN_STRETCHES[rng.integers(0, len(_GAUSSIAN_STRETCHES), frames)]


def _gaussian_stretches(count: int) -> Spectrum:
    """A view [count, BINS] of complex Gaussian values of unit variance a part; row i starts at
    value i."""
    values = np.random.default_rng(0).standard_normal((count + BINS - 1, 2), dtype=np.float32)
    values -= values.mean(axis=0)
    values /= values.std(axis=0)
    return np.lib.stride_tricks.sliding_window_view(values.view(np.complex64)[:, 0], BINS)


_GAUSSIAN_STRETCHES = _gaussian_stretches(1 << 16)
