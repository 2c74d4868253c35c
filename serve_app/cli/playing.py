"""Speech on this machine's sound device, while it is still coming in."""

# miniaudio is not typed throughout.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Generator
from types import TracebackType
from typing import Self

import miniaudio

from serve_app.cli.failures import NoSoundDevice

_PERIOD_MS = 60  # the device asks for so much at once
_PERIODS = 3  # and holds as many before they are heard
_DEAD_AFTER_S = 5.0  # a device that asks for nothing for so long has gone


class Player:
    """Plays 16-bit little-endian mono PCM: `feed` it, then `finish`.

    Raises:
        NoSoundDevice: this machine cannot play.
    """

    def __init__(self, sample_rate: int) -> None:
        self._waiting = bytearray()
        self._changed = threading.Condition()
        self._empty_periods = 0  # in a row that the device asked for, and got nothing
        self._device = _open(sample_rate)
        samples = self._samples()
        next(samples)
        self._device.start(samples)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._device.close()

    def feed(self, data: bytes) -> None:
        """Play this after what was fed before; returns at once. It may end within a sample."""
        with self._changed:
            self._waiting += data
            self._empty_periods = 0

    def finish(self) -> None:
        """Wait until everything has been heard.

        Raises:
            NoSoundDevice: the device went away.
        """
        with self._changed:
            while self._empty_periods <= _PERIODS:
                if not self._changed.wait(_DEAD_AFTER_S):
                    raise NoSoundDevice("The sound device has stopped playing.")

    def _samples(self) -> Generator[bytes, int, None]:
        frames = yield b""
        while True:
            frames = yield self._take(2 * frames)

    def _take(self, wanted: int) -> bytes:
        with self._changed:
            size = min(wanted, len(self._waiting) // 2 * 2)
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._empty_periods = 0 if data else self._empty_periods + 1
            self._changed.notify_all()
            return data


def _open(sample_rate: int) -> miniaudio.PlaybackDevice:
    try:
        with _quiet_libraries():
            return miniaudio.PlaybackDevice(
                nchannels=1,
                sample_rate=sample_rate,
                buffersize_msec=_PERIOD_MS,
                callback_periods=_PERIODS,
            )
    except miniaudio.MiniaudioError:
        raise NoSoundDevice(
            "This machine has no sound device to play on; save the speech with -o FILE instead."
        ) from None


@contextlib.contextmanager
def _quiet_libraries() -> Generator[None]:
    """ALSA writes pages to the standard error when there is no device, past Python."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
