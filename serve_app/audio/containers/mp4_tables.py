"""What the tables of an M4A file announce, compared with what the file can hold.

Source: ISO/IEC 14496-12 (2015), 8.4.2 mdhd, 8.5.2 stsd, 8.6.1 stts, 8.6.6 elst, 8.7.2 dref,
8.7.3 stsz, 8.7.4 stsc, 8.7.5 stco and co64, 8.8.8 trun.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve_app.audio.containers.recording import Length, damaged, truncated, unsupported

_PACKETS_PER_SECOND = 200  # AAC at 192 kHz has 188 frames a second
_SPARE_PACKETS = 1000
_MAX_EDITS = 4  # one for the encoder's delay, one for a late start
_SAMPLE_ENTRIES = (b"mp4a", b"alac")
_SELF_CONTAINED = 1
_MOST_FRAME_SAMPLES = 16_384  # ALAC's frames have 4096; a decoder reserves what is announced
_SPARE_SECONDS = 0.1
_SPARE_SAMPLES = 4 * 1024  # priming and padding of the encoder


@dataclass(frozen=True, slots=True)
class Table:
    """The content of a full box: version, flags, and then 32-bit numbers and entries."""

    content: bytes

    def number(self, at: int, size: int = 4) -> int:
        """The unsigned number at byte `at`; one that is cut off is refused."""
        field = self.content[at : at + size]
        if len(field) < size:
            raise damaged("M4A", "one of its tables is cut off")
        return int.from_bytes(field)

    def entries(self, at: int, count: int, width: int) -> npt.NDArray[np.uint32]:
        """`count` entries of `width` 32-bit numbers from byte `at` on, [count, width]."""
        if at + count * width * 4 > len(self.content):
            raise damaged("M4A", "one of its tables is shorter than it says")
        flat = np.frombuffer(self.content, ">u4", count * width, at)
        return flat.astype(np.uint32).reshape(count, width)


class Tables:
    """The tables of the one audio track of a file of `size` bytes."""

    def __init__(self, size: int, max_seconds: float) -> None:
        self.media_bytes = 0
        self._size = size
        self._most = _SPARE_PACKETS + int(_PACKETS_PER_SECOND * max_seconds)
        self._fragment_packets = 0
        self._packet_bytes = 0
        self._timescale = 0
        self._duration = 0

    def add(self, name: bytes, table: Table) -> None:
        """Check one table.

        Raises:
            InvalidAudio: it announces what the file does not hold, or what is not accepted.
        """
        checks: Mapping[bytes, Callable[[Table], None]] = {
            b"mdhd": self._header,
            b"dref": self._references,
            b"stsd": self._description,
            b"stts": self._times,
            b"stsc": self._chunks,
            b"stsz": self._sizes,
            b"stco": self._offsets,
            b"co64": self._long_offsets,
            b"elst": self._edits,
            b"trun": self._run,
        }
        checks[name](table)

    def length(self, fragmented: bool) -> Length | None:
        """The declared length; None where fragments make it up.

        Raises:
            InvalidAudio: there is no audio, or more is announced than the file holds.
        """
        if self._packet_bytes > self.media_bytes:
            what = f"{self._packet_bytes} bytes of audio are announced and {self.media_bytes} there"
            raise truncated("M4A", what)
        if fragmented:
            return None
        if not self._packet_bytes or not self._timescale:
            raise truncated("M4A", "it has no audio")
        seconds = self._duration / self._timescale
        spare = _SPARE_SECONDS + _SPARE_SAMPLES / self._timescale
        return Length(seconds - spare, seconds + spare)

    def _header(self, table: Table) -> None:
        self._timescale = table.number(20 if table.number(0, 1) else 12)

    def _references(self, table: Table) -> None:
        at = 8
        for _ in range(min(table.number(4), 16)):
            if not table.number(at + 8) & _SELF_CONTAINED:
                raise unsupported("M4A", "its audio lies in another file")
            at += max(table.number(at), 8)

    def _description(self, table: Table) -> None:
        if table.number(4) != 1 or table.content[12:16] not in _SAMPLE_ENTRIES:
            raise unsupported("M4A", "its audio is protected, or neither AAC nor ALAC")
        cookie = table.content.find(b"alac", 16)
        if cookie > 0 and table.number(cookie + 8) > _MOST_FRAME_SAMPLES:
            raise unsupported("M4A", "its frames are too long")

    def _times(self, table: Table) -> None:
        entries = table.entries(8, self._bounded(table.number(4)), 2).astype(np.float64)
        self._bounded(int(entries[:, 0].sum()))
        self._duration = int(entries.prod(axis=1).sum())

    def _chunks(self, table: Table) -> None:
        table.entries(8, self._bounded(table.number(4)), 3)

    def _sizes(self, table: Table) -> None:
        constant, count = table.number(4), self._bounded(table.number(8))
        sizes = np.zeros(0) if constant else table.entries(12, count, 1)
        self._packet_bytes = constant * count or int(sizes.sum(dtype=np.float64))

    def _offsets(self, table: Table) -> None:
        offsets = table.entries(8, self._bounded(table.number(4)), 1)
        self._inside(int(offsets.max(initial=0)))

    def _long_offsets(self, table: Table) -> None:
        halves = table.entries(8, self._bounded(table.number(4)), 2).astype(np.float64)
        self._inside(int((halves @ np.array([2.0**32, 1])).max(initial=0)))

    def _inside(self, offset: int) -> None:
        if offset >= self._size:
            raise truncated("M4A", f"its audio begins at byte {offset} of {self._size}")

    def _edits(self, table: Table) -> None:
        if table.number(4) > _MAX_EDITS:
            raise unsupported("M4A", "it is cut together by a list of edits")

    def _run(self, table: Table) -> None:
        self._fragment_packets += table.number(4)
        self._bounded(self._fragment_packets)

    def _bounded(self, count: int) -> int:
        if count > self._most:
            raise unsupported("M4A", f"it announces {count} packets")
        return count
