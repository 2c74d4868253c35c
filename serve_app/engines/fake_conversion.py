"""A deterministic conversion for tests and load: no model, and it fails on command.

The samples come back upside down, at a volume that follows from the target's: a test can compute
what a client must receive with `converted_of(source, target)` or `shaped_of(source, shape)`.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve_app.domain.errors import GenerationFailed, InvalidAudio
from serve_app.domain.types import (
    ConversionCapabilities,
    Joining,
    Listening,
    PcmChunk,
    Samples,
    VoiceShape,
)

SAMPLE_RATE = 24_000
HELD_BACK = 1_200  # samples by which the output lags behind, 50 ms

_LOUDEST = 32_767
_PROFILE = struct.Struct("<4sd")
_VERSION = b"FVC1"

CAPABILITIES = ConversionCapabilities(
    name="fake",
    sample_rate=SAMPLE_RATE,
    source_seconds=0.0,
    target=Listening(10.0, spread=True),
    shapes=True,
)


@dataclass(frozen=True, slots=True)
class FakeProfile:
    """All that the fake engine knows of a voice."""

    gain: float  # 0.5..1.0


def profile_of(samples: Samples) -> FakeProfile:
    """The profile of samples [n]: its gain is drawn from their hash.

    Raises:
        InvalidAudio: there is no sound in them.
    """
    if not samples.any():
        raise InvalidAudio("There is no voice in this recording: it is silent.")
    digest = hashlib.sha256(samples.astype("<i2").tobytes()).digest()
    return FakeProfile(0.5 + 0.5 * digest[0] / 255)


def converted_of(source: Samples, target: Samples) -> Samples:
    """What this engine makes of a source [n] when it has heard all of `target`: int16, [n]."""
    return _converted(source, _gain(profile_of(target)))


def shaped_of(source: Samples, shape: VoiceShape) -> Samples:
    """What this engine makes of a source [n] in a shape: int16, [n]."""
    return _converted(source, _gain(shape))


def _gain(target: FakeProfile | VoiceShape) -> float:
    """A voice's own; of a shape half its pitch, 0.25..1.0."""
    return target.pitch / 2 if isinstance(target, VoiceShape) else target.gain


def _converted(samples: Samples, gain: float) -> Samples:
    scaled = np.rint(-gain * samples.astype(np.float64))
    return np.clip(scaled, -_LOUDEST, _LOUDEST).astype(np.int16)


@dataclass(frozen=True, slots=True)
class FakeConversionEngine:
    """Turns samples upside down. Pieces are counted from 0 within each conversion."""

    piece_delay_s: float = 0.0  # how long each piece takes to make
    fail_at_piece: int | None = None  # raises GenerationFailed
    hang_at_piece: int | None = None  # never comes back
    die_at_piece: int | None = None  # the process ends at once, as if killed
    die_once_file: Path | None = None  # with this file present, `die_at_piece` no longer applies

    @property
    def capabilities(self) -> ConversionCapabilities:
        """See `CAPABILITIES`."""
        return CAPABILITIES

    def analyse(self, samples: Samples) -> FakeProfile:
        """See `profile_of`."""
        return profile_of(samples)

    def dump(self, profile: FakeProfile) -> bytes:
        """A version and the gain."""
        return _PROFILE.pack(_VERSION, profile.gain)

    def load(self, data: bytes) -> FakeProfile:
        """What `dump` made bytes of.

        Raises:
            ValueError: the bytes are damaged or of another version.
        """
        if len(data) != _PROFILE.size or not data.startswith(_VERSION):
            raise ValueError("These bytes are no profile of the fake engine.")
        return FakeProfile(_PROFILE.unpack(data)[1])

    def convert(
        self,
        source: FakeProfile | None,  # noqa: ARG002  it wants to hear nothing of it
        target: FakeProfile | VoiceShape,
        joining: Joining,
    ) -> FakeConversion:
        """Begin a conversion into pieces of at most `joining.piece_seconds`."""
        return FakeConversion(self, _gain(target), int(joining.piece_seconds * SAMPLE_RATE))


class FakeConversion:
    """One stream, in pieces of which each is made after its delay or its mishap."""

    def __init__(self, engine: FakeConversionEngine, gain: float, piece: int) -> None:
        self._engine = engine
        self._gain = gain
        self._piece = piece  # samples
        self._waiting: Samples = np.zeros(0, np.int16)
        self._made = 0  # pieces

    def push(self, samples: Samples) -> Generator[PcmChunk, None, None]:
        """Yield all but the last HELD_BACK samples."""
        self._waiting = np.concatenate([self._waiting, samples])
        yield from self._take(len(self._waiting) - HELD_BACK)

    def finish(self) -> Generator[PcmChunk, None, None]:
        """Yield the last samples."""
        yield from self._take(len(self._waiting))

    def _take(self, count: int) -> Generator[PcmChunk, None, None]:
        while count > 0:
            piece, self._waiting = np.split(self._waiting, [min(count, self._piece)])
            count -= len(piece)
            time.sleep(self._engine.piece_delay_s)
            self._have_mishap(self._made)
            self._made += 1
            yield PcmChunk(_converted(piece, self._gain), SAMPLE_RATE)

    def _have_mishap(self, index: int) -> None:
        engine = self._engine
        if index == engine.fail_at_piece:
            raise GenerationFailed(f"The fake conversion was told to fail at piece {index}.")
        if index == engine.hang_at_piece:
            time.sleep(3600)
        if index == engine.die_at_piece and _dies_now(engine.die_once_file):
            os._exit(1)


def _dies_now(once_file: Path | None) -> bool:
    if once_file is None:
        return True
    marker = Path(once_file)
    if marker.exists():
        return False
    marker.touch()
    return True
