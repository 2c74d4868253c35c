"""Recordings in the store, read by a replica: as a stream, or a sample of a long one."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Self

import numpy as np

from serve_app.audio.decode import LIBRARY_RATE
from serve_app.audio.wav import BYTES_PER_SAMPLE, HEADER_BYTES
from serve_app.domain.types import Listening, Samples, Shelf, StoredAudio
from serve_app.library.blobs import Blobs, open_blobs
from serve_app.settings import StorageSettings

_STRETCH_SECONDS = 4.0
"""Length of the pieces that a sample of a long recording is made of."""

_LARGEST_NOTE = 1_000_000


class Recordings:
    """`StoredAudio` as samples, and notes that are kept beside it."""

    def __init__(self, stores: Mapping[Shelf, Blobs]) -> None:
        self._stores = stores

    @classmethod
    def open(cls, storage: StorageSettings) -> Self:
        """Those of the library that the settings name."""
        roots = {Shelf.VOICES: storage.voices, Shelf.VC_INPUTS: storage.vc_inputs}
        return cls({shelf: open_blobs(root, storage.options) for shelf, root in roots.items()})

    async def stream(
        self, audio: StoredAudio, start: float = 0.0, seconds: float = math.inf
    ) -> AsyncGenerator[Samples, None]:
        """The samples from `start` on, as they are read.

        Raises:
            NotFound: the recording is gone.
        """
        first, last = _position(start), _position(min(start + seconds, audio.seconds + 1))
        half = b""
        async with aclosing(self._stores[audio.shelf].read(audio.key, first, last)) as pieces:
            async for piece in pieces:
                data = half + piece
                whole = len(data) - len(data) % BYTES_PER_SAMPLE
                half = data[whole:]
                yield np.frombuffer(data[:whole], "<i2").astype(np.int16, copy=False)

    async def listen(self, audio: StoredAudio, listening: Listening) -> Samples:
        """As much of a recording as an engine wants to hear, [n].

        Raises:
            NotFound: the recording is gone.
        """
        seconds = listening.seconds
        stretches = [(0.0, seconds)]
        if listening.spread and audio.seconds > seconds:
            count = max(1, round(seconds / _STRETCH_SECONDS))
            apart = (audio.seconds - seconds / count) / max(1, count - 1)
            stretches = [(index * apart, seconds / count) for index in range(count)]
        pieces = [
            piece
            for start, length in stretches
            async for piece in self.stream(audio, start, length)
        ]
        return np.concatenate([np.zeros(0, np.int16), *pieces])

    async def read_note(self, shelf: Shelf, name: str) -> bytes:
        """What was noted under a name.

        Raises:
            NotFound: nothing was.
        """
        return await self._stores[shelf].read_all(_note(name), _LARGEST_NOTE)

    async def write_note(self, shelf: Shelf, name: str, data: bytes) -> None:
        """Keep `data` under a name, beside the recordings; it may be swept away when it is old."""
        await self._stores[shelf].put_bytes(_note(name), data)


def _position(seconds: float) -> int:
    """Where in the file a moment is."""
    return HEADER_BYTES + BYTES_PER_SAMPLE * round(seconds * LIBRARY_RATE)


def _note(name: str) -> str:
    return f".derived/{name}"
