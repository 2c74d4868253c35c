"""WAV as others write it: any PCM, float, A-law and mu-law, read without a decoder of FFmpeg's.

Source: IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (1991)
for RIFF; Microsoft's WAVEFORMATEXTENSIBLE; EBU Tech 3306 for RF64; ITU-T G.711 for the two laws.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from serve_app.audio import wav
from serve_app.audio.containers.coded import mean_of
from serve_app.audio.containers.recording import (
    BLOCK_SAMPLES,
    Length,
    damaged,
    truncated,
    unsupported,
)
from serve_app.audio.filters import Signal

PCM, FLOAT, ALAW, MULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE

_STREAMED = 0x7FFF_F000  # sizes from here on are what writers put that cannot know better
_MAX_CHUNKS = 1000
_RIFF_HEADER_BYTES = 12
_CHUNK_HEADER_BYTES = 8
_MAX_FORMAT_BYTES = 4096
_SUBFORMAT = slice(24, 40)
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")

_Decoder = Callable[[bytes], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    sample_rate: int
    block: int  # bytes of one sample of every channel
    bits: int


@dataclass(frozen=True, slots=True)
class _Chunks:
    format: _Format
    data_at: int
    data_bytes: int


@dataclass(frozen=True, slots=True)
class WavRecording:
    """The samples in the data chunk of a WAV file."""

    file: BinaryIO
    chunks: _Chunks
    size: int  # bytes of the file
    format: str = "wav"

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.chunks.format.sample_rate

    @property
    def channels(self) -> int:
        """How many there are in the file."""
        return self.chunks.format.channels

    @property
    def length(self) -> Length | None:
        """The size of the data chunk as a length; None without a rate to count by."""
        if not self.sample_rate:
            return None
        seconds = self.chunks.data_bytes // self.chunks.format.block / self.sample_rate
        return Length(seconds, seconds)

    def is_plain(self, rate: int) -> bool:
        """Whether the file is byte for byte as this service writes WAV at `rate` Hz."""
        header = wav.header(rate, self.chunks.data_bytes // wav.BYTES_PER_SAMPLE)
        fits = self.chunks.data_at == len(header) == self.size - self.chunks.data_bytes
        return fits and _read(self.file, 0, len(header)) == header

    def blocks(self) -> Iterator[Signal]:
        """The mean of the channels, in pieces of at most BLOCK_SAMPLES."""
        decoder, scale = _DECODERS[self.chunks.format.tag, self.chunks.format.bits]
        left = self.chunks.data_bytes
        at = self.chunks.data_at
        while left:
            self.file.seek(at)
            size = min(left, BLOCK_SAMPLES * self.chunks.format.block)
            data = self.file.read(size)
            if len(data) < size:
                raise truncated("WAV", "it became shorter while it was read")
            at, left = at + size, left - size
            yield mean_of(decoder(data).reshape(-1, self.channels).T, scale, "WAV")


def survey(file: BinaryIO, size: int) -> WavRecording:
    """The WAV file of `size` bytes.

    Raises:
        InvalidAudio: its chunks do not fit in the file or leave some of it over, its samples are
            of a kind that is not accepted, or its header contradicts itself.
    """
    return WavRecording(file, _chunks(file, size), size)


def _chunks(file: BinaryIO, size: int) -> _Chunks:
    format: _Format | None = None
    found: _Chunks | None = None
    large = 0
    for name, at, length in _walk(file, size):
        if name == b"ds64":
            large = int.from_bytes(_read(file, at + 8, 8), "little")
        elif name == b"fmt " and format is None:
            format = _format(_read(file, at, min(length, _MAX_FORMAT_BYTES)))
        elif name == b"data" and format is not None and found is None:
            found = _data(format, at, length, size, large)
        elif name in (b"fmt ", b"data", b"RIFF", b"RF64"):
            raise damaged("WAV", f"its parts are in disorder ({name.decode().strip()})")
    if found is None:
        raise truncated("WAV", "it has no samples")
    return found


def _walk(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and size in bytes of each chunk; all of them together fill the file."""
    end = _riff_end(file, size)
    at = _RIFF_HEADER_BYTES
    for _ in range(_MAX_CHUNKS):
        if at >= end:
            return
        header = _read(file, at, _CHUNK_HEADER_BYTES)
        name, length = header[:4], int.from_bytes(header[4:], "little")
        if len(header) < _CHUNK_HEADER_BYTES or not _is_name(name):
            raise damaged("WAV", f"there is no chunk at byte {at}")
        at += _CHUNK_HEADER_BYTES
        if at + length > end and not (name == b"data" and length >= _STREAMED):
            raise truncated("WAV", f"{length} bytes are announced and {end - at} are there")
        yield name, at, length
        at += length + length % 2
    raise damaged("WAV", f"it has more than {_MAX_CHUNKS} chunks")


def _is_name(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)


def _riff_end(file: BinaryIO, size: int) -> int:
    """Where the RIFF chunk ends, which is the end of the file."""
    header = _read(file, 0, _RIFF_HEADER_BYTES)
    declared = int.from_bytes(header[4:8], "little")
    if header[:4] == b"RF64" or declared >= _STREAMED:
        return size
    end = declared + _CHUNK_HEADER_BYTES
    if end > size + 1:  # the byte that pads an odd chunk is often left out
        raise truncated("WAV", f"{end} bytes are announced and {size} are there")
    if size > end + end % 2:
        raise damaged("WAV", "there is something else behind its end")
    return size


def _data(format: _Format, at: int, length: int, size: int, large: int) -> _Chunks:
    streamed = length >= _STREAMED and not large
    length = large if length >= _STREAMED and large else length
    if streamed:
        length = (size - at) // format.block * format.block
    if at + length > size:
        raise truncated("WAV", f"{length} bytes are announced and {size - at} are there")
    if length % format.block:
        raise damaged("WAV", "it ends in the middle of a sample")
    return _Chunks(format, at, length)


def _format(fields: bytes) -> _Format:
    if len(fields) < 16:
        raise truncated("WAV", "its format is cut off")
    tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", fields[:16])
    if tag == EXTENSIBLE:
        tag = _sub_format(fields)
    if (tag, bits) not in _DECODERS:
        raise unsupported("WAV", f"its samples are of the kind {tag:#x} with {bits} bits")
    if not channels or block != channels * bits // 8:
        raise damaged("WAV", f"{channels} channels of {bits} bits do not make {block} bytes")
    return _Format(tag, channels, rate, block, bits)


def _sub_format(fields: bytes) -> int:
    """The format tag that begins the GUID of WAVEFORMATEXTENSIBLE."""
    guid = fields[_SUBFORMAT]
    if guid[2:] != _SUBFORMAT_TAIL:
        raise unsupported("WAV", "its samples are of a kind of their own")
    return int.from_bytes(guid[:2], "little")


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _pcm24(data: bytes) -> npt.NDArray[np.int32]:
    """Three bytes a sample, as the upper three of four."""
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4").reshape(-1)


def _mulaw() -> npt.NDArray[np.int16]:
    """The value of each code of G.711 mu-law, at the scale of 16 bits."""
    code = ~np.arange(256) & 0xFF
    size = (((code & 0xF) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _alaw() -> npt.NDArray[np.int16]:
    """The value of each code of G.711 A-law, at the scale of 16 bits."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0xF) << 4
    size = np.where(exponent, mantissa + 0x108 << np.maximum(exponent - 1, 0), mantissa + 8)
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _looked_up(table: npt.NDArray[np.int16]) -> _Decoder:
    return lambda data: table[np.frombuffer(data, np.uint8)]


def _typed(kind: str) -> _Decoder:
    return lambda data: np.frombuffer(data, kind)


_DECODERS: dict[tuple[int, int], tuple[_Decoder, float]] = {
    (PCM, 8): (_typed("u1"), 2**7),
    (PCM, 16): (_typed("<i2"), 2**15),
    (PCM, 24): (_pcm24, 2**31),
    (PCM, 32): (_typed("<i4"), 2**31),
    (FLOAT, 32): (_typed("<f4"), 1),
    (FLOAT, 64): (_typed("<f8"), 1),
    (ALAW, 8): (_looked_up(_alaw()), 2**15),
    (MULAW, 8): (_looked_up(_mulaw()), 2**15),
}
