"""Valid audio files of every kind that people send, made here and now."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path

import av
import numpy as np
import soundfile

from serve_app.audio.wav import pcm_bytes, streaming_header
from serve_app.domain.types import Samples
from tests.audio_tools import speechlike

SECONDS = 1.25


@dataclass(frozen=True, slots=True)
class GoodFile:
    """A file that must be accepted, and what it is."""

    name: str
    filename: str
    content: Callable[[], bytes]
    format: str
    sample_rate: int
    snr: float = 60.0  # dB of what comes out against the speech that went in
    delay: int = 1  # samples at 24 kHz that it may come late


@lru_cache
def speech(rate: int, seconds: float = SECONDS) -> Samples:
    return speechlike(seconds, rate)


@lru_cache
def with_soundfile(
    container: str, subtype: str, rate: int = 44_100, channels: int = 1, seconds: float = SECONDS
) -> bytes:
    file = io.BytesIO()
    scale = 32768 if subtype in ("FLOAT", "DOUBLE") else 1  # libsndfile leaves them as they are
    samples = (speech(rate, seconds) / scale).astype(np.int16 if scale == 1 else np.float64)
    rows = np.repeat(samples.reshape(-1, 1), channels, axis=1)
    soundfile.write(file, rows, rate, format=container, subtype=subtype)
    return file.getvalue()


@lru_cache
def with_ffmpeg(
    container: str,
    codec: str,
    rate: int = 44_100,
    layout: str = "mono",
    seconds: float = SECONDS,
    options: tuple[tuple[str, str], ...] = (),
) -> bytes:
    return encoded(speech(rate, seconds), container, codec, rate, layout, dict(options))


def encoded(
    samples: Samples,
    container: str,
    codec: str,
    rate: int = 44_100,
    layout: str = "mono",
    options: Mapping[str, str] | None = None,
    tracks: int = 1,
) -> bytes:
    """Samples [n], the same in every channel and track, as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        _encode(path, samples, container, codec, rate, layout, dict(options or {}), tracks)
        return path.read_bytes()


def _encode(
    path: Path,
    samples: Samples,
    container: str,
    codec: str,
    rate: int,
    layout: str,
    options: dict[str, str],
    tracks: int,
) -> None:
    target = av.open(str(path), "w", format=container, container_options=options)
    streams = [target.add_stream(codec, rate=rate) for _ in range(tracks)]
    for stream in streams:
        stream.codec_context.layout = layout
    for stream in streams:
        target.mux(stream.encode(_frame(samples, rate, layout)))
    for stream in streams:
        target.mux(stream.encode(None))
    target.close()


def _frame(samples: Samples, rate: int, layout: str) -> av.AudioFrame:
    rows = np.repeat(samples, 2 if layout == "stereo" else 1).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def id3(payload: int = 0, frames: bytes = b"") -> bytes:
    """An ID3v2.4 tag with these frames and `payload` bytes of padding."""
    size = payload + len(frames)
    safe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + safe + frames + bytes(payload)


def chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk, padded to an even size."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def box(name: bytes, content: bytes) -> bytes:
    """An ISO media box."""
    return struct.pack(">I", 8 + len(content)) + name + content


def mp3() -> bytes:
    return with_ffmpeg("mp3", "libmp3lame")


def m4a() -> bytes:
    return with_ffmpeg("ipod", "aac")


def plain_wav(rate: int = 24_000) -> bytes:
    return with_soundfile("WAV", "PCM_16", rate)


def _streamed_wav() -> bytes:
    return streaming_header(24_000) + pcm_bytes(speech(24_000))


def _tagged_wav() -> bytes:
    data = plain_wav()[12:] + chunk(b"LIST", b"INFOISFT" + bytes(5)) + chunk(b"id3 ", id3(40))
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WAVE" + data


def _mp3_with_tags() -> bytes:
    picture = b"APIC" + struct.pack(">I", 60) + bytes(2) + b"\0image/png\0\x03\0" + b"\x89PNG" * 12
    return id3(6_000_000, picture) + bytes(500) + mp3() + b"TAG" + bytes(125)


def _flac_with_cover() -> bytes:
    data = with_soundfile("FLAC", "PCM_16")
    picture = bytes(8) + bytes(24) + bytes(400_000)
    return data[:42] + b"\x06" + len(picture).to_bytes(3) + picture + data[42:]


def _m4a_with_cover() -> bytes:
    data, cover = m4a(), box(b"data", bytes(8) + b"\x89PNG" * 100)
    tags = box(b"udta", box(b"meta", bytes(4) + box(b"ilst", box(b"covr", cover))))
    at = data.index(b"moov") - 4
    size = int.from_bytes(data[at : at + 4]) + len(tags)
    return data[:at] + size.to_bytes(4) + data[at + 4 :] + tags


def _wavs() -> list[GoodFile]:
    kinds = {"PCM_U8": 25.0, "PCM_16": 60.0, "PCM_24": 60.0, "PCM_32": 60.0, "FLOAT": 60.0}
    kinds |= {"DOUBLE": 60.0, "ULAW": 30.0, "ALAW": 30.0}
    return [
        GoodFile(f"wav {kind}", "a.wav", partial(with_soundfile, "WAV", kind), "wav", 44_100, snr)
        for kind, snr in kinds.items()
    ]


def _good(
    name: str, make: Callable[[], bytes], rate: int = 44_100, snr: float = 60.0, delay: int = 1
) -> GoodFile:
    kind = name.split()[0]
    return GoodFile(name, f"speech.{kind}", make, kind, rate, snr, delay)


_sf, _ff = partial(partial, with_soundfile), partial(partial, with_ffmpeg)
_FRAGMENTED = (("movflags", "frag_keyframe+empty_moov"), ("frag_duration", "300000"))

GOOD: Sequence[GoodFile] = (
    *_wavs(),
    _good("wav plain", plain_wav, 24_000),
    _good("wav streamed", _streamed_wav, 24_000),
    _good("wav with tags", _tagged_wav, 24_000),
    _good("wav extensible, 6 channels", _sf("WAVEX", "PCM_24", 48_000, 6), 48_000),
    _good("wav 8 channels at 192 kHz", _sf("WAV", "PCM_16", 192_000, 8), 192_000),
    _good("wav 8 kHz", _sf("WAV", "PCM_16", 8_000), 8_000),
    _good("wav RF64", _sf("RF64", "PCM_16"), 44_100),
    _good("mp3", mp3, snr=12),
    _good("mp3 stereo", _ff("mp3", "libmp3lame", 48_000, "stereo"), 48_000, 12),
    _good("mp3 MPEG-2", _ff("mp3", "libmp3lame", 22_050), 22_050, 12),
    _good("mp3 MPEG-2.5", _ff("mp3", "libmp3lame", 8_000), 8_000, 8),
    _good("mp3 of libsndfile", _sf("MP3", "MPEG_LAYER_III"), snr=12),
    _good("mp3 with 6 MB of tags", _mp3_with_tags, snr=12),
    _good("flac 8 bit", _sf("FLAC", "PCM_S8"), snr=25),
    _good("flac 16 bit", _sf("FLAC", "PCM_16")),
    _good("flac 24 bit stereo", _sf("FLAC", "PCM_24", 96_000, 2), 96_000),
    _good("flac with a cover", _flac_with_cover),
    _good("flac behind an ID3 tag", lambda: id3(50) + with_soundfile("FLAC", "PCM_16")),
    _good("ogg Opus", _ff("ogg", "libopus", 48_000), 48_000, 8),
    _good("ogg Opus stereo", _ff("ogg", "libopus", 48_000, "stereo"), 48_000, 8),
    _good("ogg Vorbis", _sf("OGG", "VORBIS"), snr=8),
    _good("ogg Vorbis stereo", _sf("OGG", "VORBIS", 48_000, 2), 48_000, 8),
    _good("ogg Vorbis 7.1", _sf("OGG", "VORBIS", 48_000, 8), 48_000, 5),
    _good("flac 8 channels", _sf("FLAC", "PCM_16", 48_000, 8), 48_000),
    _good("ogg FLAC", _ff("ogg", "flac")),
    _good("m4a AAC", m4a, snr=12),
    _good("m4a AAC stereo", _ff("ipod", "aac", 48_000, "stereo"), 48_000, 12),
    _good("m4a AAC 8 kHz", _ff("ipod", "aac", 8_000), 8_000, 8),
    _good("m4a ALAC", _ff("ipod", "alac")),
    # Fragments come without the edit list that says how much of the encoder's delay to skip.
    _good("m4a in fragments", _ff("mp4", "aac", options=_FRAGMENTED), snr=12, delay=558),
    _good("m4a for streaming", _ff("mp4", "aac", options=(("movflags", "faststart"),)), snr=12),
    _good("m4a with a cover", _m4a_with_cover, snr=12),
)
