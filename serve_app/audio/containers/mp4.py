"""M4A: boxes within boxes, all of which must fit, and few of which a decoder gets to see.

Source: ISO/IEC 14496-12 (2015), 4.2 for the box and 8 for the boxes named here.
FFmpeg allocates what sample tables announce and repeats them for every edit, so what they announce
is compared with the file before. Boxes that are not known to be needed become `free` in its view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from serve_app.audio.containers.coded import Layout
from serve_app.audio.containers.mp4_tables import Table, Tables
from serve_app.audio.containers.recording import Bounds, damaged, truncated, unsupported
from serve_app.audio.containers.view import View
from serve_app.domain.errors import InvalidAudio

_PARENTS = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"mvex", b"moof", b"traf"}
)
_TABLES = frozenset(
    {b"mdhd", b"dref", b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"co64", b"elst", b"trun"}
)
_PLAIN = frozenset({b"ftyp", b"mdat", b"mvhd", b"tkhd", b"hdlr", b"smhd", b"trex", b"mehd"})
_FRAGMENT = frozenset({b"mfhd", b"tfhd", b"tfdt"})
_HIDDEN = b"free"
_MAX_BOXES = 50_000
_MAX_DEPTH = 8
_MAX_TABLE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Box:
    type: bytes
    at: int
    content: int  # where it begins
    end: int


@dataclass(slots=True)
class _Survey:
    """What the walk has found so far."""

    tables: Tables
    hidden: dict[int, bytes] = field(default_factory=dict[int, bytes])
    boxes: int = 0
    tracks: int = 0
    counts: dict[bytes, int] = field(default_factory=dict[bytes, int])


def survey(file: BinaryIO, size: int, bounds: Bounds) -> Layout:
    """The M4A file of `size` bytes.

    Raises:
        InvalidAudio: a box does not fit, audio or its description is missing, there is none or
            more than one audio track, it is protected, or it lies in another file.
    """
    walk = _Walk(file, _Survey(Tables(size, bounds.max_seconds)))
    walk.children(0, size, 0)
    found = walk.found
    for needed in (b"moov", b"mdat"):
        if not found.counts.get(needed):
            raise truncated("M4A", f"it has no {needed.decode()}")
    if found.counts[b"moov"] > 1:
        raise damaged("M4A", "it describes itself twice")
    if found.tracks != 1:
        raise unsupported("M4A", f"it has {found.tracks or 'no'} audio tracks instead of one")
    length = found.tables.length(fragmented=bool(found.counts.get(b"moof")))
    view = View(file, 0, size, patches=found.hidden)
    return Layout("m4a", "M4A", "mov", ("aac", "alac"), view, length)


class _Walk:
    """One pass over all boxes of a file."""

    def __init__(self, file: BinaryIO, found: _Survey) -> None:
        self._file = file
        self.found = found

    def children(self, start: int, end: int, depth: int) -> None:
        """Visit the boxes that fill `start` to `end`."""
        if depth > _MAX_DEPTH:
            raise damaged("M4A", "its boxes are nested too deep")
        for box in self._boxes(start, end):
            self.found.counts[box.type] = self.found.counts.get(box.type, 0) + 1
            self._visit(box, depth)

    def _visit(self, box: _Box, depth: int) -> None:
        if box.type == b"trak" and not self._is_audio(box):
            self._hide(box)
        elif box.type in _PARENTS:
            self.found.tracks += box.type == b"trak"
            self.children(box.content, box.end, depth + 1)
        elif box.type in _TABLES:
            self.found.tables.add(box.type, self._table(box))
        elif box.type == b"mdat":
            self.found.tables.media_bytes += box.end - box.content
        elif box.type not in _PLAIN | _FRAGMENT:
            self._hide(box)

    def _hide(self, box: _Box) -> None:
        self.found.hidden[box.at + 4] = _HIDDEN

    def _boxes(self, start: int, end: int) -> Iterator[_Box]:
        while start < end:
            box = self._box(start, end)
            self.found.boxes += 1
            if self.found.boxes > _MAX_BOXES:
                raise damaged("M4A", f"it has more than {_MAX_BOXES} boxes")
            yield box
            start = box.end

    def _box(self, at: int, end: int) -> _Box:
        self._file.seek(at)
        header = self._file.read(min(16, end - at))
        length, content = int.from_bytes(header[:4]), at + 8
        if length == 1:
            length, content = int.from_bytes(header[8:16]), at + 16
        elif length == 0:
            length = end - at
        if len(header) < content - at or length < content - at:
            raise damaged("M4A", f"there is no box at byte {at}")
        if at + length > end:
            raise truncated("M4A", f"{at + length} bytes are announced and {end} are there")
        return _Box(header[4:8], at, content, at + length)

    def _is_audio(self, track: _Box) -> bool:
        for media in self._boxes(track.content, track.end):
            if media.type != b"mdia":
                continue
            for box in self._boxes(media.content, media.end):
                if box.type == b"hdlr":
                    return self._content(box)[8:12] == b"soun"
        return False

    def _table(self, box: _Box) -> Table:
        if box.end - box.content > _MAX_TABLE_BYTES:
            raise InvalidAudio("The M4A file has a table of more than 4 MB.", "Export it again.")
        return Table(self._content(box))

    def _content(self, box: _Box) -> bytes:
        self._file.seek(box.content)
        return self._file.read(min(box.end - box.content, _MAX_TABLE_BYTES))
