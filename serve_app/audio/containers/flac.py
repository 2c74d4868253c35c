"""FLAC: what STREAMINFO says must come out of the frames, and nothing may lie behind them.

Source: RFC 9639, 8 for the metadata blocks, 9.2.2 and 9.3 for the checksum of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from serve_app.audio.containers.coded import Layout
from serve_app.audio.containers.recording import Length, damaged, truncated
from serve_app.audio.containers.view import View

SIGNATURE = b"fLaC"
STREAMINFO_BYTES = 34

_BLOCK_HEADER_BYTES = 4
_LAST_BLOCK = 0x80
_MAX_BLOCKS = 1000
_CHECKED_BYTES = 1 << 20  # no frame is longer: 65535 samples of 8 channels at a third of their size
_ID3V1_BYTES = 128


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The part of STREAMINFO that matters here."""

    sample_rate: int  # Hz
    channels: int
    samples: int  # 0: unknown

    @property
    def length(self) -> Length | None:
        """The declared length; None where it is unknown."""
        if not self.samples:
            return None
        seconds = self.samples / self.sample_rate
        return Length(seconds, seconds)


def stream_info(block: bytes) -> StreamInfo:
    """The content of a STREAMINFO block of 34 bytes (RFC 9639, 8.2).

    Raises:
        InvalidAudio: what the stream holds is not audio.
    """
    fields = int.from_bytes(block[10:18])
    if not fields >> 44:
        raise damaged("FLAC", "it has a sample rate of 0 Hz")
    return StreamInfo(fields >> 44, (fields >> 41 & 7) + 1, fields & (1 << 36) - 1)


def survey(file: BinaryIO, start: int, size: int) -> Layout:
    """A FLAC file whose signature lies at `start`; FFmpeg will see STREAMINFO and frames only.

    Raises:
        InvalidAudio: the metadata blocks do not fit in the file, or break the rules.
    """
    file.seek(start + len(SIGNATURE))
    header = file.read(_BLOCK_HEADER_BYTES)
    block = file.read(STREAMINFO_BYTES)
    if len(block) < STREAMINFO_BYTES:
        raise truncated("FLAC", "its header is cut off")
    if header[0] & ~_LAST_BLOCK or int.from_bytes(header[1:]) != STREAMINFO_BYTES:
        raise damaged("FLAC", "it does not begin with STREAMINFO")
    frames = _frames_at(file, start + len(SIGNATURE), size)
    end = _without_id3v1(file, frames, size)
    prefix = SIGNATURE + bytes([_LAST_BLOCK]) + STREAMINFO_BYTES.to_bytes(3) + block
    view = View(file, frames, end, prefix)
    check = FrameCheck(end - frames)
    return Layout("flac", "FLAC", "flac", ("flac",), view, stream_info(block).length, check)


def _frames_at(file: BinaryIO, at: int, size: int) -> int:
    """Where the metadata blocks end, the first of which begins at `at`."""
    for _ in range(_MAX_BLOCKS):
        file.seek(at)
        header = file.read(_BLOCK_HEADER_BYTES)
        at += _BLOCK_HEADER_BYTES + int.from_bytes(header[1:])
        if len(header) < _BLOCK_HEADER_BYTES or at >= size:
            raise truncated("FLAC", "it ends before its audio begins")
        if header[0] & _LAST_BLOCK:
            return at
    raise damaged("FLAC", f"it has more than {_MAX_BLOCKS} blocks of metadata")


def _without_id3v1(file: BinaryIO, start: int, size: int) -> int:
    if size - start < _ID3V1_BYTES:
        return size
    file.seek(size - _ID3V1_BYTES)
    return size - _ID3V1_BYTES if file.read(3) == b"TAG" else size


class FrameCheck:
    """That the frames FFmpeg found are all there is in `size` bytes, and end where these end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._seen = 0
        self._last = b""

    def see(self, packet: bytes) -> None:
        """Take the next frame."""
        self._seen += len(packet)
        self._last = packet

    def finish(self) -> None:
        """Raise InvalidAudio when bytes were left out, or lie behind the last frame."""
        if self._seen != self._size:
            raise damaged("FLAC", "some of its frames cannot be read")
        if len(self._last) > _CHECKED_BYTES or _crc16(self._last):
            raise damaged("FLAC", "there is something else behind its audio")


def _crc16(data: bytes) -> int:
    """CRC-16 with polynomial 0x8005; 0 over a frame that ends with its own."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _TABLE[crc >> 8 ^ byte]
    return crc


def _table_entry(byte: int) -> int:
    crc = byte << 8
    for _ in range(8):
        crc = crc << 1 ^ (0x8005 if crc & 0x8000 else 0)
    return crc & 0xFFFF


_TABLE = tuple(map(_table_entry, range(256)))
