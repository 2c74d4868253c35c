"""Outputs on their way: names that nobody shares, files that appear when they are whole."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from serve_app.domain.errors import AlreadyExists
from serve_app.domain.types import AudioFormat, Shelf
from serve_app.library.blobs import Blobs
from serve_app.library.catalogue import Catalogue, Reservation
from serve_app.library.entries import AudioFacts, Entry, Origin
from serve_app.library.paths import output_folder, output_name
from serve_app.library.tools import AudioTools

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OutputDraft:
    """What a new output is to be called, which formats are promised, and how it came to be."""

    kind: str  # tts, vc or concat
    parameters: tuple[str, ...]  # parts of the name, such as "temp0.75"
    formats: tuple[AudioFormat, ...]
    project: str | None = None  # a folder below the root
    name: str | None = None  # without extension, where the client insists on one
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])  # what listings say of it
    source_files: tuple[str, ...] = ()


class PendingOutput:
    """A reserved output whose master is being written to `scratch` as 16-bit mono WAV.

    Whoever holds it holds the names; one that is dropped without `commit` or `discard` gives them
    back after a while.
    """

    def __init__(
        self,
        draft: OutputDraft,
        entries: tuple[Entry, ...],
        reservation: Reservation,
        reserver: Reserver,
    ) -> None:
        self.name = entries[0].filename.removesuffix(f".{draft.formats[0].value}")
        self.formats = draft.formats
        self.scratch: Path = reserver.blobs.scratch()
        self._entries = entries
        self._reservation = reservation
        self._reserver = reserver
        self._is_stored = self._is_public = False

    def filename(self, audio_format: AudioFormat) -> str:
        """The name of the file in one format."""
        return f"{self.name}.{audio_format.value}"

    def path(self, audio_format: AudioFormat) -> str:
        """Where the file is below the root of the outputs."""
        folder = self._entries[0].folder
        return f"{folder}/{self.filename(audio_format)}" if folder else self.filename(audio_format)

    def url_path(self, audio_format: AudioFormat) -> str:
        """Where the file is served, relative to the service; not percent-encoded."""
        return f"/outputs/{self.path(audio_format)}"

    async def commit(self, seconds: float, sample_rate: int) -> None:
        """Publish the master; from now on every promised format can be fetched.

        Raises:
            StorageUnavailable: nothing was published; `discard` it.
        """
        self._is_stored = True  # perhaps: from now on `discard` has to look
        await self._reserver.publish(
            self._reservation, self._entries, self.scratch, seconds, sample_rate
        )
        self._is_public = True

    async def discard(self) -> None:
        """Leave nothing behind; after `commit`, or a second time, this does nothing."""
        if not self._is_public:
            await asyncio.to_thread(self.scratch.unlink, missing_ok=True)
            master = self._entries[0].master if self._is_stored else ""
            await self._reserver.withdraw(self._reservation, master)


class Reserver:
    """Takes names, and publishes what is stored under them or gives them back."""

    def __init__(
        self,
        blobs: Blobs,
        catalogue: Catalogue,
        tools: AudioTools,
        now: Callable[[], datetime],
    ) -> None:
        self.blobs = blobs
        self._catalogue = catalogue
        self._tools = tools
        self._now = now

    async def reserve(self, draft: OutputDraft) -> PendingOutput:
        """See `OutputShelf.reserve`."""
        folder = output_folder(draft.project)
        moment = self._now()
        if draft.name is not None:
            return await self._reserve_named(draft, folder, output_name(draft.name), moment)
        while not (output := await self._try(draft, folder, _name(draft, moment), moment)):
            moment += _MICROSECOND
        return output

    async def publish(
        self,
        reservation: Reservation,
        entries: tuple[Entry, ...],
        scratch: Path,
        seconds: float,
        sample_rate: int,
    ) -> None:
        """Store the master, then show all files at once."""
        master = await self.blobs.put_file(entries[0].master, scratch)

        def final(entry: Entry) -> Entry:
            audio_format = AudioFormat(entry.audio.format)
            is_master = entry.path == master.key
            size = self._tools.stored_size(audio_format, seconds, sample_rate)
            audio = AudioFacts(
                audio_format.value, seconds, sample_rate, master.size if is_master else size
            )
            return replace(entry, audio=audio, e_tag=master.e_tag if is_master else "")

        await self._catalogue.publish(reservation, [final(entry) for entry in entries])

    async def withdraw(self, reservation: Reservation, master: str) -> None:
        """Give the names back, after the master's blob ("" where none was stored)."""
        if master:
            await self.blobs.delete([master])
        await self._catalogue.withdraw(reservation)

    async def _reserve_named(
        self, draft: OutputDraft, folder: str, name: str, moment: datetime
    ) -> PendingOutput:
        output = await self._try(draft, folder, name, moment)
        if output is None:
            raise _taken(name)
        # Blobs without a row: dropped by hand a moment ago, or a master that others still need.
        if any([await self.blobs.head(output.path(format)) for format in draft.formats]):
            await output.discard()
            raise _taken(name)
        return output

    async def _try(
        self, draft: OutputDraft, folder: str, name: str, moment: datetime
    ) -> PendingOutput | None:
        entries = _entries(draft, folder, name, moment)
        reservation = await self._catalogue.reserve(entries)
        return reservation and PendingOutput(draft, entries, reservation, self)


def _entries(draft: OutputDraft, folder: str, name: str, moment: datetime) -> tuple[Entry, ...]:
    """One for each promised format, without facts yet."""
    prefix = f"{folder}/" if folder else ""
    # The token tells two outputs apart that have the same name in different formats.
    hidden = f".{name}.{uuid.uuid4().hex[:8]}.wav"
    master = f"{name}.wav" if AudioFormat.WAV in draft.formats else hidden
    return tuple(
        Entry(
            Shelf.OUTPUTS,
            f"{prefix}{name}.{audio_format.value}",
            AudioFacts(audio_format.value, 0.0, 0, None),
            moment,
            origin=Origin(draft.kind, dict(draft.facts), draft.source_files),
            master=prefix + master,
        )
        for audio_format in dict.fromkeys(draft.formats)
    )


def _name(draft: OutputDraft, moment: datetime) -> str:
    return "_".join((draft.kind, f"{moment:%Y-%m-%d_%H%M%S_%f}", *draft.parameters))


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(
        f"There is already an output {name!r}.", "Choose another output_filename, or leave it out."
    )
