"""Changes to PCM on its way out: a stream in, a stream out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import av
import numpy as np

from serve_app.audio.filters import FilterChain, join, to_samples, to_signal
from serve_app.domain.types import Samples

MIN_SPEED, MAX_SPEED = 0.5, 2.0
SILENCE_DBFS = -50.0
MARGIN_MS = 50

_FRAME_MS = 10
_SILENT_POWER = 32768**2 * 10 ** (SILENCE_DBFS / 10)
_NOTHING: Samples = np.zeros(0, np.int16)


class Processor(Protocol):
    """One change to a stream of PCM; where the stream is cut into pieces changes nothing."""

    def push(self, samples: Samples) -> Samples:
        """The samples [m] that samples [n] bring out; m may be 0."""
        ...

    def flush(self) -> Samples:
        """What was held back; called once, after the last `push`."""
        ...

    def output_time(self, seconds: float) -> float:
        """When the output plays what the input played at `seconds`; known once there is output."""
        ...


def chain(processors: Sequence[Processor]) -> Processor:
    """Several processors as one, the first applied first; none at all pass samples through."""
    return processors[0] if len(processors) == 1 else _Chain(tuple(processors))


class _Chain:
    def __init__(self, processors: tuple[Processor, ...]) -> None:
        self._processors = processors

    def push(self, samples: Samples) -> Samples:
        return reduce(lambda piece, processor: processor.push(piece), self._processors, samples)

    def flush(self) -> Samples:
        tail = _NOTHING
        for processor in self._processors:
            tail = np.concatenate([processor.push(tail), processor.flush()])
        return tail

    def output_time(self, seconds: float) -> float:
        return reduce(lambda time, one: one.output_time(time), self._processors, seconds)


class Stretch:
    """Speech at `speed` times its pace (0.5 to 2.0), pitch kept, with FFmpeg's atempo (WSOLA).

    n samples become round(n / speed). atempo's first output depends on how it is fed, so it gets
    blocks of 50 ms. By itself atempo ends up to 60 ms off, and may drop the
    end, so it is given silence to run out on, and the last 30 ms of the input are cross-faded in
    where the output must end: speech ends as it did, and when it should.
    """

    _END_MS = 30
    _FADE_MS = 10
    _RUN_OUT_MS = 250
    _BLOCK_MS = 50

    def __init__(self, sample_rate: int, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ValueError(f"speed {speed} is not within {MIN_SPEED}..{MAX_SPEED}")
        self._speed = speed
        self._end = sample_rate * self._END_MS // 1000
        self._fade = sample_rate * self._FADE_MS // 1000
        self._run_out: Samples = np.zeros(sample_rate * self._RUN_OUT_MS // 1000, np.int16)
        self._filter = FilterChain(sample_rate, ("atempo", f"{speed:.6f}"))
        self._block = sample_rate * self._BLOCK_MS // 1000
        self._incomplete = _NOTHING
        self._last_input = _NOTHING
        self._waiting = _NOTHING
        self._pushed = 0
        self._emitted = 0

    def push(self, samples: Samples) -> Samples:
        """What can no longer be part of the end."""
        if self._speed == 1.0:
            return samples
        self._pushed += len(samples)
        self._last_input = np.concatenate([self._last_input, samples])[-self._end :]
        self._stretch(samples)
        return self._take(self._wanted() - self._end)

    def flush(self) -> Samples:
        """The rest of the round(n / speed) samples."""
        if not self._pushed:
            return _NOTHING
        self._stretch(self._run_out)
        self._wait(self._filter.flush())
        return self._with_end(self._take(self._wanted()))

    def output_time(self, seconds: float) -> float:
        """See `Processor`."""
        return seconds / self._speed

    def _stretch(self, samples: Samples) -> None:
        samples = np.concatenate([self._incomplete, samples])
        whole = len(samples) - len(samples) % self._block
        self._incomplete = samples[whole:]
        for start in range(0, whole, self._block):
            block = samples[start : start + self._block]
            self._wait(self._filter.push(to_signal(block)))

    def _wait(self, frames: Sequence[av.AudioFrame]) -> None:
        self._waiting = np.concatenate([self._waiting, to_samples(join(frames))])

    def _wanted(self) -> int:
        """How long the output of the samples pushed so far must be."""
        return round(self._pushed / self._speed)

    def _take(self, until: int) -> Samples:
        """Waiting samples up to position `until` of the output."""
        count = max(0, until - self._emitted)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        self._emitted += len(taken)
        return taken

    def _with_end(self, tail: Samples) -> Samples:
        """`tail` with the end of the input faded in over its own."""
        count = min(len(tail), len(self._last_input))
        weight = np.minimum(1.0, np.arange(count) / self._fade)
        start = len(tail) - count
        end = self._last_input[len(self._last_input) - count :]
        mixed = (1 - weight) * tail[start:] + weight * end
        return np.concatenate([tail[:start], np.rint(mixed).astype(np.int16)])


class TrimSilence:
    """Leading and trailing silence longer than `threshold_ms` is cut to 50 ms of it.

    Silent is a frame of 10 ms with an RMS below -50 dBFS. Silence within speech comes back
    sample for sample, but only when sound follows it; a silence that goes on waits in memory,
    2 bytes a sample, or nothing while it is digital silence.
    """

    def __init__(self, sample_rate: int, threshold_ms: int) -> None:
        self._sample_rate = sample_rate
        self._frame = sample_rate * _FRAME_MS // 1000
        self._threshold = sample_rate * threshold_ms // 1000
        self._margin = min(sample_rate * MARGIN_MS // 1000, self._threshold)
        self._incomplete = _NOTHING
        self._silence = _Silence()
        self._speaking = False
        self._cut = 0  # samples that the beginning is short of

    def push(self, samples: Samples) -> Samples:
        """Everything up to the last frame of sound, less leading silence."""
        samples = np.concatenate([self._incomplete, samples])
        whole = len(samples) - len(samples) % self._frame
        self._incomplete = samples[whole:]
        return self._advance(samples[:whole])

    def flush(self) -> Samples:
        """The rest, less trailing silence."""
        spoken = self._advance(self._incomplete)
        return np.concatenate([spoken, self._trailing() if self._speaking else self._leading()])

    def output_time(self, seconds: float) -> float:
        """See `Processor`."""
        return max(0.0, seconds - self._cut / self._sample_rate)

    def _advance(self, samples: Samples) -> Samples:
        loud = np.flatnonzero(_frame_power(samples, self._frame) >= _SILENT_POWER)
        if not len(loud):
            self._wait(samples)
            return _NOTHING
        start, end = int(loud[0]) * self._frame, int(loud[-1] + 1) * self._frame
        self._wait(samples[:start])
        before = self._silence.take() if self._speaking else self._leading()
        self._speaking = True
        self._wait(samples[end:])
        return np.concatenate([before, samples[start:end]])

    def _wait(self, samples: Samples) -> None:
        self._silence.append(samples)
        if not self._speaking:
            self._silence.forget_all_but(self._threshold)

    def _leading(self) -> Samples:
        length = self._silence.length
        kept = self._silence.take()
        if length > self._threshold:
            kept = kept[len(kept) - self._margin :]
        self._cut = length - len(kept)
        return kept

    def _trailing(self) -> Samples:
        too_long = self._silence.length > self._threshold
        kept = self._silence.take()
        return kept[: self._margin] if too_long else kept


class _Silence:
    """Silence that may still be needed; digital silence is counted, not stored."""

    def __init__(self) -> None:
        self.length = 0  # samples appended, forgotten ones included
        self._pieces: list[Samples | int] = []
        self._stored = 0

    def append(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._pieces.append(samples.copy() if samples.any() else len(samples))
        self.length += len(samples)
        self._stored += len(samples)

    def forget_all_but(self, count: int) -> None:
        """Give up the oldest pieces, keeping at least the last `count` samples."""
        while self._stored - _length(self._pieces[0] if self._pieces else 0) > count:
            self._stored -= _length(self._pieces.pop(0))

    def take(self) -> Samples:
        """All that was kept, leaving nothing."""
        pieces = [np.zeros(p, np.int16) if isinstance(p, int) else p for p in self._pieces]
        self._pieces.clear()
        self.length = self._stored = 0
        return np.concatenate([_NOTHING, *pieces])


def _length(piece: Samples | int) -> int:
    return piece if isinstance(piece, int) else len(piece)


def _frame_power(samples: Samples, frame: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Mean square of each frame, [ceil(n / frame)]; the last frame may be shorter."""
    starts = np.arange(0, len(samples), frame)
    if not len(starts):
        return np.zeros(0)
    sums = np.add.reduceat(samples.astype(np.float64) ** 2, starts)
    return sums / np.minimum(frame, len(samples) - starts)
