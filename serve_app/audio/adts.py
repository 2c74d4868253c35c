"""ADTS frames of one size, so that a saved AAC stream shows its true duration.

ADTS has no duration anywhere: ffprobe and players derive it from the size of the first frames,
and showed 2.0 s of speech as 3.3, and 21.5 as 19. Frames are filled up to a constant size with
fill elements, which every decoder skips.

Source: ISO/IEC 13818-7 (MPEG-2 AAC), 6.2 for the ADTS header (7 bytes without CRC, frame length
in 13 bits from bit 30) and 6.3 for raw_data_block: elements, ID_END, zeros up to a whole byte.
"""

from __future__ import annotations

from collections.abc import Callable

HEADER_BYTES = 7
SAMPLES_PER_FRAME = 1024

_LENGTH_BITS_BELOW = 13  # header bits after the length field: fullness 11, blocks 2
_LENGTH_MASK = 0x1FFF << _LENGTH_BITS_BELOW
_ID_END = 0b111
_ID_FILL = 0b110
_ID_BITS = 3
_COUNT_BITS = 4
_ESCAPE_BITS = 8
_ESCAPE = 15  # the count that says that eight more bits follow
_MAX_FILL = _ESCAPE + 0xFF - 1


def frame_bytes(bit_rate: int, sample_rate: int) -> int:
    """The size in bytes that holds every frame of an encoder with a strict `bit_rate`.

    Where the bits of a frame are whole bytes, the encoder oversteps them by one now and then.
    """
    return HEADER_BYTES + bit_rate * SAMPLES_PER_FRAME // (8 * sample_rate) + 1


class ConstantFrames:
    """A write-only file that takes ADTS in any pieces and passes on frames of at least `size`."""

    def __init__(self, forward: Callable[[bytes], object], size: int) -> None:
        self._forward = forward
        self._size = size
        self._pending = b""

    def write(self, data: bytes, /) -> int:
        """Take all of `data` and pass on the frames that it completes."""
        self._pending += data
        while len(self._pending) >= HEADER_BYTES:
            length = _frame_length(self._pending)
            if len(self._pending) < length:
                break
            self._forward(pad_frame(self._pending[:length], self._size))
            self._pending = self._pending[length:]
        return len(data)


def pad_frame(frame: bytes, size: int) -> bytes:
    """The ADTS frame with fill elements up to `size` bytes; one that is not shorter stays."""
    if len(frame) >= size:
        return frame
    block = int.from_bytes(frame[HEADER_BYTES:])
    trailing_zeros = (block & -block).bit_length() - 1
    elements = block >> trailing_zeros + _ID_BITS
    used = 8 * (len(frame) - HEADER_BYTES) - trailing_zeros - _ID_BITS
    padded = _fill(elements, 8 * (size - HEADER_BYTES) - used)
    return _with_length(frame[:HEADER_BYTES], size) + padded.to_bytes(size - HEADER_BYTES)


def _fill(elements: int, free: int) -> int:
    """The bits of `elements`, fill elements in the `free` bits after them, ID_END and zeros."""
    free -= _ID_BITS
    while free >= _ID_BITS + _COUNT_BITS:
        head, bits = _fill_element(free)
        elements = (elements << bits) | (head << bits - head.bit_length())
        free -= bits
    return ((elements << _ID_BITS) | _ID_END) << free


def _fill_element(free: int) -> tuple[int, int]:
    """The largest fill element of at most `free` bits: its leading bits and its size in bits.

    The payload is zeros, which make its extension type EXT_FILL.
    """
    count = (free - _ID_BITS - _COUNT_BITS) // 8
    if count < _ESCAPE:
        return _ID_FILL << _COUNT_BITS | count, _ID_BITS + _COUNT_BITS + 8 * count
    count = min((free - _ID_BITS - _COUNT_BITS - _ESCAPE_BITS) // 8, _MAX_FILL)
    escaped = (_ID_FILL << _COUNT_BITS | _ESCAPE) << _ESCAPE_BITS | (count - _ESCAPE + 1)
    return escaped, _ID_BITS + _COUNT_BITS + _ESCAPE_BITS + 8 * count


def _frame_length(frame: bytes) -> int:
    header = int.from_bytes(frame[:HEADER_BYTES])
    return (header & _LENGTH_MASK) >> _LENGTH_BITS_BELOW


def _with_length(header: bytes, length: int) -> bytes:
    cleared = int.from_bytes(header) & ~_LENGTH_MASK
    return (cleared | length << _LENGTH_BITS_BELOW).to_bytes(HEADER_BYTES)
