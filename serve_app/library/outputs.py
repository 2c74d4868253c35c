"""The shelf of the outputs: one lossless master a stream, other formats made from it when asked.

A stream reserves its names in the catalogue, writes its master to a scratch file and publishes it
when it is whole. The master is NAME.wav where wav was promised, else the hidden `.NAME.TOKEN.wav`
beside; every promised format has a row of its own that says which master it is made from. A master
goes with the last file that needs it. See docs/adr/0006-one-lossless-master.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from serve_app.domain.errors import NotFound
from serve_app.domain.types import Shelf
from serve_app.library.blobs import BlobInfo, Blobs
from serve_app.library.catalogue import Catalogue, Doomed
from serve_app.library.entries import Entry, Filter, Folder, Page, PageRequest
from serve_app.library.making import FormatMaker
from serve_app.library.output_reading import OutputReader
from serve_app.library.paths import is_plain
from serve_app.library.pending import OutputDraft, PendingOutput, Reserver
from serve_app.library.removal import Remover
from serve_app.library.tools import AudioTools

__all__ = ["OutputDraft", "OutputFile", "OutputShelf", "PendingOutput"]

_POLL_S = (0.05, 0.25)
_TOUCH_EVERY_S = 60.0
_TOUCHED_AT_MOST = 10_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A complete file that can be read."""

    entry: Entry
    info: BlobInfo


class OutputShelf:
    """All outputs. Every method raises StorageUnavailable if SQL or store do not answer."""

    name = Shelf.OUTPUTS

    def __init__(
        self,
        blobs: Blobs,
        catalogue: Catalogue,
        tools: AudioTools,
        wait_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.blobs = blobs
        self.reader = OutputReader(blobs, catalogue, tools)
        self.remover = Remover(self.name, blobs, catalogue, self._keys_of)
        self._catalogue = catalogue
        self._tools = tools
        self._reserver = Reserver(blobs, catalogue, tools, now)
        self._maker = FormatMaker(blobs, catalogue, tools)
        self._wait_s = wait_s
        self._now = now
        self._touched: dict[str, float] = {}

    async def reserve(self, draft: OutputDraft) -> PendingOutput:
        """Take a name nobody else has, on any machine.

        Raises:
            InvalidRequest: the project or the name is not a plain one.
            AlreadyExists: the name that `draft` insists on is taken.
        """
        return await self._reserver.reserve(draft)

    async def find(self, path: str) -> OutputFile:
        """The complete file of `path`, waiting for one that is on its way, making it if need be.

        Raises:
            NotFound: there is none, its stream failed, or it did not end in time.
        """
        entry = await self._entry(path)
        info = await self.blobs.head(path)
        if info is None:
            info = await self._maker.make(entry)
            sized = replace(entry.audio, size_bytes=info.size)
            entry = replace(entry, audio=sized, e_tag=info.e_tag)
        elif info.e_tag != entry.e_tag:
            entry = await self.reader.refresh(path) or entry
        return OutputFile(entry, info)

    async def read(
        self, file: OutputFile, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Bytes `start` up to `end` (exclusive; None is the end) in pieces of at most 256 KiB.

        Raises:
            NotFound: it has been deleted meanwhile.
        """
        await self._touch(file.entry.path)
        async for piece in self.blobs.read(file.entry.path, start, end):
            yield piece
            await self._touch(file.entry.path)

    @asynccontextmanager
    async def master(self, path: str) -> AsyncGenerator[Path, None]:
        """The audio of an output as a local 16-bit WAV file, for as long as the block lasts.

        An output that was put there by hand has no master and is decoded.

        Raises:
            NotFound: as with `find`.
            InvalidAudio: it was put there by hand and is damaged.
        """
        entry = await self._entry(path)
        await self._touch(path)
        async with self.blobs.local_copy(entry.master or path) as file:
            if entry.master:
                yield file
                return
            scratch = self.scratch()
            try:
                await self._tools.run(lambda: self._tools.normalise(file, scratch))
                yield scratch
            finally:
                await asyncio.to_thread(scratch.unlink, missing_ok=True)

    def scratch(self) -> Path:
        """A new name for a local file that may go at the end of a request."""
        return self.blobs.scratch()

    async def page(self, which: Filter, page: PageRequest) -> Page:
        """A part of what is listed, and how much there is.

        Formats whose size only making tells are made, so that every size is known; one that
        cannot be made is listed without.
        """
        found = await self._catalogue.page(self.name, which, page)
        sized = await asyncio.gather(*map(self._with_size, found.entries), return_exceptions=True)
        entries = tuple(map(_or_without_size, found.entries, sized))
        return replace(found, entries=entries)

    async def folders(self) -> tuple[Folder, ...]:
        """All folders that hold files, themselves or below."""
        return await self._catalogue.folders(self.name)

    async def delete(self, path: str) -> Entry:
        """Delete one file; the other formats of the same output stay.

        Raises:
            NotFound: there is none.
        """
        entry = await self._catalogue.get(self.name, path) if is_plain(path) else None
        if entry is None:
            raise _not_found()
        await self.remover.delete(path)
        return entry

    async def delete_matching(self, which: Filter) -> tuple[str, ...]:
        """Delete all files that match and nobody is changing just now; their paths."""
        return await self.remover.delete_matching(which)

    async def close(self) -> None:
        """Wait for the formats that are being made."""
        await self._maker.close()

    async def _entry(self, path: str) -> Entry:
        """The facts of `path` once it is complete."""
        if not is_plain(path):
            raise _not_found()
        deadline, pause = time.monotonic() + self._wait_s, _POLL_S[0]
        while (entry := await self._catalogue.get(self.name, path)) is None:
            if not await self._catalogue.is_pending(self.name, path):
                return await self._published_or_dropped(path)
            if time.monotonic() > deadline:
                raise _not_found()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _POLL_S[1])
        return entry

    async def _published_or_dropped(self, path: str) -> Entry:
        """It may have been published since we looked, or lie in the store without a row."""
        entry = await self._catalogue.get(self.name, path)
        if entry is None and await self.blobs.head(path):
            entry = await self.reader.refresh(path)
        if entry is None:
            raise _not_found()
        return entry

    async def _with_size(self, entry: Entry) -> Entry:
        is_known = entry.audio.size_bytes is not None
        return entry if is_known else (await self.find(entry.path)).entry

    async def _touch(self, path: str) -> None:
        """Note that somebody reads a file, at most once a minute."""
        moment = time.monotonic()
        if moment - self._touched.get(path, -_TOUCH_EVERY_S) < _TOUCH_EVERY_S:
            return
        if len(self._touched) >= _TOUCHED_AT_MOST:
            self._touched.clear()
        self._touched[path] = moment
        await self._catalogue.touch(self.name, path, self._now())

    async def _keys_of(self, doomed: Doomed) -> list[str]:
        """The blobs that go with doomed files: their own, and masters that nobody needs now."""
        masters = {file.master for file in doomed.entries} - {""}
        needed = await self._catalogue.masters_in_use(sorted(masters))
        return sorted(({file.path for file in doomed.entries} | masters) - needed)


def _or_without_size(entry: Entry, sized: Entry | BaseException) -> Entry:
    """`sized` unless that failed: one file that cannot be made must not hide all the others."""
    if isinstance(sized, Entry):
        return sized
    _log.warning("The size of %r is not known: %r", entry.path, sized)
    return entry


def _not_found() -> NotFound:
    return NotFound("There is no such output.", "It may have been removed, or its stream failed.")
