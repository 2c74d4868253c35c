"""HiFT in windows: mel in as it is made, samples out that are those of one run over all of it.

    mel kept   |-- margin --|---- brought out ----|-- margin --|- F0 -|
    source     |-- kept ----|------------- made now -----------|

What is near a window's ends would sound different with more mel around it, so it is only context
and is not brought out; at the true ends of an utterance there is nothing else to hear, and it is.
Phase and noise of the source are those of the utterance (`source`), so windows need no crossfade.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from chatterbox.models.s3gen.hifigan import HiFTGenerator
from torch import Tensor
from torch.nn.utils import parametrize

from serve_app.engines.chatterbox.models import SAMPLE_RATE, SAMPLES_PER_FRAME
from serve_app.engines.chatterbox.s3gen.source import HarmonicSource, SourceStream

F0_REACH = 5  # frames to either side that the F0 of a frame depends on: five convolutions of three

_MEL_BANDS = 80
_LEAST_MARGIN = math.ceil(F0_REACH / 2)  # two margins are the mel kept before the next F0
_SILENCED = SAMPLE_RATE // 50  # samples, as long again to fade in: upstream's `trim_fade`


class VocoderStream:
    """One utterance on its way through a `Vocoder`, the only one that writes it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.made = 0  # frames brought out so far
        self.mel = torch.zeros(_MEL_BANDS, 0)  # from the next window's first frame on
        self.samples_of_source = torch.zeros(0)  # likewise
        self.source: SourceStream | None = None  # from the first window on


@dataclass(frozen=True, slots=True)
class _Window:
    """What one run computes, in frames from the first mel frame that its stream keeps."""

    mel: int
    sourced: int  # the source up to here was made by windows before
    decoded: int  # F0 is known up to here
    begin: int
    end: int  # samples between the two are brought out


class Vocoder:
    """Upstream's HiFT for many utterances at once.

    Takes the module over: the weights it holds as directions and lengths are multiplied out for
    good, which changes no output by more than rounding and saves 82 products in every run.

    Args:
        hift: in float32, on any device.
        margin: frames of context on each side of a window. A sample depends on 14.3 frames to
            either side, on the outer ones hardly; with twelve what is missed is no more than
            rounding.

    Raises:
        ValueError: the margin is too small for the F0 predictor.
    """

    def __init__(self, hift: HiFTGenerator, *, margin: int = 12) -> None:
        if margin < _LEAST_MARGIN:
            raise ValueError(f"The margin must be {_LEAST_MARGIN} frames at least, not {margin}.")
        _fold_weight_norm(hift)
        device = next(hift.conv_post.parameters()).device
        hift.stft_window = hift.stft_window.to(device)  # else it is copied there in every run
        self._hift = hift
        self._f0_predictor = copy.deepcopy(hift.f0_predictor).double()
        self._source = HarmonicSource(hift.m_source, SAMPLES_PER_FRAME)
        self._fade = _fade_in(device)
        self._margin = margin
        self.hold_back = margin + F0_REACH  # frames kept until more mel or the end comes

    @torch.inference_mode()
    def push(self, pieces: Sequence[tuple[VocoderStream, Tensor, bool]]) -> list[Tensor]:
        """Take the next mel of some streams; windows of equal shape run as one batch.

        Args:
            pieces: stream, its next mel [80, n] in float32, and whether it is the last; each
                stream at most once.

        Returns:
            For each piece the samples [m] in -1..1 that it brings out, on the device. All of a
            stream together are SAMPLES_PER_FRAME times its frames.
        """
        groups: dict[_Window, list[VocoderStream]] = {}
        for stream, mel, is_last in pieces:
            stream.mel = torch.cat((stream.mel.to(mel), mel), dim=1)
            groups.setdefault(self._window(stream, is_last), []).append(stream)
        samples = {
            stream: row
            for window, streams in groups.items()
            for stream, row in zip(streams, self._run(window, streams), strict=True)
        }
        return [samples[stream] for stream, _, _ in pieces]

    def _window(self, stream: VocoderStream, is_last: bool) -> _Window:
        mel = stream.mel.shape[1]
        begin = min(stream.made, self._margin)
        decoded = mel if is_last else mel - F0_REACH
        end = mel if is_last else max(begin, decoded - self._margin)
        return _Window(mel, len(stream.samples_of_source) // SAMPLES_PER_FRAME, decoded, begin, end)

    def _run(self, window: _Window, streams: Sequence[VocoderStream]) -> Sequence[Tensor]:
        if window.begin == window.end:
            return [stream.mel.new_zeros(0) for stream in streams]
        mel = torch.stack([stream.mel for stream in streams])
        source = self._sourced(window, streams, mel)
        samples = self._hift.decode(mel[:, :, : window.decoded], source[:, None])
        new = samples[:, window.begin * SAMPLES_PER_FRAME : window.end * SAMPLES_PER_FRAME]
        rows = [self._faded(stream, row) for stream, row in zip(streams, new, strict=True)]
        for stream, row in zip(streams, source, strict=True):
            self._advance(stream, window, row)
        return rows

    def _sourced(self, window: _Window, streams: Sequence[VocoderStream], mel: Tensor) -> Tensor:
        """The source [b, samples] under all that is decoded.

        F0 is found in float64: the source's phase is a sum of it, in which roundings that differ
        with a window's length would grow with the utterance.
        """
        first = max(0, window.sourced - F0_REACH)
        f0 = self._f0_predictor(mel[:, :, first : window.mel].double())
        f0 = f0[:, window.sourced - first : window.decoded - first].float()
        new = self._source.extend([self._source_of(stream) for stream in streams], f0)
        old = torch.stack([stream.samples_of_source.to(new) for stream in streams])
        return torch.cat((old, new), dim=1)

    def _source_of(self, stream: VocoderStream) -> SourceStream:
        if stream.source is None:
            stream.source = self._source.begin(stream.seed)
        return stream.source

    def _faded(self, stream: VocoderStream, samples: Tensor) -> Tensor:
        """Upstream's fade, which hides what spills over from the reference, at the true start."""
        fade = self._fade[stream.made * SAMPLES_PER_FRAME :][: len(samples)]
        if not len(fade):
            return samples
        return torch.cat((samples[: len(fade)] * fade, samples[len(fade) :]))

    def _advance(self, stream: VocoderStream, window: _Window, source: Tensor) -> None:
        """Keep what the next window begins with: a margin before what it brings out."""
        first = max(0, window.end - self._margin)
        stream.made += window.end - window.begin
        stream.mel = stream.mel[:, first:].clone()
        stream.samples_of_source = source[first * SAMPLES_PER_FRAME :].clone()


def _fold_weight_norm(hift: HiFTGenerator) -> None:
    for module in hift.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")


def _fade_in(device: torch.device) -> Tensor:
    """Silence, then half a period of a cosine, [2 _SILENCED]."""
    angles = torch.linspace(math.pi, 0, _SILENCED, device=device)
    return torch.cat((torch.zeros_like(angles), (torch.cos(angles) + 1) / 2))
