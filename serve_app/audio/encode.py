"""PCM in, one encoded container out, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from serve_app.audio import wav
from serve_app.audio.codecs import CODECS, CodecWriter
from serve_app.domain.types import AudioFormat, Samples

HELD_BACK_MS: Mapping[AudioFormat, int] = {
    AudioFormat.WAV: 0,
    AudioFormat.PCM: 0,
    AudioFormat.FLAC: 120,
    AudioFormat.OPUS: 150,
    AudioFormat.AAC: 200,
    AudioFormat.MP3: 200,
    AudioFormat.ULAW: 20,
    AudioFormat.ALAW: 20,
}
"""Audio pushed but not yet decodable from the bytes that came out, in ms.

It is the codec's frame, its look-ahead and, for opus, the Ogg page; ulaw and alaw only wait for
their resampler. Measured at 16 to 48 kHz: flac 104, opus 127, aac 188, mp3 173, ulaw and alaw 2.
"""

ENCODER_DELAY: Mapping[AudioFormat, int] = {
    AudioFormat.WAV: 0,
    AudioFormat.PCM: 0,
    AudioFormat.FLAC: 0,
    AudioFormat.OPUS: 0,  # 6.5 ms, which the header announces and decoders take away
    AudioFormat.AAC: 1024,  # one priming frame; ADTS cannot announce it
    AudioFormat.MP3: 1105,  # LAME 576 + decoder 529; a stream has no tag to announce it
    AudioFormat.ULAW: 0,
    AudioFormat.ALAW: 0,
}
"""Samples, at the rate of the container, that a decoder yields before the first one pushed."""

_MEDIA_TYPES: Mapping[AudioFormat, str] = {
    AudioFormat.WAV: "audio/wav",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.OPUS: "audio/ogg",
    AudioFormat.AAC: "audio/aac",
    AudioFormat.PCM: "audio/pcm",
    AudioFormat.ULAW: "audio/basic",
    AudioFormat.ALAW: "audio/PCMA",
}


def media_type(format: AudioFormat, sample_rate: int = 24_000) -> str:
    """The Content-Type of a format; raw PCM has nowhere else to say its rate in Hz."""
    if format is AudioFormat.PCM:
        return f"{_MEDIA_TYPES[format]};rate={sample_rate}"
    return _MEDIA_TYPES[format]


def output_rate(format: AudioFormat, rate: int) -> int:
    """The sample rate in Hz of what a stream of `rate` Hz becomes: 8000 for ulaw and alaw.

    Opus decodes at 48000 whatever went in (RFC 7845, 5.1), so the rate of the input is what can
    usefully be said of it.
    """
    codec = CODECS.get(format)
    if codec is None or format is AudioFormat.OPUS:
        return rate
    return codec.rate_for(rate)


class StreamEncoder:
    """One stream of one format: header, audio and end, in order.

    Not safe for two threads at once; one after the other is fine. A stream may be dropped
    without `finish`.
    """

    def __init__(self, format: AudioFormat, sample_rate: int) -> None:
        self._encoder = _encoder(format, sample_rate)

    def encode(self, samples: Samples) -> bytes:
        """The bytes that samples [n] bring out; b"" while the codec collects a frame."""
        return self._encoder.encode(samples)

    def finish(self) -> bytes:
        """The remaining bytes. Every sample pushed is now in the stream; call it once."""
        return self._encoder.finish()


class _Encoder(Protocol):
    def encode(self, samples: Samples) -> bytes: ...

    def finish(self) -> bytes: ...


def _encoder(format: AudioFormat, sample_rate: int) -> _Encoder:
    if format is AudioFormat.PCM:
        return _PlainPcm()
    if format is AudioFormat.WAV:
        return _PlainPcm(wav.streaming_header(sample_rate))
    return _Coded(format, sample_rate)


class _PlainPcm:
    """The samples as they are, after a header that leaves with the first of them."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def encode(self, samples: Samples) -> bytes:
        return self.finish() + wav.pcm_bytes(samples)

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header


class _Coded:
    """An FFmpeg encoder and muxer that write into memory."""

    def __init__(self, format: AudioFormat, sample_rate: int) -> None:
        self._outbox = _Outbox()
        self._writer = CodecWriter(self._outbox, CODECS[format], sample_rate)

    def encode(self, samples: Samples) -> bytes:
        self._writer.write(samples)
        return self._outbox.take()

    def finish(self) -> bytes:
        self._writer.close()
        return self._outbox.take()


class _Outbox:
    """A write-only file; that it cannot seek tells FFmpeg to write as it would to a pipe."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._pieces.append(data)
        return len(data)

    def take(self) -> bytes:
        """All that was written since the last call."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
