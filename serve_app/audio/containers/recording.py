"""What every container becomes: a recording that can be read in blocks, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from serve_app.audio.filters import Signal
from serve_app.domain.errors import InvalidAudio

BLOCK_SAMPLES = 16_384
"""Samples of each channel that are read at once: some hundred kilobytes of floats."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a file of unknown origin may ask for; the operator's settings."""

    max_bytes: int  # of the file
    max_seconds: float
    max_expansion: float  # bytes of 16-bit PCM per byte of the file, beyond a minute's worth
    min_seconds: float = 0.1
    max_channels: int = 8
    min_rate: int = 4_000  # Hz
    max_rate: int = 192_000  # Hz


@dataclass(frozen=True, slots=True)
class Length:
    """How long a recording may turn out to be, going by what its container declares."""

    least: float  # seconds
    most: float  # seconds


class Recording(Protocol):
    """An opened file whose structure has been found whole."""

    @property
    def format(self) -> str:
        """The container: wav, mp3, flac, ogg or m4a."""
        ...

    @property
    def sample_rate(self) -> int:
        """Hz, of the file."""
        ...

    @property
    def channels(self) -> int:
        """How many there are in the file."""
        ...

    @property
    def length(self) -> Length | None:
        """What the container declares; None where it does not."""
        ...

    def blocks(self) -> Iterator[Signal]:
        """The mean of the channels, in pieces of about BLOCK_SAMPLES.

        Raises:
            InvalidAudio: the samples are damaged.
        """
        ...


def damaged(name: str, what: str) -> InvalidAudio:
    """A file of format `name` that breaks the rules of its format."""
    return InvalidAudio(
        f"The {name} file is damaged: {what}.", "Export it again, or send another file."
    )


def truncated(name: str, what: str) -> InvalidAudio:
    """A file of format `name` whose end is missing."""
    return InvalidAudio(f"The {name} file is incomplete: {what}.", "Send the whole file.")


def unsupported(name: str, what: str) -> InvalidAudio:
    """A file that may be whole, but holds something that is not accepted."""
    return InvalidAudio(
        f"The {name} file cannot be used: {what}.",
        "Export it as 16-bit WAV, or as MP3, FLAC, Ogg or M4A with one audio track.",
    )
