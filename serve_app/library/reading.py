"""Reading files that lie in the store into the catalogue: dropped there by hand, or changed."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.domain.types import Shelf
from serve_app.library import sidecar
from serve_app.library.blobs import BlobInfo, Blobs
from serve_app.library.catalogue import Catalogue
from serve_app.library.entries import AudioFacts, Entry
from serve_app.library.paths import sidecar_of
from serve_app.library.tools import AudioTools

_log = logging.getLogger(__name__)


class FileReader:
    """Makes the rows of voices or inputs agree with their files and sidecars."""

    def __init__(self, shelf: Shelf, blobs: Blobs, catalogue: Catalogue, tools: AudioTools) -> None:
        self._shelf = shelf
        self._blobs = blobs
        self._catalogue = catalogue
        self._tools = tools
        self._given_up: dict[str, tuple[str, str]] = {}

    def has_given_up(self, path: str, e_tag: str, sidecar_e_tag: str) -> bool:
        """Was nothing to be made of these very versions of a file and its sidecar?"""
        return self._given_up.get(path) == (e_tag, sidecar_e_tag)

    async def refresh(self, path: str) -> Entry | None:
        """The entry of `path` as the store has it now; None if there is no audio.

        Raises:
            StorageUnavailable: somebody else is changing it for too long.
        """
        async with self._catalogue.claim(self._shelf, path) as claim:
            audio = await self._blobs.head(path)
            beside = await self._blobs.head(sidecar_of(path))
            entry = await self._entry(claim.entry, audio, beside) if audio else None
            if entry is None:
                await claim.remove()
            elif entry != claim.entry:
                await claim.save(entry)
            return entry

    async def write_sidecar(self, entry: Entry) -> Entry:
        """Write the file beside it, and say so; the claim of the path must be held."""
        info = await self._blobs.put_bytes(sidecar_of(entry.path), sidecar.dump(entry))
        return replace(entry, sidecar_e_tag=info.e_tag)

    async def _entry(
        self, known: Entry | None, audio: BlobInfo, beside: BlobInfo | None
    ) -> Entry | None:
        e_tags = (audio.e_tag, beside.e_tag if beside else "")
        if not known and self.has_given_up(audio.key, *e_tags):
            return None
        facts = known.audio if known and known.e_tag == audio.e_tag else await self._facts(audio)
        if facts is None:
            self._given_up[audio.key] = e_tags
            return None
        entry = known or Entry(self._shelf, audio.key, facts, datetime.now(UTC))
        return await self._described(replace(entry, audio=facts, e_tag=audio.e_tag), beside)

    async def _facts(self, audio: BlobInfo) -> AudioFacts | None:
        try:
            async with self._blobs.local_copy(audio.key) as path:
                return await self._tools.run(lambda: self._tools.inspect(path))
        except (InvalidRequest, NotFound) as error:
            _log.warning("%s: %r cannot be used: %s", self._shelf, audio.key, error.message)
            return None

    async def _described(self, entry: Entry, beside: BlobInfo | None) -> Entry:
        if beside is None:
            return await self.write_sidecar(entry) if entry.sidecar_e_tag else entry
        if beside.e_tag == entry.sidecar_e_tag:
            return entry
        data = await self._blobs.read_all(beside.key, sidecar.MAX_BYTES + 1)
        told = sidecar.load(entry.path, data)
        if told is None:
            self._given_up[entry.path] = (entry.e_tag, beside.e_tag)
            return entry
        return replace(told.applied_to(entry), sidecar_e_tag=beside.e_tag)
