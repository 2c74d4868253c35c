"""A library for tests, whose audio costs nothing to decode.

Any file can be one of: plain WAV (24 kHz, 16 bit, mono); "odd" audio, which needs decoding; a
transcoded output, `FORMAT:` and the samples; or no audio at all.
"""

from __future__ import annotations

import hashlib
import uuid
import wave
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import update

from serve_app.domain.errors import InvalidAudio
from serve_app.domain.types import AudioFormat
from serve_app.library.blobs import Blobs, open_blobs
from serve_app.library.catalogue import Catalogue
from serve_app.library.entries import AudioFacts, Description, Entry
from serve_app.library.library import Library, LibraryOptions
from serve_app.library.shelf import FileShelf
from serve_app.library.tables import entries
from serve_app.library.tools import AudioTools

RATE = 24_000
_ODD = b"odd:"
_UNPREDICTABLE = (AudioFormat.FLAC, AudioFormat.OPUS)


def sound(seed: str, seconds: float = 0.01) -> bytes:
    """Samples that are another for each seed."""
    count = int(seconds * RATE) * 2
    return (hashlib.sha256(seed.encode()).digest() * (count // 32 + 1))[:count]


def write_wav(path: Path, samples: bytes) -> AudioFacts:
    """A plain WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples)
    return inspect(path)


def wav(samples: bytes, folder: Path) -> bytes:
    """The bytes of a plain WAV file."""
    path = folder / uuid.uuid4().hex
    write_wav(path, samples)
    data = path.read_bytes()
    path.unlink()
    return data


def odd(samples: bytes) -> bytes:
    """The bytes of a file that is audio, but not as the library keeps it."""
    return _ODD + samples


def inspect(path: Path) -> AudioFacts:
    """Of `AudioTools`."""
    samples, is_plain = _samples(path)
    digest = hashlib.sha256(samples).hexdigest()
    kind = "wav" if is_plain else "mp3"
    return AudioFacts(kind, len(samples) / 2 / RATE, RATE, path.stat().st_size, digest, is_plain)


def normalise(source: Path, destination: Path) -> AudioFacts:
    """Of `AudioTools`."""
    return write_wav(destination, _samples(source)[0])


def stored_size(audio_format: AudioFormat, seconds: float, rate: int) -> int | None:
    """Of `AudioTools`."""
    known = audio_format not in _UNPREDICTABLE
    return len(f"{audio_format.value}:") + round(seconds * rate) * 2 if known else None


@dataclass
class Transcoder:
    """`AudioTools.transcode`, which can be watched and be made to fail."""

    calls: Counter[AudioFormat] = field(default_factory=Counter)
    failure: Exception | None = None

    def __call__(self, master: Path, audio_format: AudioFormat, destination: Path) -> None:
        self.calls[audio_format] += 1
        destination.write_bytes(b"half")
        if self.failure:
            raise self.failure
        destination.write_bytes(transcoded(audio_format, _samples(master)[0]))


def transcoded(audio_format: AudioFormat, samples: bytes) -> bytes:
    """What `Transcoder` makes of samples."""
    return f"{audio_format.value}:".encode() + samples


def _samples(path: Path) -> tuple[bytes, bool]:
    data = path.read_bytes()
    kind, _, rest = data.partition(b":")
    if data.startswith(b"RIFF"):
        with wave.open(str(path), "rb") as file:
            return file.readframes(file.getnframes()), True
    if kind in {b"odd", *(each.value.encode() for each in AudioFormat)}:
        return rest, False
    raise InvalidAudio("This is no audio.")


@dataclass
class World:
    """Where a library lies, and who opens it: every `open` is another process."""

    options: LibraryOptions
    lease_s: float = 60.0
    transcoder: Transcoder = field(default_factory=Transcoder)

    @property
    def tools(self) -> AudioTools:
        return AudioTools(normalise, inspect, self.transcoder, stored_size)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Library]:
        """The library, as one process has it."""
        opened = await Library.open(replace(self.options, **options), self.tools)
        try:
            yield opened
        finally:
            await opened.close()

    def blobs(self, root: str) -> Blobs:
        """A root as anybody with access to the store can change it by hand."""
        return open_blobs(root, self.options.store_options)


async def add(
    shelf: FileShelf,
    path: str,
    samples: bytes | None = None,
    description: Description | None = None,
    overwrite: bool = False,
) -> Entry:
    """Upload samples."""
    file = shelf.scratch()
    facts = write_wav(file, sound(path) if samples is None else samples)
    return await shelf.add(path, file, facts, description or Description(), overwrite)


async def keys(blobs: Blobs) -> set[str]:
    """All blobs there are, hidden ones too."""
    return {info.key async for info in blobs.list(hidden=True)}


async def crash(catalogue: Catalogue) -> None:
    """What the death of whoever holds claims looks like to all others: they have run out."""
    statement = update(entries).values(claim_until=0, holder="dead")
    await catalogue._database.run(statement)  # pyright: ignore[reportPrivateUsage]
