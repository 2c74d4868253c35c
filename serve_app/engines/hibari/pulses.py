"""The excitation of voiced speech: `hibari.dsp.pulses`, made frame by frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from serve_app.engines.hibari.upstream import HANN_SOURCE, HOP, N_FFT, SAMPLE_RATE, Floats

OVERLAP = N_FFT // HOP
UNVOICED_BELOW = 40.0  # Hz
HIGHEST_HARMONIC = 11_000.0  # Hz
_HALF = HOP // 2
_REFLECTED = OVERLAP // 2 + 1
_WINDOW = HANN_SOURCE.reshape(OVERLAP, HOP)
_PI = np.float32(np.pi)
_OFFSET = (((np.arange(HOP) + 0.5) / HOP - 0.5) % 1.0).astype(np.float32)
"""Where each sample of a hop lies between the frame centres around it: 0 at the earlier one."""


def frames_with_pulses(f0: Floats) -> npt.NDArray[np.bool_]:
    """Which STFT frames [F] can hold a pulse: those within three frames of a voiced one, for a
    frame spans two hops to either side, whose f0 leans on one frame more."""
    voiced = np.pad(f0 > UNVOICED_BELOW, _REFLECTED)
    around = np.lib.stride_tricks.sliding_window_view(voiced, 2 * _REFLECTED + 1)
    return np.logical_or.reduce(around, axis=1)


class PulseTrain:
    """Band-limited pulses at f0, in the overlapping frames of an STFT.

    Carries the phase and the samples that the next frames need, so the frames do not depend on how
    many are asked for at a time.
    """

    def __init__(self, f0: Floats) -> None:
        self._f0 = np.pad(f0, 1, mode="edge")  # [F + 2]
        self._made = 0  # frames of f0 turned into samples
        self._cycles = 0.0  # phase at that point, in [0, 1)
        self._hops = np.zeros((0, HOP), np.float32)  # from the start of the next STFT frame on

    def revise(self, f0: Floats) -> None:
        """Go on with another f0 [F], the same as before up to and including the second frame after
        those already asked for (at least three)."""
        self._f0 = np.pad(f0, 1, mode="edge")

    def windowed_frames(self, out: Floats) -> None:
        """Write the next STFT frames, windowed, to `out` [n, N_FFT]."""
        count = len(out)
        self._extend(count + OVERLAP - 1)
        frames = out.reshape(count, OVERLAP, HOP)
        for k in range(OVERLAP):
            np.multiply(self._hops[k : k + count], _WINDOW[k], out=frames[:, k])
        self._hops = self._hops[count:]

    def _extend(self, needed: int) -> None:
        """Make hops until `needed` are there; the utterance is reflected at its two ends only."""
        first, total = self._made == 0, len(self._f0) - 2
        missing = needed - len(self._hops) - (OVERLAP // 2 if first else 0)
        more = min(total - self._made, max(missing, OVERLAP) if first else missing)
        if missing <= 0 or not more:
            return
        samples = self._pulses(more)
        if first:
            samples = np.pad(samples, (N_FFT // 2, 0), mode="reflect")
        samples = np.concatenate([self._hops.reshape(-1), samples])
        if self._made == total:
            samples = np.pad(samples, (0, N_FFT // 2), mode="reflect")
        self._hops = samples.reshape(-1, HOP)

    def _pulses(self, frames: int) -> Floats:
        """Samples [frames * HOP] of every harmonic up to `HIGHEST_HARMONIC` at unit amplitude:

        sum_{h<=H} cos(h t) = sin((H + 1/2) t) / (2 sin(t/2)) - 1/2, and 0 where unvoiced.
        """
        hertz = self._hertz(frames)
        self._made += frames
        unvoiced = hertz <= UNVOICED_BELOW
        np.maximum(hertz, UNVOICED_BELOW, out=hertz)
        cycles = self._cycles_at(hertz)
        harmonics = np.floor(HIGHEST_HARMONIC / hertz, out=hertz)
        harmonics += 0.5
        denominator = np.sin(cycles * _PI)
        denominator *= 2
        at_pulse = np.abs(denominator) <= 2e-3
        denominator[at_pulse] = 1
        cycles *= 2 * _PI
        cycles *= harmonics
        pulses = np.sin(cycles, out=cycles)
        pulses /= denominator
        pulses[at_pulse] = harmonics[at_pulse]  # the limit
        pulses -= 0.5
        np.copyto(pulses, 0, where=unvoiced)
        return pulses

    def _hertz(self, frames: int) -> Floats:
        """f0 at every sample of the next `frames`, linear between the centres of frames."""
        around = self._f0[self._made : self._made + frames + 2, None]
        hertz = np.empty((frames, HOP), np.float32)
        early, late = _OFFSET[:_HALF], _OFFSET[_HALF:]
        hertz[:, :_HALF] = around[:-2] * (1 - early) + around[1:-1] * early
        hertz[:, _HALF:] = around[1:-1] * (1 - late) + around[2:] * late
        return hertz.reshape(-1)

    def _cycles_at(self, hertz: Floats) -> Floats:
        """Phase in [0, 1) at every sample; summed in double, for the sum grows without end."""
        cycles = np.cumsum(hertz, dtype=np.float64)
        cycles *= 1.0 / SAMPLE_RATE
        cycles += self._cycles
        cycles -= np.floor(cycles)
        self._cycles = float(cycles[-1])
        return cycles.astype(np.float32)
