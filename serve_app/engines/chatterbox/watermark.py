"""Perth's implicit watermark, written into a stream while it passes.

Perth raises and lowers the spectrum below 2 kHz by what its encoder says. It hears 32 kHz through
windows of 2048 samples every 320; at 24 kHz, 1536 every 240 are the same windows (64 ms every
10 ms) and the same bins (15.6 Hz), so nothing is resampled here. The stream itself goes through
untouched; only what the mark changes in it is synthesized, overlapped and added. That leaves no
joint between pieces, and nothing is altered above 2 kHz.

The encoder looks 15 frames to both sides. Of those before it a stream keeps all; for those after
it would have to wait 150 ms more. They are done without: as at the end of a file, which perth
knows too. For pieces of 0.1 s that changes the mark by a tenth of what it is, and it is detected
with full confidence all the same.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import perth
import torch
from perth.perth_net.perth_net_implicit.model.perth_net import PerthNet
from perth.perth_net.perth_net_implicit.utils import denormalize_spectrogram, normalize
from torch import Tensor

FloatArray = npt.NDArray[np.float32]

_WINDOW = 1536  # samples at 24 kHz
_HOP = 240
_BINS = _WINDOW // 2 + 1
_SCALE = 2048 / _WINDOW  # of a spectrum, by the length of perth's own window
_REACH = 15  # frames before one that the encoder looks at: five convolutions of seven

LAG = _WINDOW - 1
"""Samples at most, 64 ms, that went into a stream and have not come out yet."""

_SHORTEST = 0.05  # seconds; less does not fill the detector's first window


class Watermarker:
    """Perth's network, loaded once; any number of streams may share it.

    Args:
        device: of torch, where the marking is computed.

    Raises:
        RuntimeError: perth came without its watermarker.
    """

    def __init__(self, device: str = "cpu") -> None:
        if perth.PerthImplicitWatermarker is None:
            raise RuntimeError(
                "The package resemble-perth could not load its watermarker: it needs pkg_resources."
                " Install setuptools < 81."
            )
        with contextlib.redirect_stdout(io.StringIO()):  # it tells which checkpoint it loads
            self._perth = perth.PerthImplicitWatermarker(device=device)
        self._net: PerthNet = self._perth.perth_net.eval()
        self._device = torch.device(device)

    def stream(self) -> WatermarkStream:
        """A new stream to mark."""
        return WatermarkStream(self._factors, self._device)

    @torch.inference_mode()
    def detect(self, samples: FloatArray, sample_rate: int) -> float:
        """Confidence 0..1 that samples [n] at `sample_rate` Hz are marked.

        0 where there is nothing to hear: in digital silence, or in less than 50 ms.
        """
        if len(samples) < _SHORTEST * sample_rate or not samples.any():
            return 0.0
        return float(self._perth.get_watermark(samples, sample_rate, round=False))

    def _factors(self, magnitudes: Tensor) -> Tensor:
        """By what the mark multiplies a spectrum of such magnitudes [k, _BINS], [k, _BINS]."""
        hp = self._net.hp
        levels = 20 * torch.log10((magnitudes * _SCALE).clip(hp.stft_magnitude_min))
        heard = normalize(hp, levels).T[None]
        marked, _ = self._net.encoder(heard)
        decibels = denormalize_spectrogram(hp, marked) - denormalize_spectrogram(hp, heard)
        return 10 ** (decibels[0].T / 20)


class WatermarkStream:
    """One stream of samples at 24 kHz; silence is before and after it."""

    def __init__(self, factors: Callable[[Tensor], Tensor], device: torch.device) -> None:
        self._factors = factors
        self._window = torch.hann_window(_WINDOW, device=device)
        self._overlap = _sum_of_hops(self._window**2)
        self._too_early = _WINDOW // 2  # the first frame is centered on the first sample
        self._kept = self._window.new_zeros(self._too_early)  # what is not marked yet
        self._ringing = self._window.new_zeros(_WINDOW - _HOP)  # what past frames add to it
        self._magnitudes = self._window.new_zeros(0, _BINS)  # of past frames
        self._held = 0  # samples taken and not brought out

    def push(self, samples: FloatArray) -> FloatArray:
        """Take samples [n] and return what is marked by now, at most LAG less than was taken.

        The mark may carry a sample of full scale a little beyond -1..1.
        """
        self._held += len(samples)
        new = torch.tensor(samples, dtype=torch.float32, device=self._kept.device)
        return self._advance(new)

    def finish(self) -> FloatArray:
        """The rest, so that as many samples came out as went in."""
        return self._advance(self._kept.new_zeros(_WINDOW))

    @torch.inference_mode()
    def _advance(self, new: Tensor) -> FloatArray:
        self._kept = torch.cat((self._kept, new))
        if len(self._kept) < _WINDOW:
            return np.zeros(0, np.float32)
        added = self._added(self._kept.unfold(0, _WINDOW, _HOP))
        marked = self._kept[: len(added)] + added
        self._kept = self._kept[len(added) :].clone()
        early, self._too_early = self._too_early, max(0, self._too_early - len(marked))
        out = marked[early:][: self._held]
        self._held -= len(out)
        return out.cpu().numpy()

    def _added(self, frames: Tensor) -> Tensor:
        """What the mark adds to the hops at which frames [k, _WINDOW] begin, [k _HOP]."""
        spectra = torch.fft.rfft(frames * self._window)
        changed = spectra * (self._next_factors(spectra.abs()) - 1)
        sound = _overlapped(torch.fft.irfft(changed, _WINDOW) * self._window)
        sound[: len(self._ringing)] += self._ringing
        sound, self._ringing = sound.tensor_split([len(frames) * _HOP])
        return (sound.view(-1, _HOP) / self._overlap).flatten()

    def _next_factors(self, magnitudes: Tensor) -> Tensor:
        context = torch.cat((self._magnitudes, magnitudes))
        self._magnitudes = context[-_REACH:].clone()
        return self._factors(context)[-len(magnitudes) :]


def _overlapped(frames: Tensor) -> Tensor:
    """The sum of frames [k, _WINDOW], each a hop later than the one before, [samples]."""
    length = (len(frames) - 1) * _HOP + _WINDOW
    folded = torch.nn.functional.fold(frames.T[None], (1, length), (1, _WINDOW), stride=(1, _HOP))
    return folded.flatten()


def _sum_of_hops(window: Tensor) -> Tensor:
    """The sum of windows [_WINDOW] a hop apart without end, which repeats each hop, [_HOP]."""
    padded = torch.nn.functional.pad(window, (0, -_WINDOW % _HOP))
    return padded.view(-1, _HOP).sum(dim=0)
