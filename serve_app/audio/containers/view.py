"""The part of a file that a decoder is allowed to see."""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Mapping
from typing import BinaryIO


class View:
    """A readable file made of `prefix` and then bytes `start` to `end` of `file`.

    `patches` (offset in `file` -> bytes) are seen in place of what lies there. So FFmpeg reads
    the headers we checked and none of the tags and pictures around them.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int,
        end: int,
        prefix: bytes = b"",
        patches: Mapping[int, bytes] | None = None,
    ) -> None:
        self._file = file
        self._offset = start - len(prefix)  # of position 0, in the file
        self._start = start
        self._prefix = prefix
        self._size = len(prefix) + end - start
        self._patches = dict(patches or {})
        self._patched = sorted(self._patches)
        self._longest = max(map(len, self._patches.values()), default=0)
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer at the end and where the prefix ends; all of them for -1."""
        if size < 0:
            return b"".join(iter(lambda: self.read(io.DEFAULT_BUFFER_SIZE), b""))
        data = self._prefix[self._position : self._position + size] or self._stretch(size)
        self._position += len(data)
        return data

    def _stretch(self, size: int) -> bytes:
        size = max(0, min(size, self._size - self._position))
        at = self._position + self._offset
        self._file.seek(at)
        return self._with_patches(at, self._file.read(size))

    def _with_patches(self, at: int, data: bytes) -> bytes:
        first = bisect_left(self._patched, at - self._longest)
        last = bisect_left(self._patched, at + len(data))
        if first == last:
            return data
        patched = bytearray(data)
        for offset in self._patched[first:last]:
            for position, byte in enumerate(self._patches[offset], offset - at):
                if 0 <= position < len(patched):
                    patched[position] = byte
        return bytes(patched)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move as io.IOBase.seek does; any place outside of the view is its end.

        It does not raise: FFmpeg has nothing to do with an exception on the way to a lie.
        """
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        inside = 0 <= base + offset <= self._size
        self._position = base + offset if inside else self._size
        return self._position

    def tell(self) -> int:
        """The position in bytes from the start of the view."""
        return self._position
