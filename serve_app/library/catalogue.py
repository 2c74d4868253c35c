"""The facts of all files, in SQL: SQLite by default, PostgreSQL by setting.

Whoever changes a path first takes its claim, which excludes everybody else in every process and on
every machine. A claim is a lease: while the catalogue is open its claims are renewed; those of a
process that crashed run out and can be taken. Readers go on seeing the old facts meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self

from sqlalchemy import delete, exc, insert, select, union_all, update

from serve_app.domain.errors import StorageUnavailable
from serve_app.domain.types import Shelf
from serve_app.library import queries
from serve_app.library.claims import Claim, Claims, new_token
from serve_app.library.database import Database
from serve_app.library.entries import Entry, Filter, Folder, Page, PageRequest
from serve_app.library.queries import Condition, is_at, is_free, is_present
from serve_app.library.rows import Values, entry_of, known_of, known_size, values_of
from serve_app.library.states import Doomed, DoomedFile, Known, Reservation, State
from serve_app.library.tables import entries, leaders, lease_clock

__all__ = ["Catalogue", "Claim", "Doomed", "DoomedFile", "Known", "Reservation", "State"]

_BATCH = 1000
"""Rows read, or values asked for, by one statement."""


class Catalogue:
    """The rows of all shelves. Every method raises StorageUnavailable when SQL does not answer."""

    def __init__(self, database: Database, claims: Claims) -> None:
        self._database = database
        self._claims = claims

    @classmethod
    async def open(cls, url: str, lease_s: float = 60.0) -> Self:
        """Connect, and bring the schema up to date.

        `url` is sqlite:///file or postgresql://...; a missing folder of the file is created.
        A claim not renewed for `lease_s` seconds (its holder crashed) can be taken by others.

        Raises:
            ValueError: the URL is of neither database.
            migrations.NewerSchema: the database was written by a newer version than this one.
        """
        database = await Database.open(url)
        return cls(database, Claims(database, lease_s))

    async def close(self) -> None:
        """End the renewal of claims, what this process leads, and all connections."""
        await self._claims.close()
        with contextlib.suppress(StorageUnavailable):  # the lease runs out by itself
            is_ours = leaders.c.holder == self._claims.holder
            await self._database.run(delete(leaders).where(is_ours))
        await self._database.close()

    async def get(self, shelf: Shelf, path: str) -> Entry | None:
        """The facts of a present file."""
        is_there = is_present(shelf) & (entries.c.path == path)
        rows = await self._database.run(select(entries).where(is_there))
        return entry_of(rows[0]) if rows else None

    async def has_any(self, shelf: Shelf, *filters: Filter) -> bool:
        """Whether a present file is meant by one of the filters."""
        meant = (select(entries.c.id).where(queries.matches(shelf, each)) for each in filters)
        return bool(await self._database.run(union_all(*meant)))

    async def is_pending(self, shelf: Shelf, path: str) -> bool:
        """Is somebody alive making this file, which has no facts yet?"""
        is_made = is_at(shelf, path) & (entries.c.state == State.PENDING) & ~is_free()
        return bool(await self._database.run(select(entries.c.id).where(is_made)))

    async def page(self, shelf: Shelf, which: Filter, page: PageRequest) -> Page:
        """A part of the present files, in a total order, and how many there are."""
        totals = await self._database.run(queries.total_of(shelf, which))
        total: int = totals[0]["total"]
        if total <= (page.page - 1) * page.page_size:
            return Page((), total, page)
        rows = await self._database.run(queries.page_of(shelf, which, page, total))
        return Page(tuple(map(entry_of, rows)), total, page)

    async def folders(self, shelf: Shelf) -> tuple[Folder, ...]:
        """All folders that hold present files themselves or below, sorted by path."""
        return queries.with_parents(await self._database.run(queries.folder_sums(shelf)))

    async def snapshot(self, shelf: Shelf) -> AsyncGenerator[Known]:
        """Every row of the shelf in any state, sorted by path, read in batches."""
        last = ""
        while batch := await self._known(shelf, entries.c.path > last, _BATCH):
            for each in batch:
                yield each
            last = batch[-1].path

    async def count_use(self, shelf: Shelf, path: str, now: datetime) -> None:
        """One more use of a present file."""
        await self._change(
            shelf, path, {"usage_count": entries.c.usage_count + 1, "last_used": now}
        )

    async def touch(self, shelf: Shelf, path: str, now: datetime) -> None:
        """Somebody reads the file: retention leaves it alone for a while."""
        await self._change(shelf, path, {"last_used": now})

    async def set_size(self, shelf: Shelf, path: str, size_bytes: int, e_tag: str) -> None:
        """The blob of a present output was made, and has this size."""
        await self._change(shelf, path, {"size_bytes": size_bytes, "e_tag": e_tag})

    @asynccontextmanager
    async def claim(self, shelf: Shelf, path: str, wait_s: float = 10.0) -> AsyncGenerator[Claim]:
        """Take the claim of a path, waiting up to `wait_s` seconds for whoever holds it.

        A path without a row gets a pending one. A block left without `save` or `remove` changes
        nothing: a row that was pending goes, any other is as it was.

        Raises:
            StorageUnavailable: somebody else holds it for too long.
        """
        claim = await self._claims.take(shelf, path, wait_s)
        try:
            yield claim
        finally:
            await claim.release()

    async def reserve(self, entries_to_come: Sequence[Entry]) -> Reservation | None:
        """Claim new paths of one shelf, all or none; None when one of them is taken."""
        token = new_token()
        mark = self._claims.mark(token) | {"state": State.PENDING}
        statement = insert(entries).values(claim_until=mark.pop("claim_until"))
        rows = [values_of(entry) | mark for entry in entries_to_come]
        try:
            await self._claims.run_marking(token, statement, rows)
        except exc.IntegrityError:
            return None
        paths = tuple(entry.path for entry in entries_to_come)
        return self._claims.keep(Reservation(token, entries_to_come[0].shelf, paths))

    async def publish(self, reservation: Reservation, made: Sequence[Entry]) -> None:
        """Make all reserved files present at once, with what is known of their audio by now.

        Raises:
            StorageUnavailable: the claim was lost (then nothing is published).
        """
        await self._claims.publish(reservation.token, made)

    async def withdraw(self, reservation: Reservation) -> None:
        """Delete the rows of a reservation; a second time is fine."""
        await self._delete_claimed(reservation.token)

    async def doom(self, shelf: Shelf, which: Filter) -> Doomed:
        """Hide all matching files from readers and claim them; those claimed by others stay."""
        return await self._doom(shelf, queries.matches(shelf, which))

    async def doom_expired(
        self, shelf: Shelf, created_before: datetime, read_before: datetime
    ) -> Doomed:
        """Doom what was created and last read before these moments."""
        return await self._doom(shelf, queries.is_expired(shelf, created_before, read_before))

    async def doom_beyond(self, shelf: Shelf, total_bytes: int, read_before: datetime) -> Doomed:
        """Doom the oldest files until the rest fits; never one read since `read_before`."""
        return await self._doom(shelf, queries.is_beyond(shelf, total_bytes, read_before))

    async def doom_abandoned(self, shelf: Shelf) -> Doomed:
        """Take over the doomed files whose claim has run out."""
        is_doomed = (entries.c.shelf == shelf) & (entries.c.state == State.DOOMED)
        return await self._doom(shelf, is_doomed)

    async def remove(self, doomed: Doomed) -> None:
        """Delete the rows of doomed files, once their blobs are gone."""
        await self._delete_claimed(doomed.token)

    async def masters_in_use(self, masters: Sequence[str]) -> set[str]:
        """Which of these masters have a row that is not doomed."""
        used: set[str] = set()
        for start in range(0, len(masters), _BATCH):
            batch = masters[start : start + _BATCH]
            rows = await self._database.run(queries.masters_among(batch))
            used.update(row["master"] for row in rows)
        return used

    async def abandoned(self, shelf: Shelf) -> tuple[Known, ...]:
        """The pending rows whose claim has run out: their makers crashed."""
        return await self._known(shelf, (entries.c.state == State.PENDING) & is_free())

    async def lead(self, task: str, seconds: float) -> bool:
        """Take or renew the lease of a named task; True if it is ours for so many seconds."""
        lease = {"holder": self._claims.holder, "until": lease_clock() + int(seconds * 1_000_000)}
        is_open = (leaders.c.holder == self._claims.holder) | (leaders.c.until < lease_clock())
        statement = self._database.insert_leader().values(task=task, **lease)
        statement = statement.on_conflict_do_update(
            index_elements=[leaders.c.task], set_=lease, where=is_open
        )
        return bool(await self._database.run(statement.returning(leaders.c.task)))

    async def _known(
        self, shelf: Shelf, condition: Condition, limit: int | None = None
    ) -> tuple[Known, ...]:
        statement = queries.known(shelf).where(condition).limit(limit)
        return known_of(await self._database.run(statement))

    async def _change(self, shelf: Shelf, path: str, values: Values) -> None:
        is_there = is_present(shelf) & (entries.c.path == path)
        await self._database.run(update(entries).where(is_there).values(values))

    async def _doom(self, shelf: Shelf, condition: Condition) -> Doomed:
        token = new_token()
        statement = queries.doom(condition, self._claims.mark(token))
        rows = await self._claims.run_marking(token, statement)
        files = (
            DoomedFile(row["path"], row["master"] or "", known_size(row["size_bytes"]))
            for row in rows
        )
        return self._claims.keep(Doomed(token, shelf, tuple(files)))

    async def _delete_claimed(self, token: str) -> None:
        await self._database.run(delete(entries).where(self._claims.holds(token)))
        self._claims.settled(token)
