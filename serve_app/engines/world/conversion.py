"""One stream on its way into another voice."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from serve_app.domain.types import Joining, PcmChunk, Samples
from serve_app.engines.world.analysis import (
    HOP,
    REACH,
    Floats,
    analyse_frames,
    to_signal,
    track_f0,
)
from serve_app.engines.world.capabilities import SAMPLE_RATE
from serve_app.engines.world.mapping import Mapping
from serve_app.engines.world.pieces import PitchTrack
from serve_app.engines.world.synthesis import Synthesizer

_BLOCK = 50  # frames that are made in one step: 0.25 s, some 15 ms of work
_INTAKE = SAMPLE_RATE  # samples that are taken in at once, however many are pushed
_HEADROOM = 0.8  # of full scale; louder samples are bent, not cut off


class WorldConversion:
    """Pieces of it are tracked as soon as they are complete, then made block by block."""

    def __init__(self, mapping: Mapping, joining: Joining) -> None:
        self._mapping = mapping
        self._track = PitchTrack(joining)
        self._synthesizer = Synthesizer()
        self._sound = _Sound()
        self._made = 0  # frames
        self._emitted = 0  # samples

    def push(self, samples: Samples) -> Generator[PcmChunk, None, None]:
        """Take samples [n] and yield what they bring out, a quarter of a second a step."""
        for start in range(0, len(samples), _INTAKE):
            self._sound.append(samples[start : start + _INTAKE])
            yield from self._advance()

    def finish(self) -> Generator[PcmChunk, None, None]:
        """Yield the rest, so that as many samples came out as went in."""
        if not self._sound.length:
            return
        start, stop = self._track.start * HOP, self._sound.length
        f0 = track_f0(self._sound.between(start, max(stop, start + 2 * HOP)))
        yield from self._make(self._track.finish(f0))
        missing = self._sound.length - self._emitted
        if missing > 0:
            yield self._chunk(self._synthesizer.finish(missing))

    def _advance(self) -> Generator[PcmChunk, None, None]:
        """Make all pieces that are complete."""
        while self._sound.length >= (self._track.stop + 1) * HOP:
            piece = self._sound.between(self._track.start * HOP, self._track.stop * HOP + 1)
            yield from self._make(self._track.add(track_f0(piece)))
            self._sound.forget(min(self._track.start, self._made) * HOP - REACH)

    def _make(self, f0: Floats) -> Generator[PcmChunk, None, None]:
        for start in range(0, len(f0), _BLOCK):
            block = f0[start : start + _BLOCK]
            first = self._made * HOP - REACH
            signal = self._sound.between(first, first + 2 * REACH + (len(block) - 1) * HOP)
            frames = self._mapping.apply(analyse_frames(signal, block))
            self._made += len(block)
            sound = self._synthesizer.push(frames)[: self._sound.length - self._emitted]
            if len(sound):
                yield self._chunk(sound)

    def _chunk(self, sound: Floats) -> PcmChunk:
        self._emitted += len(sound)
        return PcmChunk(_to_samples(sound), SAMPLE_RATE)


class _Sound:
    """A stream of which only the last part is kept; before and after it is silence."""

    def __init__(self) -> None:
        self.length = 0  # samples appended, forgotten ones included
        self._kept: Floats = np.zeros(0)

    def append(self, samples: Samples) -> None:
        self._kept = np.concatenate([self._kept, to_signal(samples)])
        self.length += len(samples)

    def between(self, start: int, stop: int) -> Floats:
        """The samples from `start` up to `stop`."""
        first = self.length - len(self._kept)
        signal = self._kept[max(0, start - first) : max(0, stop - first)]
        return np.pad(
            signal, (max(0, min(first, stop) - start), max(0, stop - max(self.length, start)))
        )

    def forget(self, before: int) -> None:
        """Give up what came before this position."""
        first = self.length - len(self._kept)
        self._kept = self._kept[max(0, before - first) :].copy()


def _to_samples(sound: Floats) -> Samples:
    """-1..1 as 16 bit; what is above the headroom nears full scale ever more slowly."""
    room = 1.0 - _HEADROOM
    loud = np.abs(sound) - _HEADROOM
    bent = np.sign(sound) * (_HEADROOM + room * np.tanh(np.maximum(loud, 0.0) / room))
    return np.rint(np.where(loud > 0, bent, sound) * 32767.0).astype(np.int16)
