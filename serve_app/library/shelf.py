"""The shelf of the voices and that of the inputs: named files with a description.

What is uploaded is stored as plain WAV. Files dropped into the folder by hand are found as well,
in whatever form they are.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serve_app.domain.errors import AlreadyExists, InvalidRequest, NotFound, VoiceNotFound
from serve_app.domain.types import Shelf, StoredAudio
from serve_app.library.blobs import Blobs
from serve_app.library.catalogue import Catalogue, Doomed
from serve_app.library.entries import (
    AudioFacts,
    Description,
    Entry,
    Filter,
    Folder,
    Page,
    PageRequest,
)
from serve_app.library.lookup import Lookup
from serve_app.library.paths import checked_path, extension, meanings, sidecar_of
from serve_app.library.reading import FileReader
from serve_app.library.removal import Remover
from serve_app.library.tools import AudioTools

DERIVED_FOLDER = ".derived"
DERIVED_LIFE = timedelta(hours=24)


class FileShelf:
    """Files of one kind. Every method raises StorageUnavailable if SQL or store do not answer."""

    def __init__(self, shelf: Shelf, blobs: Blobs, catalogue: Catalogue, tools: AudioTools) -> None:
        self.name = shelf
        self.blobs = blobs
        self.reader = FileReader(shelf, blobs, catalogue, tools)
        self.remover = Remover(shelf, blobs, catalogue, _with_sidecars)
        self._catalogue = catalogue
        self._tools = tools
        self._lookup = Lookup(shelf, blobs, catalogue, self.reader.refresh)
        self._used: set[str] = set()

    def scratch(self) -> Path:
        """A new name for a file to be added."""
        return self.blobs.scratch()

    async def add(
        self,
        path: str,
        file: Path,
        facts: AudioFacts,
        description: Description,
        overwrite: bool = False,
    ) -> Entry:
        """Store a plain WAV `file`, which is gone afterwards, whatever happens, as `path`.

        What overwrites another file is a new file: it was created now and never used.

        Raises:
            AlreadyExists: there is a file of that name, and it is not to be overwritten.
            InvalidRequest: it cannot be stored under that name.
        """
        try:
            path = _wav_path(path)
            async with self._catalogue.claim(self.name, path) as claim:
                if not overwrite and (claim.entry or await self.blobs.head(path)):
                    raise _exists(path)
                info = await self.blobs.put_file(path, file)
                facts = replace(facts, size_bytes=info.size)
                entry = Entry(
                    self.name, path, facts, datetime.now(UTC), description, e_tag=info.e_tag
                )
                entry = await self.reader.write_sidecar(entry)
                await claim.save(entry)
                return entry
        finally:
            await asyncio.to_thread(file.unlink, missing_ok=True)

    async def find(self, name: str) -> Entry:
        """The file that `name` means: that path, with an extension added, or one folder below.

        Raises:
            NotFound: there is none; VoiceNotFound on the shelf of the voices.
        """
        entry = await self._lookup.find(name)
        if entry is None:
            raise self._not_found(name)
        return entry

    async def knows(self, name: str) -> bool:
        """Whether `find` or a file's name may mean something by `name`, as far as is known: a file
        that was put there by hand a moment ago is not."""
        if not (paths := meanings(name)):
            return False
        called = Filter(names=(name, *paths))
        return await self._catalogue.has_any(self.name, Filter(paths=paths), called)

    async def use(self, name: str) -> Entry:
        """`find`, and count one use of it.

        Raises:
            NotFound: as with `find`.
        """
        entry = await self.find(name)
        await self._catalogue.count_use(self.name, entry.path, datetime.now(UTC))
        self._used.add(entry.path)
        return entry

    async def audio(self, entry: Entry) -> StoredAudio:
        """The file as plain WAV: itself, or made once from a file that was dropped in another form.

        Raises:
            NotFound: it has been deleted meanwhile.
            InvalidAudio: it is damaged.
        """
        if entry.audio.is_plain:
            return StoredAudio(self.name, entry.path, entry.audio.digest, entry.audio.seconds)
        key = f"{DERIVED_FOLDER}/{entry.audio.digest}.wav"
        made = await self.blobs.head(key)
        # One made half its life ago is made again, so that nobody loses it while reading it.
        if made is None or made.modified < datetime.now(UTC) - DERIVED_LIFE / 2:
            await self._derive(entry, key)
        return StoredAudio(self.name, key, entry.audio.digest, entry.audio.seconds)

    async def describe(self, name: str, change: Callable[[Description], Description]) -> Entry:
        """Change what is said of a file; `change` is given what is said of it now.

        Raises:
            NotFound: as with `find`.
        """
        found = await self.find(name)
        async with self._catalogue.claim(self.name, found.path) as claim:
            if claim.entry is None:
                raise self._not_found(name)
            changed = replace(claim.entry, description=change(claim.entry.description))
            entry = await self.reader.write_sidecar(changed)
            await claim.save(entry)
            return entry

    async def move(self, name: str, path: str) -> Entry:
        """Store a file, and what is said of it, under another path.

        Raises:
            NotFound: as with `find`.
            AlreadyExists: there is a file at `path`.
            InvalidRequest: nothing can be stored at `path`, or it has another extension.
        """
        old, path = await self.find(name), checked_path(path)
        if extension(path) != extension(old.path):
            raise InvalidRequest(f"The name must end in .{extension(old.path)} as before.")
        if path == old.path:
            return old
        async with (
            self._catalogue.claim(self.name, path) as target,
            self._catalogue.claim(self.name, old.path) as source,
        ):
            if source.entry is None:
                raise self._not_found(name)
            if target.entry or await self.blobs.head(path):
                raise _exists(path)
            moved = await self._copied(source.entry, path)
            await target.save(moved)
            await self.blobs.delete([old.path, sidecar_of(old.path)])
            await source.remove()
            return moved

    async def page(self, which: Filter, page: PageRequest) -> Page:
        """A part of what is listed, and how much there is."""
        return await self._catalogue.page(self.name, which, page)

    async def folders(self) -> tuple[Folder, ...]:
        """All folders that hold files, themselves or below."""
        return await self._catalogue.folders(self.name)

    async def delete(self, name: str) -> Entry:
        """Delete the file that `name` means, and what is beside it.

        Raises:
            NotFound: as with `find`.
        """
        entry = await self.find(name)
        try:
            await self.remover.delete(entry.path)
        except NotFound:
            raise self._not_found(name) from None
        return entry

    async def delete_matching(self, which: Filter) -> tuple[str, ...]:
        """Delete all files that match and nobody is changing just now; their paths."""
        return await self.remover.delete_matching(which)

    async def write_usage(self) -> None:
        """Bring the sidecars of what this process has used up to date.

        A sidecar that somebody has changed meanwhile is left alone: it is to be read first.
        """
        for path in tuple(self._used):
            self._used.discard(path)
            async with self._catalogue.claim(self.name, path) as claim:
                beside = await self.blobs.head(sidecar_of(path))
                if claim.entry and claim.entry.sidecar_e_tag == (beside.e_tag if beside else ""):
                    await claim.save(await self.reader.write_sidecar(claim.entry))

    async def _copied(self, entry: Entry, path: str) -> Entry:
        """A copy of the file of `entry` and its sidecar at `path`; both claims must be held."""
        scratch = self.scratch()
        try:
            async with self.blobs.local_copy(entry.path) as file:
                await asyncio.to_thread(shutil.copyfile, file, scratch)
            info = await self.blobs.put_file(path, scratch)
        finally:
            await asyncio.to_thread(scratch.unlink, missing_ok=True)
        return await self.reader.write_sidecar(replace(entry, path=path, e_tag=info.e_tag))

    async def _derive(self, entry: Entry, key: str) -> None:
        scratch = self.scratch()
        try:
            async with self.blobs.local_copy(entry.path) as file:
                await self._tools.run(lambda: self._tools.normalise(file, scratch))
            await self.blobs.put_file(key, scratch)
        finally:
            await asyncio.to_thread(scratch.unlink, missing_ok=True)

    def _not_found(self, name: str) -> NotFound:
        if self.name is Shelf.VOICES:
            return VoiceNotFound(f"There is no voice {name[:200]!r}.")
        return NotFound(f"There is no file {name[:200]!r}.")


def _exists(path: str) -> AlreadyExists:
    return AlreadyExists(f"There is already a file {path!r}.", "overwrite=true replaces it.")


def _wav_path(path: str) -> str:
    path = checked_path(path)
    if extension(path) != "wav":
        raise InvalidRequest("An upload is stored as WAV: its name must end in .wav.")
    return path


async def _with_sidecars(doomed: Doomed) -> list[str]:
    return [key for file in doomed.entries for key in (file.path, sidecar_of(file.path))]
