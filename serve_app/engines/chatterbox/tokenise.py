"""The source of a conversion becomes speech tokens while it arrives.

The tokenizer looks both ways, over 30 s at most. A longer source is heard in pieces that overlap,
and of each the tokens near a cut do not count:

    |---------- counts ----------|-ahead-|
            |------ context -----|---- counts ----|-ahead-|
                       |------------- context ----|- counts up to the end -|

Token k stands for the samples 960 k .. 960 (k + 1) of the source, whatever the pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from chatterbox.models.s3gen import S3Gen
from s3tokenizer.utils import padding
from torch import Tensor

from serve_app.domain.types import Samples
from serve_app.engines.chatterbox.models import SAMPLES_PER_TOKEN, TOKEN_RATE
from serve_app.engines.chatterbox.resample import LOW_RATE, ResampledSource, Signal

LONGEST_PIECE = 30.0
"""Seconds that the tokenizer was trained to hear at once."""

LEAST_OVERLAP = 4.0
"""Seconds of which pieces overlap at least, as in upstream's own splitter.

The convolutions make tokens differ up to 2 s from a cut, most of them within the last second.
"""

_SIGNAL_PER_TOKEN = LOW_RATE // TOKEN_RATE
_FRAME = 160  # samples at 16 kHz; of less than a frame of mel the tokenizer makes no token
_FLOOR = 2.0  # 80 dB in upstream's log-mel, which is (log10(power) + 4) / 4
_SHORTEST = 201  # samples at 16 kHz that the tokenizer's Fourier transform of 400 can mirror


class Loudness:
    """How loud a source was so far, which is shared by its pieces.

    In upstream's log-mel nothing is more than 80 dB below the loudest. Of a piece that floor would
    be another than of the whole source, and background that it hides in one would show in another.
    """

    def __init__(self) -> None:
        self._peak: Tensor | None = None

    def apply(self, mel: Tensor) -> Tensor:
        """The log-mel [128, t] of the next piece, with the floor that it has after those before."""
        if self._peak is None:
            self._peak = mel.max()
            return mel
        self._peak = torch.maximum(self._peak, mel.max())
        return torch.maximum(mel, self._peak - _FLOOR)


@dataclass(frozen=True, slots=True, eq=False)
class SourcePiece:
    """What the tokenizer hears at once, and which of the tokens count."""

    signal: Signal  # [n] at 16 kHz, beginning where a token does
    context: int  # tokens before those that count
    count: int
    is_final: bool  # the source ends with them
    loudness: Loudness  # of the source


class SourceTokens:
    """The source of one conversion, cut into pieces; holds no model.

    A source of n samples has ceil(n / 960) tokens, and each counts in one piece. The pieces depend
    on the source and the settings alone, not on how it is pushed and when they are taken.
    """

    def __init__(
        self, piece_seconds: float, overlap_seconds: float, *, first_seconds: float = 5.0
    ) -> None:
        """Pieces of `piece_seconds` (of 1 or more; 30 at most are used) that overlap.

        Half of the overlap lies on each side of where they meet. It is LEAST_OVERLAP at least, and
        at most half of a piece. The first piece has `first_seconds`, and each adds twice as much as
        the one before it: so the tokens come early and, of a source that arrives twice as fast as
        it is played, in time. Give `math.inf` for a source that is stored: it is cut as little as
        can be, and up to `piece_seconds` it is not cut at all.

        Raises:
            ValueError: pieces are shorter than a second.
        """
        if piece_seconds < 1:
            raise ValueError(f"A piece of {piece_seconds} s is too short.")
        self._longest = _tokens(min(piece_seconds, LONGEST_PIECE))
        self._ahead = min(_tokens(max(overlap_seconds, LEAST_OVERLAP)), self._longest // 2) // 2
        first = _tokens(min(first_seconds, piece_seconds, LONGEST_PIECE))
        self._step = max(1, first - self._ahead)  # tokens that count in the next piece
        self._counted = 0  # tokens, in the pieces taken
        self._samples = 0
        self._is_closed = False
        self._source = ResampledSource()
        self._loudness = Loudness()

    @property
    def samples(self) -> int:
        """How many were pushed so far, at 24 kHz."""
        return self._samples

    def push(self, samples: Samples) -> None:
        """Take samples [n] at 24 kHz; the array is read later and must not be written."""
        self._samples += len(samples)
        self._source.push(samples)

    def close(self) -> None:
        """The source has ended: what was held back can be taken."""
        self._is_closed = True
        self._source.close()

    def take(self) -> SourcePiece | None:
        """The next piece; None after the last, and if more of the source must come first."""
        stop = self._counted + self._step + self._ahead
        if self._source.goes_beyond(stop * _SIGNAL_PER_TOKEN):
            piece = self._piece(stop, self._step)
            self._step = min(2 * self._step, self._longest - 2 * self._ahead)
        else:
            total = -(-self._samples // SAMPLES_PER_TOKEN)
            if not self._is_closed or self._counted == total:
                return None
            piece = self._last_piece(total)
        self._counted += piece.count
        self._source.forget((self._counted + self._ahead - self._longest) * _SIGNAL_PER_TOKEN)
        return piece

    def _piece(self, stop: int, count: int) -> SourcePiece:
        """As long as a piece may be: of all that was measured, context helps most."""
        start = max(0, stop - self._longest)
        signal = self._source.between(start * _SIGNAL_PER_TOKEN, stop * _SIGNAL_PER_TOKEN)
        return SourcePiece(signal, self._counted - start, count, False, self._loudness)

    def _last_piece(self, total: int) -> SourcePiece:
        """Up to the very end, with silence after it only where the last token needs some."""
        start = max(0, total - self._longest)
        least = (total - 1) * _SIGNAL_PER_TOKEN + _FRAME
        signal = self._source.between(
            start * _SIGNAL_PER_TOKEN, max(self._source.length, least, _SHORTEST)
        )
        count = total - self._counted
        return SourcePiece(signal, self._counted - start, count, True, self._loudness)


class Tokeniser:
    """Pieces in, tokens out; the tokenizer is upstream's, in float32."""

    def __init__(self, s3gen: S3Gen) -> None:
        self._tokenizer = s3gen.tokenizer

    @torch.inference_mode()
    def run(self, pieces: Sequence[SourcePiece]) -> list[list[int]]:
        """The tokens of each piece that count.

        Pieces may differ in length; those of one source come in order, in one batch or in several.
        """
        if not pieces:
            return []
        mels, lengths = padding([self._log_mel(piece) for piece in pieces])
        tokens, _ = self._tokenizer.quantize(mels, lengths.to(mels.device))
        return [
            row[piece.context : piece.context + piece.count]
            for row, piece in zip(tokens.tolist(), pieces, strict=True)
        ]

    def _log_mel(self, piece: SourcePiece) -> Tensor:
        mel = self._tokenizer.log_mel_spectrogram(torch.from_numpy(piece.signal))
        return piece.loudness.apply(mel)


def _tokens(seconds: float) -> int:
    return round(seconds * TOKEN_RATE)
