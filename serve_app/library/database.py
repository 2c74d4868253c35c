"""The connection to SQL: which driver, how its errors are told, which schema it has."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Executable, RowMapping, event, exc, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from serve_app.domain.errors import StorageUnavailable
from serve_app.library.tables import entries, leaders

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]

BUSY_TIMEOUT_S = 30
"""How long SQLite waits for another process's write."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_MIGRATION_LOCK = 0x73657276
"""The advisory lock of PostgreSQL under which the schema changes ("serv")."""

_OUT_OF_REACH = frozenset(("08", "25", "28", "3D", "40", "53", "55", "57", "58"))
"""Classes of SQLSTATE that are about the server, its state or its load and not the statement."""

_migrating: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Alembic keeps its context in a global, so a process migrates one database at a time."""


class Database:
    """A pool of connections, SQLite's or PostgreSQL's."""

    def __init__(self, url: URL) -> None:
        self._is_sqlite = url.get_backend_name() == "sqlite"
        options = _sqlite_options() if self._is_sqlite else {"pool_pre_ping": True}
        # A single statement needs no transaction: PostgreSQL is spared two round trips.
        self._engine = create_async_engine(
            url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **options
        )
        self._transactional = self._engine.execution_options(
            isolation_level="SERIALIZABLE" if self._is_sqlite else "READ COMMITTED"
        )
        if self._is_sqlite:
            event.listen(self._engine.sync_engine, "connect", _set_pragmas)
        self._working: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect and bring the schema up to date.

        Raises:
            ValueError: the URL is of neither database.
            migrations.NewerSchema: the schema is newer than this code.
            StorageUnavailable: no answer.
        """
        parsed = parse_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        database = cls(parsed)
        try:
            await database._migrate()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Finish what is under way, and end all connections."""
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._engine.dispose()

    async def run(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> list[RowMapping]:
        """Execute one statement, a transaction of its own; the rows it returned.

        With a list of parameters SQLite executes it once for each, one after another.
        """
        return await self._to_its_end(self._run(statement, parameters))

    async def transact(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        """Execute several statements at once or not at all.

        The first must write: a transaction of SQLite that has read cannot always begin to write.
        """
        await self._to_its_end(self._transact(work))

    async def _run(self, statement: Executable, parameters: Parameters | None) -> list[RowMapping]:
        with _answering():
            async with self._engine.connect() as connection:
                result = await connection.execute(statement, parameters)
                return list(result.mappings()) if result.returns_rows else []

    async def _transact(self, work: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        with _answering():
            async with self._transactional.begin() as connection:
                await work(connection)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what was asked of SQL even if who asked has left.

        A statement that is cancelled halfway leaves SQLite's write lock behind.
        """
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has had it; if nobody did, it is nobody's

    def insert_entry(self) -> sqlite.Insert | postgresql.Insert:
        """An INSERT into `entries` that can say ON CONFLICT."""
        return sqlite.insert(entries) if self._is_sqlite else postgresql.insert(entries)

    def insert_leader(self) -> sqlite.Insert | postgresql.Insert:
        """An INSERT into `leaders` that can say ON CONFLICT."""
        return sqlite.insert(leaders) if self._is_sqlite else postgresql.insert(leaders)

    async def _migrate(self) -> None:
        from serve_app.library.migrations import upgrade

        lock = _migrating.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        with _answering():
            async with lock, self._transactional.begin() as connection:
                await connection.run_sync(self._lock_schema)
                await connection.run_sync(upgrade)

    def _lock_schema(self, connection: Connection) -> None:
        """Let one process of all change the schema; the lock ends with the transaction."""
        if self._is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


def parse_url(url: str) -> URL:
    """The URL with the driver that we use.

    Raises:
        ValueError: it is of neither database.
    """
    parsed = make_url(url)
    if parsed.drivername not in _DRIVERS:
        raise ValueError(f"database URL: {parsed.drivername} is neither sqlite nor postgresql")
    parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    mode = parsed.query.get("sslmode")  # libpq's name of what asyncpg calls ssl
    if mode is None:
        return parsed
    return parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _sqlite_options() -> dict[str, Any]:
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}


def _set_pragmas(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


@contextmanager
def _answering() -> Generator[None]:
    """Tell a database that cannot be reached from a statement that is wrong."""
    try:
        yield
    except exc.DBAPIError as error:
        if not _is_out_of_reach(error):
            raise
        raise _unavailable() from error
    except (exc.TimeoutError, OSError) as error:
        raise _unavailable() from error


def _is_out_of_reach(error: exc.DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return (sqlite_code & 0xFF) not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT)
    return str(getattr(error.orig, "sqlstate", None))[:2] in _OUT_OF_REACH


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("The database does not answer.", "Try again later.")
