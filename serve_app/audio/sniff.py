"""What a file is, by its content: its name and the client's word count for nothing."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO

from serve_app.audio.containers import flac, mp3, mp4, ogg, wav
from serve_app.audio.containers.coded import Layout, opened
from serve_app.audio.containers.recording import Bounds, Recording, truncated
from serve_app.domain.errors import InvalidAudio

_HEAD_BYTES = 12
_ID3_HEADER_BYTES = 10
_ID3_FOOTER = 0x10
_MAX_TAGS = 16
_ZEROS_BYTES = 65_536  # padding that some writers leave behind a tag without counting it


@contextmanager
def recording(file: BinaryIO, size: int, bounds: Bounds) -> Generator[Recording]:
    """The recording in a file of `size` bytes, its structure checked from first to last byte.

    Raises:
        InvalidAudio: it is none of the formats we read, or is damaged.
    """
    start = _behind_tags(file, size)
    head = _read(file, start, _HEAD_BYTES)
    if not start and head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        yield wav.survey(file, size)
        return
    with opened(_layout(file, start, size, head, bounds)) as coded:
        yield coded


def _layout(file: BinaryIO, start: int, size: int, head: bytes, bounds: Bounds) -> Layout:
    if head.startswith(flac.SIGNATURE):
        return flac.survey(file, start, size)
    if mp3.begins(file, start):
        return mp3.survey(file, start, size, bounds)
    if not start and head.startswith(ogg.SIGNATURE):
        return ogg.survey(file, size, bounds)
    if not start and head[4:8] == b"ftyp":
        return mp4.survey(file, size, bounds)
    raise InvalidAudio(
        "The file is not audio we can read: it must be WAV, MP3, FLAC, Ogg or M4A.",
        "Its content decides, not its name.",
    )


def _behind_tags(file: BinaryIO, size: int) -> int:
    """Where the ID3v2 tags at the start end, which may be of any size and are never read."""
    at = 0
    for _ in range(_MAX_TAGS):
        head = _read(file, at, _ID3_HEADER_BYTES)
        if not head.startswith(b"ID3") or len(head) < _ID3_HEADER_BYTES:
            break
        at += _ID3_HEADER_BYTES + _sync_safe(head[6:])
        at += _ID3_HEADER_BYTES if head[5] & _ID3_FOOTER else 0
        at += _zeros(_read(file, at, _ZEROS_BYTES))
        if at >= size:
            raise truncated("MP3", "it ends within its tags")
    return at


def _sync_safe(data: bytes) -> int:
    """Seven bits of each byte (id3.org, ID3v2.4.0, 6.2)."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _zeros(data: bytes) -> int:
    return len(data) - len(data.lstrip(b"\0"))


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
