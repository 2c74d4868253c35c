"""The encoders of the plain server: int16 PCM in, one WAV or MP3 stream out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import av
import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

WAV_HEADER_BYTES = 44
MP3_BIT_RATE = 128_000
UNKNOWN_SIZE = 0xFFFFFFFF


def wav(chunks: Iterable[Pcm], sample_rate: int) -> Iterator[bytes]:
    """A mono WAV of unknown length; the header leaves with the first audio."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", UNKNOWN_SIZE, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16),
        *(b"data", UNKNOWN_SIZE),
    )
    for chunk in chunks:
        yield header + chunk.tobytes()
        header = b""


def mp3(chunks: Iterable[Pcm], sample_rate: int) -> Iterator[bytes]:
    """A mono constant-rate MP3 with the encoder's own defaults."""
    encoder = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = sample_rate, "mono", "s16p"
    encoder.bit_rate = MP3_BIT_RATE
    for chunk in chunks:
        frame = av.AudioFrame.from_ndarray(chunk[None, :], format="s16p", layout="mono")
        frame.sample_rate = sample_rate
        yield b"".join(bytes(packet) for packet in encoder.encode(frame))
    yield b"".join(bytes(packet) for packet in encoder.encode(None))
