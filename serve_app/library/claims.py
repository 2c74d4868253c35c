"""Claims: the right to change a path, held by one at a time among all processes and machines."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import (
    ColumnElement,
    Executable,
    RowMapping,
    case,
    delete,
    exc,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from serve_app.domain.errors import StorageUnavailable
from serve_app.domain.types import Shelf
from serve_app.library.database import Database, Parameters
from serve_app.library.entries import Entry
from serve_app.library.queries import Condition, is_at, is_free
from serve_app.library.rows import Values, entry_of, size_of, storable, values_of
from serve_app.library.states import Doomed, Reservation, State
from serve_app.library.tables import entries, lease_clock, tags

_POLL_S = (0.02, 0.1)
_RENEWALS_PER_LEASE = 4
_FREED: Values = {"claim": None, "holder": None, "claim_until": None}

_OTHERS = entries.alias()

_Claimed = TypeVar("_Claimed", "Claim", Reservation, Doomed)

_log = logging.getLogger(__name__)


class Claim:
    """The right to change one path; given back by `save`, `remove` or the end of its block."""

    def __init__(self, claims: Claims, token: str, row: RowMapping) -> None:
        self._claims = claims
        self._is_held = True
        self.token = token
        facts = entry_of(row) if row["format"] else None
        self.entry: Entry | None = facts if row["state"] == State.PRESENT else None
        """The present facts; None while there are none."""
        self.reserved: Entry | None = facts if row["state"] == State.PENDING else None
        """What somebody who crashed had reserved here (an output); None otherwise."""

    async def save(self, entry: Entry) -> None:
        """Make the row present with these facts and give the claim back.

        Uses counted since the claim was taken are kept: `usage_count` is changed by as much as
        `entry` differs from `self.entry`, and `last_used` only if it differs.

        Raises:
            StorageUnavailable: the claim was lost, or the database does not answer.
        """

        async def save(connection: AsyncConnection) -> None:
            held = self._claims.holds(self.token)
            row_id = await _save_row(connection, held, entry, self._use_of(entry))
            await _save_tags(connection, row_id, entry)

        await self._claims.database.transact(save)
        self._settle()

    async def remove(self) -> None:
        """Delete the row and with it the claim.

        Raises:
            StorageUnavailable: the claim was lost, or the database does not answer.
        """
        statement = delete(entries).where(self._claims.holds(self.token))
        if not await self._claims.database.run(statement.returning(entries.c.id)):
            raise lost()
        self._settle()

    async def release(self) -> None:
        """Leave the row as it was, unless it was saved or removed."""
        if self._is_held:
            self._is_held = False
            await self._claims.release(self.token)

    def _settle(self) -> None:
        self._is_held = False
        self._claims.settled(self.token)

    def _use_of(self, entry: Entry) -> Values:
        if self.entry is None:
            return {}
        added = entry.usage_count - self.entry.usage_count
        is_same = entry.last_used == self.entry.last_used
        return {
            "usage_count": entries.c.usage_count + added,
            "last_used": entries.c.last_used if is_same else entry.last_used,
        }


class Claims:
    """The claims of one holder, renewed as long as somebody holds their objects."""

    def __init__(self, database: Database, lease_s: float) -> None:
        self.database = database
        self.holder = uuid.uuid4().hex
        self._lease_s = lease_s
        self._lease_us = int(lease_s * 1_000_000)
        self._live: WeakValueDictionary[str, Claim | Reservation | Doomed] = WeakValueDictionary()
        self._releasing: set[asyncio.Task[None]] = set()
        self._renewing = asyncio.create_task(self._renew_forever())

    async def close(self) -> None:
        """Stop renewing, once everything released has been given back."""
        self._renewing.cancel()
        await asyncio.gather(self._renewing, *self._releasing, return_exceptions=True)

    def mark(self, token: str) -> Values:
        """The columns that make a row ours."""
        until = lease_clock() + self._lease_us
        return {"claim": token, "holder": self.holder, "claim_until": until}

    def holds(self, token: str) -> Condition:
        """The rows of a claim, as long as nobody took them."""
        return (entries.c.holder == self.holder) & (entries.c.claim == token)

    def keep(self, claim: _Claimed) -> _Claimed:
        """Renew a claim while its object lives, until it is `settled`."""
        self._live[claim.token] = claim
        return claim

    def settled(self, token: str) -> None:
        """The rows of a claim are free or gone."""
        self._live.pop(token, None)

    async def take(self, shelf: Shelf, path: str, wait_s: float) -> Claim:
        """The claim of a path, whose row is created if there is none.

        Raises:
            StorageUnavailable: somebody else holds it for longer than `wait_s`.
        """
        deadline = time.monotonic() + wait_s
        while (claim := await self._try_to_take(shelf, path)) is None:
            if time.monotonic() >= deadline:
                raise StorageUnavailable(
                    "The file is being changed by another request.", "Try again later."
                )
            await asyncio.sleep(random.uniform(*_POLL_S))
        return claim

    async def _try_to_take(self, shelf: Shelf, path: str) -> Claim | None:
        token = new_token()
        mark = self.mark(token)
        statement = self.database.insert_entry().values(
            shelf=shelf, path=path, state=State.PENDING, **mark
        )
        statement = statement.on_conflict_do_update(
            index_elements=[entries.c.shelf, entries.c.path], set_=mark, where=is_free()
        )
        rows = await self.run_marking(token, statement.returning(entries))
        return self.keep(Claim(self, token, rows[0])) if rows else None

    async def run_marking(
        self, token: str, statement: Executable, parameters: Parameters | None = None
    ) -> list[RowMapping]:
        """Execute a statement that marks rows with `token`.

        Where it is cancelled, or is several and one of them fails, the rows are freed again.
        """
        try:
            return await self.database.run(statement, parameters)
        except (asyncio.CancelledError, exc.IntegrityError):
            await self.release(token)
            raise

    async def publish(self, token: str, made: Sequence[Entry]) -> None:
        """Make the pending rows of a claim present and free, with what is known of their audio.

        One statement: no transaction, and nothing at all where somebody took one of the rows.

        Raises:
            StorageUnavailable: the claim was lost.
        """
        is_held = (_OTHERS.c.holder == self.holder) & (_OTHERS.c.claim == token)
        held = select(func.count()).select_from(_OTHERS).where(is_held).scalar_subquery()
        statement = (
            update(entries)
            .where(self.holds(token), held == len(made))
            .values(
                state=State.PRESENT,
                revision=entries.c.revision + 1,
                seconds=made[0].audio.seconds,
                sample_rate=made[0].audio.sample_rate,
                size_bytes=_by_path({entry.path: size_of(entry.audio) for entry in made}),
                e_tag=_by_path({entry.path: entry.e_tag for entry in made}),
                **_FREED,
            )
        )
        if not await self.database.run(statement.returning(entries.c.id)):
            raise lost()
        self.settled(token)

    async def release(self, token: str) -> None:
        """Free the rows of a claim, whatever becomes of who asks: pending ones go.

        A database that does not answer is no error here: the lease runs out.
        """
        self.settled(token)
        task = asyncio.create_task(self._release(token))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)
        await asyncio.shield(task)

    async def _release(self, token: str) -> None:
        is_pending = entries.c.state == State.PENDING
        try:
            await self.database.run(delete(entries).where(self.holds(token), is_pending))
            await self.database.run(update(entries).where(self.holds(token)).values(_FREED))
        except StorageUnavailable as error:
            _log.warning("a claim is left to run out: %s", error.__cause__)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS_PER_LEASE)
            if tokens := list(self._live):
                await self._renew(tokens)

    async def _renew(self, tokens: list[str]) -> None:
        is_ours = (entries.c.holder == self.holder) & entries.c.claim.in_(tokens)
        until = lease_clock() + self._lease_us
        try:
            await self.database.run(update(entries).where(is_ours).values(claim_until=until))
        except StorageUnavailable as error:
            _log.warning("claims were not renewed: %s", error.__cause__)


def _by_path(values: Mapping[str, Any]) -> ColumnElement[Any]:
    return case(values, value=entries.c.path)


def new_token() -> str:
    """A name for a claim that no other has."""
    return uuid.uuid4().hex


async def _save_row(connection: AsyncConnection, held: Condition, entry: Entry, use: Values) -> int:
    """Make a claimed row present and free; its id.

    Raises:
        StorageUnavailable: the claim was lost.
    """
    facts = values_of(entry) | use | _FREED
    statement = (
        update(entries)
        .where(held, is_at(entry.shelf, entry.path))
        .values(state=State.PRESENT, revision=entries.c.revision + 1, **facts)
        .returning(entries.c.id)
    )
    row_id = await connection.scalar(statement)
    if row_id is None:
        raise lost()
    return row_id


async def _save_tags(connection: AsyncConnection, row_id: int, entry: Entry) -> None:
    await connection.execute(delete(tags).where(tags.c.entry == row_id))
    rows = [
        {"entry": row_id, "tag": tag}
        for tag in dict.fromkeys(map(storable, entry.description.tags))
    ]
    if rows:
        await connection.execute(insert(tags), rows)


def lost() -> StorageUnavailable:
    """The error of who was too slow to renew a claim."""
    return StorageUnavailable("The file was taken over by another request.", "Try again later.")
