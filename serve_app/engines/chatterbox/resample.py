"""The source of a conversion at 16 kHz, the rate of the speech tokenizer."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
import soxr

from serve_app.domain.types import Samples
from serve_app.engines.chatterbox.models import SAMPLE_RATE

Signal = npt.NDArray[np.float32]
"""Mono sound in -1..1, shape [n]."""

LOW_RATE = 16_000
"""Hz of what the speech tokenizer hears."""

_INTAKE = SAMPLE_RATE  # samples that are resampled at once, however many are pushed
_NOTHING: Signal = np.zeros(0, np.float32)


class Resampler:
    """24 kHz to 16 kHz. However the stream is cut, what comes out is what `librosa.load` makes.

    Both call libsoxr in its quality HQ. Sample k is that at k / 16000 s: the filter's delay (some
    40 ms) is held back, not heard.
    """

    def __init__(self) -> None:
        self._stream = soxr.ResampleStream(SAMPLE_RATE, LOW_RATE, 1, "float32", "HQ")
        self._taken = 0  # samples at 24 kHz
        self._made = 0  # samples at 16 kHz

    def push(self, samples: Samples) -> Signal:
        """Take samples [n]; what they bring out, [m]."""
        self._taken += len(samples)
        return self._run(samples.astype(np.float32) / np.float32(32768), is_last=False)

    def finish(self) -> Signal:
        """The rest. Of n samples there are ceil(2 n / 3) in the end, as librosa makes them."""
        rest = self._run(_NOTHING, is_last=True)
        missing = -(-self._taken * LOW_RATE // SAMPLE_RATE) - self._made
        return np.pad(rest, (0, missing))

    def _run(self, signal: Signal, *, is_last: bool) -> Signal:
        made = self._stream.resample_chunk(signal, is_last)
        self._made += len(made)
        return made


class ResampledSource:
    """A source that is resampled as far as it is asked for, and kept from where it is needed.

    Positions are samples at 16 kHz from its beginning.
    """

    def __init__(self) -> None:
        self._resampler = Resampler()
        self._waiting: deque[Samples] = deque()
        self._is_closed = False  # nothing will be pushed any more
        self._is_complete = False  # all of it is resampled
        self._kept: list[Signal] = []
        self._first = 0  # position of the first sample kept
        self.length = 0  # samples resampled, forgotten ones included

    def push(self, samples: Samples) -> None:
        """Take samples [n] at 24 kHz; the array is read later and must not be written."""
        starts = range(0, len(samples), _INTAKE)
        self._waiting.extend(samples[start : start + _INTAKE] for start in starts)

    def close(self) -> None:
        """There is nothing more to push."""
        self._is_closed = True

    def goes_beyond(self, position: int) -> bool:
        """Whether more samples than `position` are known. Resamples what it takes to find out."""
        while self.length <= position and self._waiting:
            self._append(self._resampler.push(self._waiting.popleft()))
        if self.length <= position and self._is_closed and not self._is_complete:
            self._append(self._resampler.finish())
            self._is_complete = True
        return self.length > position

    def between(self, start: int, stop: int) -> Signal:
        """A copy of the samples from `start` up to `stop`; after the end there is silence."""
        kept = np.concatenate([_NOTHING, *self._kept])
        self._kept = [kept]
        missing = max(0, stop - self.length)
        return np.pad(kept[start - self._first : stop - self._first], (0, missing))

    def forget(self, before: int) -> None:
        """Give up what came before this position."""
        count = max(0, before - self._first)
        self._kept = [np.concatenate([_NOTHING, *self._kept])[count:].copy()]
        self._first += count

    def _append(self, signal: Signal) -> None:
        self._kept.append(signal)
        self.length += len(signal)
