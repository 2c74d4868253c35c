"""Stored outputs and silences joined into one stream, without a click and at one level."""

from __future__ import annotations

import random
import re
import wave
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.audio.filters import FilterChain, join, to_samples, to_signal
from serve_app.audio.levels import gains
from serve_app.audio.mixing import amplified, crossfaded, milliseconds_in, samples_in, silence
from serve_app.audio.process import TrimSilence
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import PcmChunk, Samples

MIN_SILENCE_MS, MAX_SILENCE_MS = 50, 10_000

_TOKEN = re.compile(r"\(\s*(\d+(?:\.\d+)?)\s*(ms|s)\s*\)", re.IGNORECASE | re.ASCII)
_EDGE_MS = 3
_NOTHING: Samples = np.zeros(0, np.int16)


@dataclass(frozen=True, slots=True)
class Clip:
    """A stored recording: a 16-bit mono WAV file of any rate."""

    file: Path


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing, for a while."""

    milliseconds: int


@dataclass(frozen=True, slots=True)
class ConcatOptions:
    """How clips are joined."""

    normalize_levels: bool = True
    crossfade_ms: int = 0  # between clips that have neither a pause nor a silence between them
    pause_duration_ms: int = 0  # between clips that have no silence between them
    pause_variation_ms: int = 200  # a pause is so much longer or shorter, by chance
    trim: bool = False
    trim_threshold_ms: int = 200


def parse_segment(token: str) -> Silence | None:
    """The silence that "(500ms)" or "(1.5s)" asks for; None for anything else, a file's name.

    Raises:
        InvalidRequest: it is shorter than 50 ms or longer than 10 s.
    """
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        return None
    milliseconds = float(match[1]) * (1000 if match[2].lower() == "s" else 1)
    if not MIN_SILENCE_MS <= milliseconds <= MAX_SILENCE_MS:
        raise InvalidRequest(
            f"The silence {token.strip()[:50]} is not between 50 ms and 10 s.",
            "Write it as (500ms) or (1.5s).",
        )
    return Silence(round(milliseconds))


def concatenate(
    segments: Sequence[Clip | Silence],
    sample_rate: int,
    options: ConcatOptions,
    random: random.Random,
) -> Generator[PcmChunk, None, None]:
    """Yield the segments one after another at `sample_rate`, in pieces of at most a second.

    The length in samples is that of the clips, resampled and trimmed, and `samples_in` of every
    silence and pause, less `samples_in` of every crossfade. A crossfade is at most as long as the
    clip after it, and as what the crossfade before left of the clip before it. With
    `normalize_levels` all files are read once before the first piece; one clip and the end of the
    one before it are in memory.

    Raises:
        InvalidRequest: there are neither two clips nor a clip and a silence.
        wave.Error, ValueError: a file is not 16-bit mono WAV.
    """
    clips = [segment.file for segment in segments if isinstance(segment, Clip)]
    if not clips or len(segments) < 2:
        raise InvalidRequest(
            "There is nothing to join.", "Give two audio files, or one and a silence."
        )
    levels = gains(map(_read, clips)) if options.normalize_levels else [0.0] * len(clips)
    steps = list(_with_pauses(segments, options, random))
    joint = _Joint(sample_rate, options.crossfade_ms)
    clip_gains = iter(levels)
    for number, step in enumerate(steps):
        if isinstance(step, Clip):
            samples = _prepared(step.file, sample_rate, options)
            samples = amplified(samples, sample_rate, next(clip_gains))
            pieces = joint.clip(samples, _following(steps, number))
        else:
            pieces = joint.silence(step.milliseconds)
        yield from _chunks(pieces, sample_rate)


def _with_pauses(
    segments: Sequence[Clip | Silence], options: ConcatOptions, random: random.Random
) -> Iterator[Clip | Silence]:
    """The segments with a drawn pause between neighbouring clips, if there are to be pauses."""
    before: Clip | Silence | None = None
    for segment in segments:
        if options.pause_duration_ms and isinstance(before, Clip) and isinstance(segment, Clip):
            variation = random.randint(-options.pause_variation_ms, options.pause_variation_ms)
            yield Silence(max(0, options.pause_duration_ms + variation))
        yield segment
        before = segment


def _following(steps: Sequence[Clip | Silence], number: int) -> Clip | Silence | None:
    return steps[number + 1] if number + 1 < len(steps) else None


class _Joint:
    """The end of the last clip, as far as the next one may still change it."""

    def __init__(self, sample_rate: int, crossfade_ms: int) -> None:
        self._rate = sample_rate
        self._crossfade_ms = crossfade_ms
        self._held = _NOTHING
        self._started = False

    def silence(self, milliseconds: int) -> list[Samples]:
        """What comes out when a silence follows."""
        self._started = True
        return [silence(milliseconds, self._rate)]

    def clip(self, samples: Samples, following: Clip | Silence | None) -> list[Samples]:
        """What comes out when a clip follows, before `following`; its end may be held back."""
        fades_out = isinstance(following, Clip) and self._crossfade_ms > 0
        overlap = self._overlap(len(samples))
        if self._started and not overlap:
            samples = _eased(samples, self._rate)
        if following is not None and not fades_out:
            samples = _eased(samples[::-1], self._rate)[::-1]
        before = self._held[: len(self._held) - overlap]
        mixed = self._mixed(samples, overlap)
        keep = self._frames(len(samples) - overlap) if fades_out else 0
        self._started = True
        self._held = samples[len(samples) - keep :]
        return [before, mixed, samples[overlap : len(samples) - keep]]

    def _overlap(self, length: int) -> int:
        return self._frames(min(length, len(self._held)))

    def _frames(self, most: int) -> int:
        """The samples of the crossfade, shortened to whole milliseconds within `most`."""
        fade = min(self._crossfade_ms, milliseconds_in(most, self._rate))
        return samples_in(fade, self._rate)

    def _mixed(self, samples: Samples, overlap: int) -> Samples:
        if not overlap:
            return _NOTHING
        tail = self._held[len(self._held) - overlap :]
        return crossfaded(tail, samples[:overlap], self._rate)


def _eased(samples: Samples, sample_rate: int) -> Samples:
    """Samples that begin with a ramp of 3 ms, if their first would be heard as a click.

    It would not if it is at most half the largest step within them: two such edges side by side
    make no larger one.
    """
    steps = np.abs(np.diff(samples.astype(np.int32)))
    if not len(samples) or 2 * abs(int(samples[0])) <= steps.max(initial=0):
        return samples
    ramp = min(len(samples), samples_in(_EDGE_MS, sample_rate))
    eased = samples.copy()
    eased[:ramp] = np.rint(samples[:ramp] * (np.arange(ramp) / ramp)).astype(np.int16)
    return eased


def _prepared(file: Path, sample_rate: int, options: ConcatOptions) -> Samples:
    """A clip at `sample_rate`, trimmed if it shall be."""
    pieces = list(_resampled(file, sample_rate))
    if options.trim:
        trim = TrimSilence(sample_rate, options.trim_threshold_ms)
        pieces = [*map(trim.push, pieces), trim.flush()]
    return np.concatenate([_NOTHING, *pieces])


def _resampled(file: Path, sample_rate: int) -> Iterator[Samples]:
    chain: FilterChain | None = None
    for chunk in _read(file):
        if chunk.sample_rate == sample_rate:
            yield chunk.samples
            continue
        chain = chain or FilterChain(chunk.sample_rate, ("aresample", str(sample_rate)))
        yield to_samples(join(chain.push(to_signal(chunk.samples))))
    if chain is not None:
        yield to_samples(join(chain.flush()))


def _read(file: Path) -> Iterator[PcmChunk]:
    """A 16-bit mono WAV file in pieces of a second."""
    with wave.open(str(file), "rb") as source:
        if (source.getnchannels(), source.getsampwidth()) != (1, 2):
            raise ValueError(f"{file.name} is not 16-bit mono")
        rate = source.getframerate()
        while data := source.readframes(rate):
            yield PcmChunk(np.frombuffer(data, "<i2").astype(np.int16, copy=False), rate)


def _chunks(pieces: Iterable[Samples], sample_rate: int) -> Iterator[PcmChunk]:
    for piece in pieces:
        for start in range(0, len(piece), sample_rate):
            yield PcmChunk(piece[start : start + sample_rate], sample_rate)
