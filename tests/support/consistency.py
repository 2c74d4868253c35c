"""Whether catalogue, files and sidecars of a shelf tell the same."""

from __future__ import annotations

import hashlib
import json

from serve_app.domain.types import Shelf
from serve_app.library.blobs import SCRATCH_FOLDER
from serve_app.library.catalogue import State
from serve_app.library.entries import Entry, Filter, PageRequest
from serve_app.library.library import Library
from serve_app.library.outputs import OutputShelf
from serve_app.library.shelf import FileShelf

_HEADER_BYTES = 44


async def check_consistent(library: Library) -> None:
    """Fail unless every row has its file and every file its row, of the same content."""
    for files in (library.voices, library.vc_inputs):
        await _check_files(library, files)
    await _check_outputs(library)


async def _check_files(library: Library, shelf: FileShelf) -> None:
    entries = await _entries(library, shelf)
    blobs = {info.key: info.e_tag async for info in shelf.blobs.list(hidden=True)}
    sidecars = {f"{path}.json": entry.sidecar_e_tag for path, entry in entries.items()}
    expected = {path: entry.e_tag for path, entry in entries.items()}
    expected |= {key: e_tag for key, e_tag in sidecars.items() if e_tag}
    assert {key: tag for key, tag in blobs.items() if not _is_scratch(key)} == expected
    for path, entry in entries.items():
        data = await shelf.blobs.read_all(path, 10_000_000)
        assert hashlib.sha256(data[_HEADER_BYTES:]).hexdigest() == entry.audio.digest
        assert len(data) == entry.audio.size_bytes
        if entry.sidecar_e_tag:
            told = json.loads(await shelf.blobs.read_all(f"{path}.json", 100_000))
            assert told["description"] == entry.description.description
            assert told["tags"] == list(entry.description.tags)


async def _check_outputs(library: Library) -> None:
    entries = await _entries(library, library.outputs)
    blobs = {info.key: info async for info in library.outputs.blobs.list(hidden=True)}
    masters = {entry.master for entry in entries.values()} - {""}
    made = {path for path, entry in entries.items() if entry.e_tag}
    assert {key for key in blobs if not _is_scratch(key)} == made | masters
    for path in made:
        assert (blobs[path].e_tag, blobs[path].size) == (
            entries[path].e_tag, entries[path].audio.size_bytes
        )  # fmt: skip


async def _entries(library: Library, shelf: FileShelf | OutputShelf) -> dict[str, Entry]:
    page = await shelf.page(Filter(), PageRequest(page_size=1000))
    states = {row.path: row.state async for row in library.catalogue.snapshot(Shelf(shelf.name))}
    assert states == {entry.path: State.PRESENT for entry in page.entries}
    return {entry.path: entry for entry in page.entries}


def _is_scratch(key: str) -> bool:
    """A crash leaves its scratch for an hour."""
    return key.startswith(f"{SCRATCH_FOLDER}/")
