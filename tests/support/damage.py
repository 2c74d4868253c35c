"""Ways to break an audio file, used by the catalogue of hostile files."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
import numpy.typing as npt

from tests.support.recordings import box, chunk, encoded, m4a, plain_wav, speech, with_ffmpeg

ZIP = b"PK\x03\x04\x14\0\0\0\0\0" + bytes(range(200)) + b"PK\x05\x06" + bytes(18)
HTML = b"<html><script>alert(1)</script></html>"
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(57)


def wav(
    tag: int = 1,
    channels: int = 1,
    rate: int = 24_000,
    bits: int = 16,
    block: int | None = None,
    data: bytes | None = None,
    extra: bytes = b"",
) -> bytes:
    """A WAV file with these fields; the samples of a second of speech unless `data` is given."""
    block = channels * bits // 8 if block is None else block
    fields = (tag, channels, rate & 0xFFFFFFFF, rate * block & 0xFFFFFFFF, block, bits)
    data = speech(24_000).astype("<i2").tobytes() if data is None else data
    return riff(chunk(b"fmt ", struct.pack("<HHIIHH", *fields) + extra), chunk(b"data", data))


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    """A RIFF WAVE file of these chunks, its size true unless given."""
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) if size is None else size) + content


def extensible(tail: bytes) -> bytes:
    """WAVEFORMATEXTENSIBLE with a GUID that ends in `tail`."""
    return wav(tag=0xFFFE, extra=struct.pack("<HHI", 22, 16, 4) + b"\1\0" + tail)


def floats(*values: float, bits: int = 32) -> bytes:
    """Float samples of speech with `values` somewhere among them."""
    samples = speech(24_000) / 32768
    samples[5000 : 5000 + len(values)] = values
    return wav(tag=3, bits=bits, data=samples.astype(f"<f{bits // 8}").tobytes())


def pcm(samples: npt.NDArray[np.float64]) -> bytes:
    """Samples as a plain WAV file."""
    return wav(data=np.rint(samples).astype("<i2").tobytes())


def cut(data: bytes, share: float = 0.6) -> bytes:
    """The first part of a file."""
    return data[: int(len(data) * share)]


def rotten(data: bytes, at: float = 0.5, size: int = 40) -> bytes:
    """A file with `size` bytes in it changed."""
    damaged, start = bytearray(data), int(len(data) * at)
    for position in range(start, start + size):
        damaged[position] ^= 0x55
    return bytes(damaged)


def patched(data: bytes, name: bytes, offset: int, content: bytes) -> bytes:
    """`content` in place of what lies `offset` bytes behind the first `name`."""
    at = data.index(name) + len(name) + offset
    return data[:at] + content + data[at + len(content) :]


def truncated_wav() -> bytes:
    return plain_wav()[:-1000]


@lru_cache
def flac_of_silence(seconds: int, declared: bool = True) -> bytes:
    """Digital silence: an hour of it is 0.7 MB."""
    if declared:
        return encoded(np.zeros(seconds * 16_000, np.int16), "flac", "flac", 16_000)
    data = flac_of_silence(seconds)
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]  # STREAMINFO: 36 bits of 0


@lru_cache
def opus_of_silence(pages: int) -> bytes:
    """Packets of one byte, each of which is 60 ms of audio: 15.3 seconds a page."""
    tags = b"OpusTags" + bytes(8)
    head = b"OpusHead\x01\x01" + struct.pack("<HIhB", 0, 48_000, 0, 0)
    made = [ogg_page(2, 0, 0, [head]), ogg_page(0, 0, 1, [tags])]
    for number in range(1, pages + 1):
        flags = 4 if number == pages else 0
        made.append(ogg_page(flags, number * 255 * 2880, number + 1, [b"\x18"] * 255))
    return b"".join(made)


def ogg_page(flags: int, granule: int, number: int, packets: Sequence[bytes]) -> bytes:
    """An Ogg page of whole packets, with a checksum computed bit by bit."""
    lacing = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    fields = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, 7, number)
    rest = bytes([len(lacing)]) + lacing + b"".join(packets)
    return fields + struct.pack("<I", _crc(fields + bytes(4) + rest)) + rest


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return crc


def ogg_without_last_page() -> bytes:
    data = with_ffmpeg("ogg", "libopus", 48_000)
    return data[: data.rindex(b"OggS")]


def ogg_missing_a_page() -> bytes:
    data = with_ffmpeg("ogg", "flac")
    pages = [b"OggS" + page for page in data.split(b"OggS")[1:]]
    return b"".join(pages[:3] + pages[4:])


def theora() -> bytes:
    return ogg_page(2, 0, 0, [b"\x80theora\x03\x02\x01" + bytes(32)]) + ogg_page(4, 1, 1, [b"x"])


@lru_cache
def two_tracks(container: str, codec: str, rate: int) -> bytes:
    return encoded(speech(rate), container, codec, rate, tracks=2)


@lru_cache
def video_only() -> bytes:
    file = io.BytesIO()
    target = av.open(file, "w", format="mp4")
    stream = target.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    for number in range(5):
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        target.mux(stream.encode(frame))
    target.mux(stream.encode(None))
    target.close()
    return file.getvalue()


def m4a_of_another_file() -> bytes:
    """A data reference that is not self-contained, with the path of another file."""
    return patched(m4a(), b"url ", 0, bytes(4))


def m4a_of_edits(count: int) -> bytes:
    """An M4A whose edit list repeats it `count` times."""
    entries = struct.pack(">II", 0, count) + struct.pack(">IIHH", 1000, 0, 1, 0) * count
    return _in_track(m4a(), box(b"edts", box(b"elst", entries)))


def _in_track(data: bytes, addition: bytes) -> bytes:
    """An M4A whose `moov` lies at its end, with a box added at the end of its track."""
    moov, trak = data.index(b"moov") - 4, data.index(b"trak") - 4
    end = trak + int.from_bytes(data[trak : trak + 4])
    data = data[:end] + addition + data[end:]
    for at in (moov, trak):
        size = int.from_bytes(data[at : at + 4]) + len(addition)
        data = data[:at] + struct.pack(">I", size) + data[at + 4 :]
    return data


def nested(depth: int) -> bytes:
    """Boxes within boxes within boxes."""
    content = b""
    for _ in range(depth):
        content = box(b"moov", content)
    return box(b"ftyp", b"M4A \0\0\0\0") + content + box(b"mdat", bytes(100))


def many_boxes(count: int) -> bytes:
    return box(b"ftyp", b"M4A \0\0\0\0") + box(b"free", b"") * count
