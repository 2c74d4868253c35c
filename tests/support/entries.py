"""Entries to put into a catalogue, and what is asked of it then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from serve_app.domain.types import Shelf
from serve_app.library.catalogue import Catalogue
from serve_app.library.database import Database
from serve_app.library.entries import AudioFacts, Entry, Filter, Origin, PageRequest
from serve_app.library.tables import entries

MORNING = datetime(2025, 6, 22, 8, 30, 22, 456789, UTC)
VOICES, OUTPUTS = Shelf.VOICES, Shelf.OUTPUTS


def voice(path: str, **facts: Any) -> Entry:
    return Entry(VOICES, path, AudioFacts("wav", 1.5, 24000, 72044, "abc"), MORNING, **facts)


def output(path: str, age: float = 0, size: int | None = 1000, **facts: Any) -> Entry:
    created = MORNING - timedelta(seconds=age)
    audio = AudioFacts("wav", 1.0, 24000, size)
    return Entry(OUTPUTS, path, audio, created, origin=Origin("tts"), **facts)


async def save(catalogue: Catalogue, *saved: Entry) -> None:
    for entry in saved:
        async with catalogue.claim(entry.shelf, entry.path) as claim:
            await claim.save(entry)


async def paths(catalogue: Catalogue, shelf: Shelf, which: Filter) -> set[str]:
    page = await catalogue.page(shelf, which, PageRequest(page_size=100))
    assert page.total == len(page.entries)
    return {entry.path for entry in page.entries}


async def crash(url: str) -> None:
    """Let every claim run out, as if its holder had stopped renewing it long ago."""
    database = await Database.open(url)
    await database.run(update(entries).values(claim_until=0))
    await database.close()
