"""Comparing what the catalogue knows with what lies in the store.

The catalogue is read before the store: a file that is added meanwhile looks unknown, one that is
deleted looks vanished, and both are settled under the claim of their path.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from serve_app.domain.errors import StorageUnavailable
from serve_app.domain.types import AudioFormat
from serve_app.library.blobs import BlobInfo
from serve_app.library.catalogue import Catalogue, Known, State
from serve_app.library.outputs import OutputShelf
from serve_app.library.paths import extension, is_audio, is_plain, sidecar_of
from serve_app.library.shelf import DERIVED_FOLDER, DERIVED_LIFE, FileShelf

_log = logging.getLogger(__name__)
_ORPHAN_LIFE = timedelta(hours=1)
_HIDDEN_MASTER = re.compile(r"\..+\.[0-9a-f]{8}\.wav")
_OUTPUT_EXTENSIONS = {audio_format.value for audio_format in AudioFormat}


@dataclass
class _Listing:
    """The blobs of a shelf, and which rows stand beside them."""

    rows: dict[str, Known] = field(default_factory=dict[str, Known])
    blobs: dict[str, BlobInfo] = field(default_factory=dict[str, BlobInfo])

    def e_tag(self, key: str) -> str:
        """Of a blob; "" where there is none."""
        blob = self.blobs.get(key)
        return blob.e_tag if blob else ""

    def is_claimed(self, path: str) -> bool:
        row = self.rows.get(path)
        return row is not None and (row.claimed or row.state is State.DOOMED)


async def scan_files(shelf: FileShelf, catalogue: Catalogue) -> None:
    """Settle each voice or input whose row, file and sidecar are not of the same versions."""
    seen = await _listing(catalogue.snapshot(shelf.name), shelf.blobs.list())
    paths = {path for path in seen.blobs if is_audio(path) and is_plain(path)} | set(seen.rows)
    for path in sorted(paths):
        versions = (seen.e_tag(path), seen.e_tag(sidecar_of(path)))
        row = seen.rows.get(path)
        agrees = row is not None and (row.e_tag, row.sidecar_e_tag) == versions
        if not (agrees or seen.is_claimed(path) or shelf.reader.has_given_up(path, *versions)):
            await settle(shelf.reader.refresh, path)


async def remove_old_derived(shelf: FileShelf) -> None:
    """Decoded copies are made again while somebody uses them; those that grew old nobody uses."""
    derived = shelf.blobs.list(DERIVED_FOLDER, hidden=True)
    await shelf.blobs.delete([info.key async for info in derived if _is_older(info, DERIVED_LIFE)])


async def scan_outputs(shelf: OutputShelf, catalogue: Catalogue) -> None:
    """Settle outputs without a row and rows without a blob; remove masters nobody needs."""
    seen = await _listing(catalogue.snapshot(shelf.name), shelf.blobs.list(hidden=True))
    masters = {row.master for row in seen.rows.values()}
    for path in _unsettled(seen, masters):
        if not (seen.is_claimed(path) or shelf.reader.has_given_up(path, seen.e_tag(path))):
            await settle(shelf.reader.refresh, path)
    orphans = [info for info in seen.blobs.values() if _is_orphan(info, masters)]
    needed = await catalogue.masters_in_use([info.key for info in orphans])
    await shelf.blobs.delete([info.key for info in orphans if info.key not in needed])


async def settle(refresh: Callable[[str], Awaitable[object]], path: str) -> None:
    """Refresh one path; a file that breaks its reader must not keep all others from being swept.

    Raises:
        StorageUnavailable: database or store do not answer.
    """
    try:
        await refresh(path)
    except StorageUnavailable:
        raise
    except Exception:  # noqa: BLE001 - what a decoder raises for a hostile file is not known
        _log.exception("%r could not be read.", path)


async def _listing(rows: AsyncIterable[Known], blobs: AsyncIterable[BlobInfo]) -> _Listing:
    seen = _Listing()
    async for row in rows:
        seen.rows[row.path] = row
    async for info in blobs:
        seen.blobs[info.key] = info
    return seen


def _unsettled(seen: _Listing, masters: set[str]) -> Iterable[str]:
    for path, row in seen.rows.items():
        if seen.e_tag(path) != row.e_tag or not (row.e_tag or row.master in seen.blobs):
            yield path
    for path in seen.blobs:
        is_output = is_plain(path) and extension(path) in _OUTPUT_EXTENSIONS
        if is_output and path not in seen.rows and path not in masters:
            yield path


def _is_orphan(info: BlobInfo, masters: set[str]) -> bool:
    """A hidden master without a row, older than any moment between storing and publishing one."""
    is_master = _HIDDEN_MASTER.fullmatch(PurePosixPath(info.key).name)
    return bool(is_master) and info.key not in masters and _is_older(info, _ORPHAN_LIFE)


def _is_older(info: BlobInfo, life: timedelta) -> bool:
    return info.modified < datetime.now(UTC) - life
