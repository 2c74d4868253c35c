"""The harmonic source of HiFT as a stream: no cut into pieces changes a sample of it.

Upstream adds up the phase of a whole utterance in float32 and draws all its noise at once. Here an
utterance's phase is carried from frame to frame in float64 and modulo one cycle, and its noise is
drawn in blocks of one size.

Y. Li, C. Han, X. Jiang, N. Mesgarani: HiFTNet: a fast high-quality neural vocoder with
harmonic-plus-noise filter and inverse short time Fourier transform (2023), section 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from chatterbox.models.s3gen.hifigan import SourceModuleHnNSF
from torch import Tensor

_NOISE_BLOCK = 24_000  # samples; a generator gives the same values only if asked in the same sizes


class SourceStream:
    """How far the source of one utterance has come."""

    def __init__(self, seed: int, harmonics: int, device: torch.device) -> None:
        self._generator = torch.Generator(device).manual_seed(seed)
        self._noise = torch.empty(harmonics, 0, device=device)
        self.cycles = torch.zeros((), dtype=torch.float64, device=device)  # of F0, modulo 1
        self.offsets = self._starting_phases(harmonics)

    def _starting_phases(self, harmonics: int) -> Tensor:
        """Where each harmonic begins, in cycles, [harmonics]; that of F0 at 0 as upstream's."""
        offsets = torch.rand(harmonics, generator=self._generator, device=self._noise.device)
        offsets[0] = 0.0
        return offsets

    def noise(self, count: int) -> Tensor:
        """The next samples of standard normal noise, [harmonics, count]."""
        missing = math.ceil((count - self._noise.shape[1]) / _NOISE_BLOCK)
        noise = torch.cat((self._noise, *(self._block() for _ in range(missing))), dim=1)
        self._noise = noise[:, count:].clone()
        return noise[:, :count]

    def _block(self) -> Tensor:
        shape = (self._noise.shape[0], _NOISE_BLOCK)
        return torch.randn(shape, generator=self._generator, device=self._noise.device)


class HarmonicSource:
    """Sines at F0 and its multiples where voiced, noise elsewhere, mixed by upstream's layer."""

    def __init__(self, module: SourceModuleHnNSF, samples_per_frame: int) -> None:
        self._module = module
        self._sines = module.l_sin_gen
        device = module.l_linear.weight.device
        harmonics = torch.arange(1, self._sines.harmonic_num + 2, device=device)
        self._harmonics = harmonics.to(torch.float64)[:, None, None]
        positions = torch.arange(1, samples_per_frame + 1, device=device)  # its sum has the first
        self._seconds = positions.to(torch.float64) / self._sines.sampling_rate

    def begin(self, seed: int) -> SourceStream:
        """The source of a new utterance."""
        return SourceStream(seed, len(self._harmonics), self._seconds.device)

    def extend(self, streams: Sequence[SourceStream], f0: Tensor) -> Tensor:
        """The next samples [b, n samples_per_frame] of b streams, given their F0 [b, n] in Hz."""
        phases = self._phases(streams, f0)
        is_voiced = (f0 > self._sines.voiced_threshold).repeat_interleave(len(self._seconds), dim=1)
        noise = torch.stack([stream.noise(phases.shape[2]) for stream in streams])
        sines = self._sines.sine_amp * torch.sin(2 * math.pi * phases)
        waves = torch.where(
            is_voiced[:, None],
            sines + self._sines.noise_std * noise,
            self._sines.sine_amp / 3 * noise,
        )
        return self._module.l_tanh(self._module.l_linear(waves.transpose(1, 2))).squeeze(2)

    def _phases(self, streams: Sequence[SourceStream], f0: Tensor) -> Tensor:
        """Phase in cycles [b, harmonics, n samples_per_frame]; moves the streams on.

        F0 is constant over a frame, so the phase at a frame's start is a sum over frames.
        """
        f0 = f0.to(torch.float64)
        starts = torch.stack([stream.cycles for stream in streams])[:, None]
        ends = starts + torch.cumsum(f0 * self._seconds[-1], dim=1)
        for stream, end in zip(streams, ends[:, -1] % 1, strict=True):
            stream.cycles = end.clone()
        starts = torch.cat((starts, ends[:, :-1]), dim=1)
        cycles = starts[:, None, :, None] + f0[:, None, :, None] * self._seconds
        cycles = (cycles * self._harmonics % 1).flatten(2).float()
        return cycles + torch.stack([stream.offsets for stream in streams])[:, :, None]
