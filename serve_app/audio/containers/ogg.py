"""Ogg: one logical stream of Opus, Vorbis or FLAC, page by page from its begin to its end.

Source: RFC 3533 for the pages, RFC 7845 for Opus, the Vorbis I specification, 4.2 and A.2, and
RFC 9639, 10.1 for FLAC in Ogg.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from serve_app.audio.containers import flac
from serve_app.audio.containers.coded import Layout
from serve_app.audio.containers.recording import Bounds, Length, damaged, truncated, unsupported
from serve_app.audio.containers.view import View

SIGNATURE = b"OggS"

_HEADER = struct.Struct("<4sBBqIIIB")
_CRC = slice(22, 26)
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_PAGES_PER_SECOND = 110  # a page for every packet of 10 ms, and some
_SPARE_PAGES = 1000
_LATE_START_SECONDS = 30  # streams cut out of a longer one keep its clock
_OPUS_RATE = 48_000
_MAX_SETUP_BYTES = 60_000  # a page holds 65025; encoders write about 4000


@dataclass(frozen=True, slots=True)
class _Page:
    at: int
    raw: bytes
    flags: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class _Codec:
    decoders: tuple[str, ...]
    sample_rate: int
    skipped: int  # samples at the start that are not heard
    headers: int  # packets before the audio; 0 is unknown
    comment: bytes  # an empty one, in place of whatever the file has
    length: Length | None = None  # declared by the codec's own header


@dataclass(slots=True)
class _Found:
    """What the walk over all pages brought to light."""

    first_granule: int = -1
    last_granule: int = -1


def survey(file: BinaryIO, size: int, bounds: Bounds) -> Layout:
    """The Ogg file of `size` bytes. FFmpeg will see its audio behind headers without tags.

    Raises:
        InvalidAudio: a page is damaged, missing or foreign, the end is missing, or there is more
            than one stream of audio.
    """
    pages = _pages(file, size, bounds)
    first = next(pages, None)
    if first is None or not first.flags & _FIRST:
        raise damaged("Ogg", "its first page is missing")
    codec = _codec(first.body)
    start, setup = _past_headers(pages, codec)
    granules = _granules(pages)
    prefix = first.raw + _page(first.serial, [codec.comment, *setup])
    view = View(file, start, size, prefix)
    length = codec.length or _length(granules, codec)
    return Layout("ogg", "Ogg", "ogg", codec.decoders, view, length)


def _pages(file: BinaryIO, size: int, bounds: Bounds) -> Iterator[_Page]:
    """Every page, each checked against its checksum and its neighbours."""
    most = _SPARE_PAGES + _PAGES_PER_SECOND * bounds.max_seconds
    at, count, before = 0, 0, None
    while at < size:
        page = _read_page(file, at)
        _check_order(page, before)
        count += 1
        if count > most:
            raise unsupported("Ogg", f"it has more than {most:.0f} pages")
        yield page
        at, before = at + len(page.raw), page
    if before is None or not before.flags & _LAST:
        raise truncated("Ogg", "its end is missing")


def _read_page(file: BinaryIO, at: int) -> _Page:
    file.seek(at)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or header[:5] != SIGNATURE + b"\0":
        raise damaged("Ogg", f"there is no page at byte {at}")
    _, _, flags, granule, serial, sequence, checksum, segments = _HEADER.unpack(header)
    lacing = file.read(segments)
    body = file.read(sum(lacing))
    if len(lacing) < segments or len(body) < sum(lacing):
        raise truncated("Ogg", "its last page is cut off")
    raw = header + lacing + body
    if _crc(raw[: _CRC.start] + bytes(4) + raw[_CRC.stop :]) != checksum:
        raise damaged("Ogg", f"the page at byte {at} does not match its checksum")
    return _Page(at, raw, flags, granule, serial, sequence, lacing, body)


def _check_order(page: _Page, before: _Page | None) -> None:
    if before is None:
        return
    if page.flags & _FIRST or before.flags & _LAST:
        raise unsupported("Ogg", "it holds more than one stream")
    if page.serial != before.serial or page.sequence != before.sequence + 1:
        raise damaged("Ogg", "pages are missing in it")


def _codec(packet: bytes) -> _Codec:
    """What the first packet of the stream announces."""
    if packet.startswith(b"OpusHead") and len(packet) >= 19:
        skipped = int.from_bytes(packet[10:12], "little")
        return _Codec(("opus", "libopus"), _OPUS_RATE, skipped, 2, b"OpusTags" + bytes(8))
    if packet.startswith(b"\x01vorbis") and len(packet) >= 30:
        rate = int.from_bytes(packet[12:16], "little")
        return _Codec(("vorbis", "libvorbis"), rate, 0, 3, b"\x03vorbis" + bytes(8) + b"\x01")
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 17 + flac.STREAMINFO_BYTES:
        info = flac.stream_info(packet[17:])
        headers = 1 + int.from_bytes(packet[7:9])
        comment = b"\x84\0\0\x08" + bytes(8)
        return _Codec(("flac",), info.sample_rate, 0, headers, comment, info.length)
    raise unsupported("Ogg", "it holds neither Opus nor Vorbis nor FLAC")


def _past_headers(pages: Iterator[_Page], codec: _Codec) -> tuple[int, list[bytes]]:
    """Where the audio begins, and the header packets that a decoder needs besides the first."""
    complete, packet = 1, b""
    setup: list[bytes] = []
    for page in pages:
        for part, ends in _parts(page):
            packet = (packet + part)[:_MAX_SETUP_BYTES]
            if ends:
                complete += 1
                setup += [packet] if packet.startswith(b"\x05vorbis") else []
                packet = b""
        if complete >= codec.headers and not packet:
            return page.at + len(page.raw), setup
    raise truncated("Ogg", "it ends before its audio begins")


def _parts(page: _Page) -> Iterator[tuple[bytes, bool]]:
    """The stretches of packets in a page, and whether the packet ends with it."""
    at = start = 0
    for lace in page.lacing:
        at += lace
        if lace < 255:
            yield page.body[start:at], True
            start = at
    if start < at:
        yield page.body[start:at], False


def _granules(pages: Iterator[_Page]) -> _Found:
    """Walk the remaining pages; their clock never goes back."""
    found = _Found()
    for page in pages:
        if page.granule == -1:
            continue
        if page.granule < found.last_granule:
            raise damaged("Ogg", "its clock goes backwards")
        found.last_granule = page.granule
        if found.first_granule < 0:
            found.first_granule = page.granule
    if found.last_granule < 0:
        raise truncated("Ogg", "it has no audio")
    return found


def _length(found: _Found, codec: _Codec) -> Length | None:
    if not codec.sample_rate:
        return None
    seconds = (found.last_granule - codec.skipped) / codec.sample_rate
    late = found.first_granule / codec.sample_rate
    if late <= _LATE_START_SECONDS:
        return Length(seconds - 0.05, seconds + 0.05)
    return Length(seconds - late, seconds - late + _LATE_START_SECONDS)


def _page(serial: int, packets: list[bytes]) -> bytes:
    """A page that holds whole packets; it follows the first of its stream."""
    lacing = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    if len(lacing) > 255:
        raise damaged("Ogg", "its headers are larger than any codec needs")
    header = _HEADER.pack(SIGNATURE, 0, 0, 0, serial, 1, 0, len(lacing))
    raw = header + lacing + b"".join(packets)
    return raw[: _CRC.start] + struct.pack("<I", _crc(raw)) + raw[_CRC.stop :]


def _crc(data: bytes) -> int:
    """CRC-32 of RFC 3533: zlib's polynomial with the bits the other way round, and no inversion."""
    reflected = zlib.crc32(data.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_MIRROR))


_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
