"""Which file is meant by a name.

The exact path, then with an extension added, then one level of subfolders. The catalogue is asked
first, then the store, so that a file dropped there a moment ago is found as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from serve_app.domain.types import Shelf
from serve_app.library.blobs import Blobs
from serve_app.library.catalogue import Catalogue
from serve_app.library.entries import Entry, Filter, PageRequest
from serve_app.library.paths import is_audio, meanings

Refresh = Callable[[str], Awaitable[Entry | None]]
_ASKED_AT_ONCE = 1000
_LOOKED_THROUGH = 1000  # blobs not yet catalogued, at most; the sweep finds the others


class Lookup:
    """Finds the files of one shelf; `refresh` reads a file into the catalogue."""

    def __init__(self, shelf: Shelf, blobs: Blobs, catalogue: Catalogue, refresh: Refresh) -> None:
        self._shelf = shelf
        self._blobs = blobs
        self._catalogue = catalogue
        self._refresh = refresh

    async def find(self, name: str) -> Entry | None:
        """The file that `name` means, with its facts as the store has it now; None without."""
        paths = meanings(name)
        for path in paths:
            if entry := await self._at(path):
                return entry
        for path in await self._one_folder_below(paths):
            if entry := await self._at(path):
                return entry
        return None

    async def _at(self, path: str) -> Entry | None:
        entry = await self._catalogue.get(self._shelf, path)
        info = await self._blobs.head(path)
        if entry and info and entry.e_tag == info.e_tag:
            return entry
        return await self._refresh(path) if entry or info else None

    async def _one_folder_below(self, paths: tuple[str, ...]) -> list[str]:
        """Existing paths FOLDER/PATH, in the order of `paths`, then of the folders."""
        if not paths:
            return []
        folders = {f.path for f in await self._catalogue.folders(self._shelf)} - {""}
        roots = sorted(folder for folder in folders if "/" not in folder)
        wanted = [f"{root}/{path}" for path in paths for root in roots]
        return await self._present(wanted) or await self._dropped_below(paths)

    async def _present(self, paths: list[str]) -> list[str]:
        """Those that the catalogue knows, in the same order."""
        known: set[str] = set()
        for start in range(0, len(paths), _ASKED_AT_ONCE):
            asked = Filter(paths=tuple(paths[start : start + _ASKED_AT_ONCE]))
            page = await self._catalogue.page(
                self._shelf, asked, PageRequest(page_size=_ASKED_AT_ONCE)
            )
            known |= {entry.path for entry in page.entries}
        return [path for path in paths if path in known]

    async def _dropped_below(self, paths: tuple[str, ...]) -> list[str]:
        found: list[str] = []
        looked_through = 0
        async for info in self._blobs.list():
            below = info.key.partition("/")[2]
            if below in paths and is_audio(info.key):
                found.append(info.key)
            looked_through += 1
            if looked_through == _LOOKED_THROUGH:
                break
        return sorted(found, key=lambda key: (paths.index(key.partition("/")[2]), key))
