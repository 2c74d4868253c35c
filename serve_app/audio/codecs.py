"""FFmpeg's encoders through PyAV: which codec in which container, with which settings.

Cost is CPU milliseconds per second of audio, measured on 21 s of speech of the embedded engine,
24 kHz mono, pieces of 8192 samples, one core; SNR and log-spectral distance (LSD) are against
that speech after the encoder's delay was taken away.

| format | setting | cost | kbit/s | SNR dB | LSD dB |
|---|---|---|---|---|---|
| mp3 | level 3 | 9.4 | 64 | 21.3 | 7.1 |
| mp3 | level 5, 6 | 7.8 | 64 | 21.1 | 7.1 |
| **mp3** | **level 7** (8 and 9 are the same) | **5.0** | 64 | 22.5 | 7.4 |
| **opus** | **audio, complexity 5** | **3.1** | 53 | 19.5 | 4.0 |
| opus | audio, complexity 0 | 1.8 | 45 | 18.6 | 5.1 |
| opus | audio, complexity 10 | 10.7 | 48 | 18.8 | 4.4 |
| opus | voip, complexity 5 | 8.9 | 47 | 9.4 | 4.5 |
| aac | two-loop coder | 7.7 | 64 | 23.7 | 4.0 |
| aac | fast coder | 2.6 | 62 | 25.6 | 4.2 |
| **aac** | **fast coder, frames of one size (adts.py)** | **3.4** | 66 | 25.5 | 5.2 |
| **flac** | **level 5** | **0.7** | 183 | exact | 0 |

LAME shapes its noise from level 6 down; from 7 up it does not, which costs the ear 0.3 dB of LSD
and saves more than a third of the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from serve_app.audio import adts
from serve_app.domain.types import AudioFormat, Samples

OPUS_PAGE_MICROSECONDS = 60_000

_SPEECH_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


class Writable(Protocol):
    """What a muxer needs of a file; one that can also seek gets its header completed at the end."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data` and say how many bytes that was."""
        ...


class _Track(Protocol):
    """What is used of av.AudioStream, whose own hints leave its packets unknown."""

    codec_context: AudioCodecContext

    def encode(self, frame: av.AudioFrame | None) -> Sequence[object]: ...


class _Container(Protocol):
    """What is used of av.OutputContainer, for the same reason."""

    def add_stream(self, codec_name: str, rate: int, options: dict[str, str]) -> object: ...

    def start_encoding(self) -> None: ...

    def mux(self, packets: Sequence[object]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """How one format is made with FFmpeg."""

    encoder: str
    container: str
    sample_format: str
    rates: tuple[int, ...] = ()  # Hz; empty means any
    bit_rate: int = 0  # bit/s up to 24 kHz; half as much again above
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    container_options: Mapping[str, str] = field(default_factory=dict[str, str])

    def rate_for(self, sample_rate: int) -> int:
        """The codec's lowest rate that keeps all of `sample_rate` Hz, or else its highest."""
        if not self.rates:
            return sample_rate
        return min((rate for rate in self.rates if rate >= sample_rate), default=self.rates[-1])

    def bit_rate_at(self, rate: int) -> int:
        """Bits per second at `rate` Hz; 0 where the codec has no bit rate to choose."""
        return self.bit_rate if rate <= 24_000 else self.bit_rate * 3 // 2


CODECS: Mapping[AudioFormat, Codec] = {
    AudioFormat.MP3: Codec(
        "libmp3lame",
        "mp3",
        "s16p",
        _SPEECH_RATES,
        64_000,
        {"compression_level": "7"},
        # A Xing header in a stream could only hold zeros; at a constant bit rate a reader derives
        # the true duration from the size.
        {"write_xing": "0", "id3v2_version": "0"},
    ),
    AudioFormat.FLAC: Codec(
        "flac",
        "flac",
        "s16",
        options={"compression_level": "5"},
        # The default reserves 8 KiB for tags, which would delay the first audio for nothing.
        container_options={"metadata_header_padding": "0"},
    ),
    AudioFormat.OPUS: Codec(
        "libopus",
        "ogg",
        "s16",
        (16_000, 24_000, 48_000),
        48_000,
        {"application": "audio", "compression_level": "5", "vbr": "on"},
        # The default collects a second of audio in a page before it writes it.
        {"page_duration": str(OPUS_PAGE_MICROSECONDS)},
    ),
    AudioFormat.AAC: Codec(
        "aac",
        "adts",
        "fltp",
        _SPEECH_RATES,
        64_000,
        # No tolerance ("bt") bounds every frame by the bit rate, so that all can be of one size.
        {"aac_coder": "fast", "bt": "0"},
    ),
    AudioFormat.ULAW: Codec("pcm_mulaw", "mulaw", "s16", (8_000,)),
    AudioFormat.ALAW: Codec("pcm_alaw", "alaw", "s16", (8_000,)),
}

# Each packet leaves the muxer at once, and the same samples always make the same bytes.
_ALWAYS = {"flush_packets": "1", "fflags": "+bitexact"}


def _framed(file: Writable, codec: Codec, sample_rate: int) -> Writable:
    if codec.container != "adts":
        return file
    rate = codec.rate_for(sample_rate)
    return adts.ConstantFrames(file.write, adts.frame_bytes(codec.bit_rate_at(rate), rate))


class CodecWriter:
    """One container with one mono track, written to `file` as samples come in."""

    def __init__(
        self,
        file: Writable,
        codec: Codec,
        sample_rate: int,
        container_options: Mapping[str, str] | None = None,
    ) -> None:
        options = {**codec.container_options, **(container_options or {}), **_ALWAYS}
        opened = av.open(_framed(file, codec, sample_rate), "w", codec.container, options)
        self._container = cast(_Container, opened)
        self._sample_rate = sample_rate
        self._written = 0
        self._track = self._add_track(codec)
        self._container.start_encoding()

    def _add_track(self, codec: Codec) -> _Track:
        rate = codec.rate_for(self._sample_rate)
        added = self._container.add_stream(codec.encoder, rate=rate, options=dict(codec.options))
        track = cast(_Track, added)
        track.codec_context.layout = "mono"
        track.codec_context.format = codec.sample_format
        if codec.bit_rate:
            track.codec_context.bit_rate = codec.bit_rate_at(rate)
        return track

    def write(self, samples: Samples) -> None:
        """Encode samples [n]; what does not fill a codec frame waits inside the encoder."""
        if not len(samples):
            return
        self._container.mux(self._track.encode(self._frame(samples)))

    def _frame(self, samples: Samples) -> av.AudioFrame:
        row = np.ascontiguousarray(samples).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(row, format="s16", layout="mono")
        frame.sample_rate = self._sample_rate
        frame.time_base = Fraction(1, self._sample_rate)
        frame.pts = self._written
        self._written += len(samples)
        return frame

    def close(self) -> None:
        """Flush resampler, encoder and muxer, and complete the container; `file` stays open."""
        self._container.mux(self._track.encode(None))
        self._container.close()
