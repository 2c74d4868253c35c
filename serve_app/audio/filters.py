"""FFmpeg's audio filters through PyAV: a chain of them as a stream in, a stream out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph

from serve_app.domain.types import Samples

Signal = npt.NDArray[np.float64]
"""Mono audio with full scale at 1, shape [n]."""

_SAMPLE_FORMAT = "dbl"
_FULL_SCALE = 32768


def to_signal(samples: Samples) -> Signal:
    """16-bit samples [n] as a signal."""
    return samples / _FULL_SCALE


def to_samples(signal: Signal) -> Samples:
    """A signal [n] as 16-bit samples, clipped at full scale."""
    scaled = np.rint(signal * _FULL_SCALE)
    return np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


class FilterChain:
    """Filters in a row, each a name and its arguments in FFmpeg's syntax; mono in, mono out."""

    def __init__(self, sample_rate: int, *filters: tuple[str, str]) -> None:
        self._sample_rate = sample_rate
        self._time_base = Fraction(1, sample_rate)
        self._pushed = 0
        self._graph = Graph()
        self._configure([*filters, ("aformat", f"sample_fmts={_SAMPLE_FORMAT}")])

    def _configure(self, filters: Sequence[tuple[str, str]]) -> None:
        source = self._graph.add_abuffer(
            sample_rate=self._sample_rate,
            format=_SAMPLE_FORMAT,
            layout="mono",
            time_base=self._time_base,
        )
        nodes = [self._graph.add(name, arguments) for name, arguments in filters]
        self._graph.link_nodes(source, *nodes, self._graph.add("abuffersink")).configure()

    def push(self, signal: Signal) -> list[av.AudioFrame]:
        """The frames that a piece [n] of the signal brings out, often none."""
        if not len(signal):
            return []
        row = np.ascontiguousarray(signal).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(row, format=_SAMPLE_FORMAT, layout="mono")
        frame.sample_rate = self._sample_rate
        frame.time_base = self._time_base
        frame.pts = self._pushed
        self._pushed += len(signal)
        self._graph.push(frame)
        return list(self._pull())

    def flush(self) -> list[av.AudioFrame]:
        """The remaining frames. Nothing may be pushed afterwards."""
        if not self._pushed:
            return []
        self._graph.push(None)
        return list(self._pull())

    def _pull(self) -> Iterator[av.AudioFrame]:
        while True:
            try:
                yield cast(av.AudioFrame, self._graph.pull())
            except (BlockingIOError, EOFError):  # wants more input, or has given everything
                return


def join(frames: Sequence[av.AudioFrame]) -> Signal:
    """The signal [n] of mono frames, one after another."""
    pieces = [cast(Signal, frame.to_ndarray()).reshape(-1) for frame in frames]
    return np.concatenate([np.zeros(0), *pieces])
