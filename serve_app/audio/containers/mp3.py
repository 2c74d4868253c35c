"""MP3: frames one after another, from the first to the last byte.

Source: ISO/IEC 11172-3 2.4.1.3 and 13818-3 for the frame header; the Xing/Info tag as LAME writes
it (gabriel.mp3-tech.org/mp3infotag.html) and Fraunhofer's VBRI for the number of frames.
MP3 has no checksum over its samples: a flipped bit within a frame cannot be told from music.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from serve_app.audio.containers.coded import Layout
from serve_app.audio.containers.recording import Bounds, Length, damaged, truncated, unsupported
from serve_app.audio.containers.view import View

HEADER_BYTES = 4

_RATES = ((11_025, 12_000, 8_000), (), (22_050, 24_000, 16_000), (44_100, 48_000, 32_000))
_VERSION_1 = 3
_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MONO = 3
_WINDOW_BYTES = 262_144
_ZEROS_BYTES = 65_536  # what padding behind the last frame may amount to
_SPARE_FRAMES = 4  # a decoder leaves out the encoder's delay and padding
_RESERVOIR_FRAMES = 10  # how far a frame may refer back to bits of earlier ones


@dataclass(frozen=True, slots=True)
class _Frame:
    version: int
    sample_rate: int
    samples: int
    length: int  # bytes, with the header
    channels: int


@lru_cache(1024)
def _frame(header: bytes) -> _Frame | None:
    """The layer III frame that begins with these four bytes; None where none does."""
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if not _RATES[version] or rate == 3 or not 1 <= bit_rate <= 14:
        return None
    first = version == _VERSION_1
    kbits = (_KBITS_1 if first else _KBITS_2)[bit_rate - 1]
    hertz = _RATES[version][rate]
    length = (144_000 if first else 72_000) * kbits // hertz + (header[2] >> 1 & 1)
    channels = 1 if header[3] >> 6 == _MONO else 2
    return _Frame(version, hertz, 1152 if first else 576, length, channels)


def begins(file: BinaryIO, start: int) -> bool:
    """Whether a frame begins at `start` and another, of the same rate, right behind it."""
    window = _Window(file)
    first = _frame(window.at(start))
    second = first and _frame(window.at(start + first.length))
    return bool(first and second and second.sample_rate == first.sample_rate)


def survey(file: BinaryIO, start: int, size: int, bounds: Bounds) -> Layout:
    """The frames of a file of `size` bytes, walked from `start` to the last.

    Raises:
        InvalidAudio: a frame is cut, is no frame, or there are fewer than the file announces.
    """
    window = _Window(file)
    first = _first(window, start)
    end, frames = _walk(window, first, start, size, bounds)
    announced = _announced(window, start, first)
    if announced is not None and frames - 1 < announced - 2:
        what = f"it announces {announced} frames and has {frames - 1}"
        raise truncated("MP3", what)
    seconds = first.samples / first.sample_rate
    length = Length((frames - _SPARE_FRAMES) * seconds, frames * seconds)
    view = View(file, start, end)
    decoders = ("mp3float", "mp3")
    return Layout("mp3", "MP3", "mp3", decoders, view, length, forgiven=_RESERVOIR_FRAMES)


def _first(window: _Window, start: int) -> _Frame:
    frame = _frame(window.at(start))
    if frame is None:
        raise damaged("MP3", "it does not begin with a frame")
    return frame


def _walk(window: _Window, first: _Frame, start: int, size: int, bounds: Bounds) -> tuple[int, int]:
    """Where the last frame ends, and how many there are."""
    most = bounds.max_seconds * first.sample_rate / first.samples + _SPARE_FRAMES
    at, frames = start, 0
    while frame := _frame(window.at(at)):
        if (frame.version, frame.sample_rate) != (first.version, first.sample_rate):
            raise damaged("MP3", "its sample rate changes on the way")
        at, frames = at + frame.length, frames + 1
        if frames > most:
            raise unsupported("MP3", f"it is longer than {bounds.max_seconds:g} seconds")
    if at > size:
        raise truncated("MP3", "it ends in the middle of a frame")
    if _behind_tags(window, at, size) != size:
        raise damaged("MP3", f"there is no frame at byte {at}")
    return at, frames


def _behind_tags(window: _Window, at: int, size: int) -> int:
    """Where the tags and zeros end that may follow the last frame."""
    while at < size:
        length = _tag_bytes(window, at, size)
        if not length or at + length > size:
            return at
        at += length
    return at


def _tag_bytes(window: _Window, at: int, size: int) -> int:
    """The size of what begins at `at`: ID3v1, APEv2 with its header, or zeros to the end."""
    head = window.at(at, 32)
    if head.startswith(b"TAG") and size - at >= 128:
        return 128
    if head.startswith(b"APETAGEX") and len(head) == 32:
        return 32 + int.from_bytes(head[12:16], "little")
    left = size - at
    return left if left <= _ZEROS_BYTES and not any(window.at(at, left)) else 0


def _announced(window: _Window, start: int, first: _Frame) -> int | None:
    """How many frames follow the first, if it is one that says so."""
    head = window.at(start, 192)
    side_info = {(True, 1): 17, (True, 2): 32, (False, 1): 9, (False, 2): 17}
    tag = HEADER_BYTES + side_info[first.version == _VERSION_1, first.channels]
    if head[tag : tag + 4] in (b"Xing", b"Info") and head[tag + 7] & 1:
        return int.from_bytes(head[tag + 8 : tag + 12])
    if head[36:40] == b"VBRI":
        return int.from_bytes(head[50:54])
    return None


class _Window:
    """A few bytes at any place of a file, read in large steps."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = 0
        self._data = b""

    def at(self, position: int, size: int = HEADER_BYTES) -> bytes:
        offset = position - self._start
        if offset < 0 or offset + size > len(self._data):
            self._file.seek(position)
            self._start, self._data = position, self._file.read(max(size, _WINDOW_BYTES))
            offset = 0
        return self._data[offset : offset + size]
