"""Deleting files: first nobody sees them any more, then the blobs go, then the rows.

A crash in between leaves doomed rows, whose deletion the next sweep finishes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from serve_app.domain.errors import NotFound, StorageUnavailable
from serve_app.domain.types import Shelf
from serve_app.library.blobs import Blobs
from serve_app.library.catalogue import Catalogue, Doomed
from serve_app.library.entries import Filter

KeysOf = Callable[[Doomed], Awaitable[list[str]]]
_WAIT_S = 10.0
_POLL_S = 0.05


class Remover:
    """Deletes the files of one shelf; `keys_of` says which blobs go with them."""

    def __init__(self, shelf: Shelf, blobs: Blobs, catalogue: Catalogue, keys_of: KeysOf) -> None:
        self._shelf = shelf
        self._blobs = blobs
        self._catalogue = catalogue
        self._keys_of = keys_of

    async def delete(self, path: str) -> None:
        """Delete one file, waiting for whoever is changing it.

        Raises:
            NotFound: there is none.
            StorageUnavailable: it is being changed for too long.
        """
        deadline = time.monotonic() + _WAIT_S
        while not await self.delete_matching(Filter(paths=(path,))):
            if await self._catalogue.get(self._shelf, path) is None:
                raise NotFound("There is no such file.")
            if time.monotonic() > deadline:
                raise StorageUnavailable("The file is in use; try again.")
            await asyncio.sleep(_POLL_S)

    async def delete_matching(self, which: Filter) -> tuple[str, ...]:
        """Delete the files that match and nobody is changing; their paths."""
        return await self.finish(await self._catalogue.doom(self._shelf, which))

    async def finish(self, doomed: Doomed) -> tuple[str, ...]:
        """Delete the blobs of doomed files, then their rows; the paths of the files.

        If that fails, the claim on them runs out, and `finish_abandoned` takes over.
        """
        if doomed.entries:
            await self._blobs.delete(await self._keys_of(doomed))
            await self._catalogue.remove(doomed)
        return tuple(file.path for file in doomed.entries)

    async def finish_abandoned(self) -> None:
        """Finish what a failing store, a leaving client or a crashed process left unfinished."""
        await self.finish(await self._catalogue.doom_abandoned(self._shelf))
