"""Keeping catalogue and store in agreement, in the background.

Every process runs a sweeper; one at a time does the common work. Whatever another process may be
changing is looked at again under the claim of its path before anything is changed, so that a scan,
which takes its time, never acts on what it saw earlier.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from serve_app.domain.errors import StorageUnavailable
from serve_app.library.catalogue import Catalogue
from serve_app.library.outputs import OutputShelf
from serve_app.library.scan import remove_old_derived, scan_files, scan_outputs, settle
from serve_app.library.shelf import FileShelf

_TASK = "sweep"
_TIDY_EVERY_S = 60.0
_SCAN_OUTPUTS_EVERY_S = 3600.0
_LEASES_PER_INTERVAL = 3
_READ_LATELY = timedelta(minutes=10)
_SCRATCH_LIFE = timedelta(hours=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the outputs is kept; None is everything."""

    max_age_s: float | None = None
    max_total_bytes: int | None = None


@dataclass
class _Rhythm:
    """A job that is due at once and then every `every_s` seconds."""

    every_s: float
    job: Callable[[], Awaitable[None]]
    due: float = field(default=0.0)

    async def run_if_due(self) -> None:
        if time.monotonic() >= self.due:
            await self.job()
            self.due = time.monotonic() + self.every_s


class Sweeper:
    """Heals, adopts, expires and cleans up. A crash at any point is healed by the next sweep."""

    def __init__(
        self,
        catalogue: Catalogue,
        files: tuple[FileShelf, ...],
        outputs: OutputShelf,
        retention: Retention,
        interval_s: float,
    ) -> None:
        self._catalogue = catalogue
        self._files = files
        self._outputs = outputs
        self._retention = retention
        self._interval_s = interval_s
        self._own = [_Rhythm(_TIDY_EVERY_S, self.tidy_own)]
        self._common = [
            _Rhythm(0, self.scan_files),
            _Rhythm(_TIDY_EVERY_S, self.tidy),
            _Rhythm(_SCAN_OUTPUTS_EVERY_S, self.scan_outputs),
        ]

    async def run(self) -> None:
        """Sweep at intervals until cancelled."""
        while True:
            await self._attempt(self._sweep_what_is_due)
            await asyncio.sleep(self._interval_s)

    async def sweep(self) -> None:
        """Do everything there is to do now, whoever leads."""
        for rhythm in self._own + self._common:
            await rhythm.job()

    async def scan_files(self) -> None:
        """List new voices and inputs, read changed ones again, drop those that vanished."""
        for shelf in self._files:
            await scan_files(shelf, self._catalogue)

    async def tidy_own(self) -> None:
        """What each process has to do for itself."""
        before = datetime.now(UTC) - _SCRATCH_LIFE
        for shelf in (*self._files, self._outputs):
            await shelf.blobs.clear_scratch(before)
        for files in self._files:
            await files.write_usage()

    async def tidy(self) -> None:
        """Finish what crashed processes began, and let old outputs go."""
        for shelf in (*self._files, self._outputs):
            for known in await self._catalogue.abandoned(shelf.name):
                await settle(shelf.reader.refresh, known.path)
            await shelf.remover.finish_abandoned()
        for files in self._files:
            await remove_old_derived(files)
        await self._expire()

    async def scan_outputs(self) -> None:
        """Adopt outputs without a row, drop rows without an output, remove orphaned masters."""
        await scan_outputs(self._outputs, self._catalogue)

    async def _expire(self) -> None:
        now = datetime.now(UTC)
        read_before = now - _READ_LATELY
        shelf, limits = self._outputs, self._retention
        if limits.max_age_s is not None:
            created_before = now - timedelta(seconds=limits.max_age_s)
            await shelf.remover.finish(
                await self._catalogue.doom_expired(shelf.name, created_before, read_before)
            )
        if limits.max_total_bytes is not None:
            await shelf.remover.finish(
                await self._catalogue.doom_beyond(shelf.name, limits.max_total_bytes, read_before)
            )

    async def _sweep_what_is_due(self) -> None:
        for rhythm in self._own:
            await rhythm.run_if_due()
        if await self._catalogue.lead(_TASK, _LEASES_PER_INTERVAL * self._interval_s):
            for rhythm in self._common:
                await rhythm.run_if_due()

    async def _attempt(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except StorageUnavailable as error:
            _log.warning("The files could not be swept: %s", error.message)
        except Exception:  # noqa: BLE001 - the edge of a process: the next sweep may succeed
            _log.exception("The files could not be swept.")
