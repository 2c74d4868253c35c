"""Files of strangers as audio of the library: 16-bit mono at 24 kHz, or a refusal.

What a file is, its content says (sniff.py). Each container is checked as a whole before a decoder
sees it (containers/), and every bound holds while it is decoded, piece by piece: a file that lies
about its length, or unpacks to far more than it is, ends where the bound is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_app.audio import sniff
from serve_app.audio.containers.recording import Bounds, Recording
from serve_app.audio.containers.wav import WavRecording
from serve_app.audio.filters import FilterChain, Signal, join, to_samples
from serve_app.audio.wav import WavWriter, pcm_bytes
from serve_app.domain.errors import FileTooLarge, InvalidAudio
from serve_app.domain.types import Samples

LIBRARY_RATE = 24_000  # Hz

SILENCE_DBFS = -80.0
"""A recording whose highest sample stays below this is silence."""

EXPANSION_FLOOR = 60 * 48_000 * 2 * 2
"""Bytes of 16-bit PCM that any file may unpack to: a minute at 48 kHz in stereo."""

_SILENT_PEAK = 32768 * 10 ** (SILENCE_DBFS / 20)
_SPARE_SECONDS = 1.0  # decoders may add a frame to what a container declares

__all__ = ["EXPANSION_FLOOR", "LIBRARY_RATE", "Bounds", "Decoded", "decode", "inspect", "normalise"]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was found out of an audio file by decoding all of it."""

    format: str  # wav, mp3, flac, ogg or m4a
    seconds: float
    sample_rate: int  # Hz
    size_bytes: int
    digest: str  # SHA-256 of its samples at LIBRARY_RATE, little-endian, hexadecimal
    is_plain: bool  # a 16-bit mono WAV file at LIBRARY_RATE, exactly as `WavWriter` writes it


def normalise(source: Path, destination: Path, bounds: Bounds) -> Decoded:
    """Write the audio of `source` to `destination` as 16-bit mono WAV at LIBRARY_RATE.

    Returns what is known of the file written. Needs a few megabytes however long the audio is;
    an error leaves no destination.

    Raises:
        FileTooLarge: the file exceeds bounds.max_bytes.
        InvalidAudio: it is not audio we read, is damaged or silent, or exceeds another bound.
    """
    tally = _Tally()
    try:
        with WavWriter(destination, LIBRARY_RATE) as writer:
            for piece in decode(source, bounds):
                tally.add(piece)
                writer.write(piece)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    return tally.facts("wav", LIBRARY_RATE, destination.stat().st_size, is_plain=True)


def inspect(source: Path, bounds: Bounds) -> Decoded:
    """What is known of `source` as it lies there, after all of it has been decoded.

    Raises:
        FileTooLarge, InvalidAudio: as `normalise` does.
    """
    tally = _Tally()
    with _opened(source, bounds) as (recording, size):
        for piece in _pieces(recording, size, bounds):
            tally.add(piece)
        is_plain = isinstance(recording, WavRecording) and recording.is_plain(LIBRARY_RATE)
        return tally.facts(recording.format, recording.sample_rate, size, is_plain)


def decode(source: Path, bounds: Bounds) -> Iterator[Samples]:
    """The audio of `source` in mono at LIBRARY_RATE, in pieces of at most a second.

    Channels are averaged. Damage that shows only late is raised after the pieces before it.

    Raises:
        FileTooLarge, InvalidAudio: as `normalise` does.
    """
    with _opened(source, bounds) as (recording, size):
        yield from _pieces(recording, size, bounds)


@contextmanager
def _opened(source: Path, bounds: Bounds) -> Generator[tuple[Recording, int]]:
    """The recording in `source` and the size of the file in bytes."""
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise InvalidAudio("The file is empty.", "Send a WAV, MP3, FLAC, Ogg or M4A file.")
        if size > bounds.max_bytes:
            message = f"The file has {size} bytes; at most {bounds.max_bytes} are accepted."
            raise FileTooLarge(message, "Send a shorter or a compressed recording.")
        with sniff.recording(file, size, bounds) as recording:
            yield recording, size


def _pieces(recording: Recording, size: int, bounds: Bounds) -> Iterator[Samples]:
    """The recording at the library's rate, with every bound in force."""
    _check_shape(recording, bounds)
    limit = _Limit(recording, size, bounds)
    limit.check_declared()
    samples, peak = 0, 0
    for piece in _resampled(limit.counted(), recording.sample_rate):
        samples += len(piece)
        peak = max(peak, int(piece.max(initial=0)), -int(piece.min(initial=0)))
        yield piece
    if samples < bounds.min_seconds * LIBRARY_RATE:
        message = f"The recording is {samples / LIBRARY_RATE:.3f} seconds long."
        raise InvalidAudio(message, f"At least {bounds.min_seconds:g} seconds are needed.")
    if peak < _SILENT_PEAK:
        raise InvalidAudio("The recording is silent.", "Check the microphone and record again.")


def _check_shape(recording: Recording, bounds: Bounds) -> None:
    if not bounds.min_rate <= recording.sample_rate <= bounds.max_rate:
        raise InvalidAudio(
            f"The recording has a sample rate of {recording.sample_rate} Hz.",
            f"Between {bounds.min_rate} and {bounds.max_rate} Hz are accepted.",
        )
    if not 1 <= recording.channels <= bounds.max_channels:
        raise InvalidAudio(
            f"The recording has {recording.channels} channels.",
            f"Between 1 and {bounds.max_channels} are accepted.",
        )


class _Limit:
    """Counts what comes out of a recording and stops it where it exceeds a bound."""

    def __init__(self, recording: Recording, size: int, bounds: Bounds) -> None:
        self._recording = recording
        self._size = size
        self._bounds = bounds

    def check_declared(self) -> None:
        """Refuse a recording that already says that it is too long."""
        if self._recording.length is not None:
            self._check(self._recording.length.least)

    def counted(self) -> Iterator[Signal]:
        """The blocks of the recording, as long as they stay within the bounds."""
        samples, length = 0, self._recording.length
        for block in self._recording.blocks():
            samples += len(block)
            seconds = samples / self._recording.sample_rate
            self._check(seconds)
            if length is not None and seconds > length.most + _SPARE_SECONDS:
                raise InvalidAudio("The file is damaged: it is longer than it says.")
            yield block
        if length is not None and samples / self._recording.sample_rate < length.least:
            raise InvalidAudio(
                "The file is incomplete or damaged: it has less audio than it says.",
                "Send the whole file.",
            )

    def _check(self, seconds: float) -> None:
        if seconds > self._bounds.max_seconds:
            raise InvalidAudio(
                f"The recording is longer than {self._bounds.max_seconds:g} seconds.",
                "Send a shorter one.",
            )
        pcm_bytes = 2 * seconds * self._recording.sample_rate * self._recording.channels
        if pcm_bytes > max(EXPANSION_FLOOR, self._bounds.max_expansion * self._size):
            raise InvalidAudio(
                "The file unpacks to far more audio than a file of its size can hold.",
                "Send it in another format, for example as 16-bit WAV.",
            )


def _resampled(blocks: Iterator[Signal], rate: int) -> Iterator[Samples]:
    """Blocks at `rate` Hz as samples at LIBRARY_RATE, in pieces of at most a second."""
    if rate == LIBRARY_RATE:
        for block in blocks:
            yield from _cut(to_samples(block))
        return
    chain = FilterChain(rate, ("aresample", str(LIBRARY_RATE)))
    for block in blocks:
        yield from _cut(to_samples(join(chain.push(block))))
    yield from _cut(to_samples(join(chain.flush())))


def _cut(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), LIBRARY_RATE):
        yield samples[start : start + LIBRARY_RATE]


class _Tally:
    """The facts that only all samples together give."""

    def __init__(self) -> None:
        self._samples = 0
        self._digest = hashlib.sha256()

    def add(self, samples: Samples) -> None:
        self._samples += len(samples)
        self._digest.update(pcm_bytes(samples))

    def facts(self, format: str, sample_rate: int, size_bytes: int, is_plain: bool) -> Decoded:
        seconds = self._samples / LIBRARY_RATE
        digest = self._digest.hexdigest()
        return Decoded(format, seconds, sample_rate, size_bytes, digest, is_plain)
