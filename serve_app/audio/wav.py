"""The one place that writes a WAV header.

Layout: IBM and Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (1991),
RIFF WAVE: "RIFF" size "WAVE" | "fmt " 16 format-fields | "data" size samples; every number is
little-endian. A stream does not know its length and carries 0xFFFFFFFF in both size fields, as
FFmpeg's muxer writes to a pipe (libavformat/wavenc.c); FFmpeg, libsndfile and Python's wave read
such a file to its end, whereas a size of 0 reads as an empty file.
"""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from serve_app.domain.types import Samples

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF
BYTES_PER_SAMPLE = 2
_PCM = 1
_MONO = 1
_RIFF_OVERHEAD = HEADER_BYTES - 8  # the RIFF size counts what follows its own eight bytes


def streaming_header(sample_rate: int) -> bytes:
    """The 44 bytes before 16-bit mono PCM of unknown length at `sample_rate` Hz."""
    return _header(sample_rate, UNKNOWN_SIZE, UNKNOWN_SIZE)


def header(sample_rate: int, samples: int) -> bytes:
    """The 44 bytes before exactly `samples` samples of 16-bit mono PCM at `sample_rate` Hz.

    Past the 4 GiB that RIFF can count it is the streaming header.
    """
    data_size = samples * BYTES_PER_SAMPLE
    if data_size + _RIFF_OVERHEAD >= UNKNOWN_SIZE:
        return streaming_header(sample_rate)
    return _header(sample_rate, data_size + _RIFF_OVERHEAD, data_size)


def _header(sample_rate: int, riff_size: int, data_size: int) -> bytes:
    byte_rate = sample_rate * BYTES_PER_SAMPLE
    bits = 8 * BYTES_PER_SAMPLE
    riff = struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE")
    fields = (_PCM, _MONO, sample_rate, byte_rate, BYTES_PER_SAMPLE, bits)
    return riff + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *fields, b"data", data_size)


def pcm_bytes(samples: Samples) -> bytes:
    """Samples [n] as 2n bytes of signed 16-bit little-endian PCM."""
    return samples.astype("<i2", copy=False).tobytes()


class WavWriter:
    """A 16-bit mono WAV file that grows and gets its true header when it is closed.

    Until then it carries the streaming header, so that even an interrupted file is readable.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._samples = 0
        self._file = path.open("wb")
        self._file.write(streaming_header(sample_rate))

    @property
    def samples(self) -> int:
        """How many samples have been written."""
        return self._samples

    def write(self, samples: Samples) -> None:
        """Append samples [n]."""
        self._file.write(pcm_bytes(samples))
        self._samples += len(samples)

    def close(self) -> None:
        """Write the true header and close the file; closing twice does nothing."""
        if self._file.closed:
            return
        with self._file:
            self._file.seek(0)
            self._file.write(header(self._sample_rate, self._samples))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
