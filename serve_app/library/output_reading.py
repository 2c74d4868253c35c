"""Reading outputs that lie in the store into the catalogue: after a crash, or a lost database."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.domain.types import AudioFormat, Shelf
from serve_app.library.blobs import BlobInfo, Blobs
from serve_app.library.catalogue import Catalogue, Claim
from serve_app.library.entries import AudioFacts, Entry, Origin
from serve_app.library.paths import extension
from serve_app.library.tools import AudioTools

_KINDS = ("tts", "vc", "concat")
_FORMATS = {audio_format.value for audio_format in AudioFormat}
_log = logging.getLogger(__name__)


class OutputReader:
    """Makes the rows of outputs agree with their blobs."""

    def __init__(self, blobs: Blobs, catalogue: Catalogue, tools: AudioTools) -> None:
        self._blobs = blobs
        self._catalogue = catalogue
        self._tools = tools
        self._given_up: dict[str, str] = {}

    def has_given_up(self, path: str, e_tag: str) -> bool:
        """Was nothing to be made of this very version of a file?"""
        return self._given_up.get(path) == e_tag

    async def refresh(self, path: str) -> Entry | None:
        """The entry of `path` as the store has it now; None if there is no such output.

        Raises:
            StorageUnavailable: somebody else is changing it for too long.
        """
        async with self._catalogue.claim(Shelf.OUTPUTS, path) as claim:
            entry = await self._entry(path, claim)
            if entry is None:
                await claim.remove()
            elif entry != claim.entry:
                await claim.save(entry)
            return entry

    async def _entry(self, path: str, claim: Claim) -> Entry | None:
        info = await self._blobs.head(path)
        if claim.entry:
            return await self._still_there(claim.entry, info)
        if claim.reserved:
            return await self._finished(claim.reserved)
        return await self._adopted(info) if info else None

    async def _still_there(self, known: Entry, info: BlobInfo | None) -> Entry | None:
        if info is None:  # not made yet, or gone
            can_be_made = known.master not in ("", known.path)
            is_wanted = can_be_made and await self._blobs.head(known.master)
            return replace(known, e_tag="") if is_wanted else None
        if info.e_tag == known.e_tag:
            return known
        facts = await self._facts(info) if known.e_tag else None
        facts = facts or replace(known.audio, size_bytes=info.size)
        return replace(known, audio=facts, e_tag=info.e_tag)

    async def _finished(self, reserved: Entry) -> Entry | None:
        """What a process that crashed had reserved, if its master is whole."""
        master = await self._blobs.head(reserved.master)
        facts = await self._facts(master) if master else None
        if master is None or facts is None:
            return None
        audio_format = AudioFormat(reserved.audio.format)
        if reserved.path == master.key:
            return replace(reserved, audio=facts, e_tag=master.e_tag)
        size = self._tools.stored_size(audio_format, facts.seconds, facts.sample_rate)
        audio = replace(facts, format=audio_format.value, size_bytes=size)
        return replace(reserved, audio=audio)

    async def _adopted(self, info: BlobInfo) -> Entry | None:
        """A file without a row: unless it is kept as the master of others, it is an output."""
        if await self._catalogue.masters_in_use([info.key]):
            return None
        is_servable = extension(info.key) in _FORMATS
        facts = await self._facts(info) if is_servable else None
        if facts is None:
            return None
        kind = PurePosixPath(info.key).name.partition("_")[0]
        origin = Origin(kind if kind in _KINDS else "tts")
        return Entry(
            Shelf.OUTPUTS, info.key, facts, datetime.now(UTC), origin=origin, e_tag=info.e_tag
        )

    async def _facts(self, info: BlobInfo) -> AudioFacts | None:
        if self.has_given_up(info.key, info.e_tag):
            return None
        try:
            async with self._blobs.local_copy(info.key) as path:
                facts = await self._tools.run(lambda: self._tools.inspect(path))
        except (InvalidRequest, NotFound) as error:
            _log.warning("outputs: %r cannot be used: %s", info.key, error.message)
            self._given_up[info.key] = info.e_tag
            return None
        return AudioFacts(extension(info.key), facts.seconds, facts.sample_rate, info.size)
