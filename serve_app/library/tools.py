"""What the library needs to be able to do with audio; handed in, for it does not know `audio/`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from serve_app.domain.types import AudioFormat
from serve_app.library.entries import AudioFacts

_AT_ONCE = 2

Result = TypeVar("Result")


@dataclass(frozen=True)
class AudioTools:
    """Plain and blocking functions; `run` calls them in threads, two at once in a process."""

    normalise: Callable[[Path, Path], AudioFacts]
    """Decode a file of unknown content and write it as plain WAV; the facts are those of the WAV.
    Raises InvalidAudio or FileTooLarge."""
    inspect: Callable[[Path], AudioFacts]
    """The facts of a file as it lies there. Raises InvalidAudio or FileTooLarge."""
    transcode: Callable[[Path, AudioFormat, Path], None]
    """Write a plain WAV in another format."""
    stored_size: Callable[[AudioFormat, float, int], int | None]
    """Bytes that so many seconds at a rate in Hz will have in a format; None: make it to know."""
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False
    )

    async def run(self, call: Callable[[], Result]) -> Result:
        """The result of `call`, made in a thread once one of the places is free."""
        async with self._slots:
            return await asyncio.to_thread(call)
