"""The tables of the catalogue, as the newest migration leaves them.

Text compares byte by byte on both databases, so that both sort alike. The listing indexes begin
with what every listing fixes and its sort key, and cover what its filters look at: skipping to a
page, and counting, reads an index and no rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

UNKNOWN_SIZE = -1
"""In `size_bytes`: SQL databases do not agree where NULL is sorted."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """A moment as microseconds since 1970, UTC: exact, and the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> int | None:
        """To the database."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(
        self,
        value: Any | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        """From the database."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class lease_clock(FunctionElement[int]):  # noqa: N801  # an SQL function, named like one
    """Microseconds since 1970 by the database's clock, the one that all machines share."""

    type = BigInteger()
    inherit_cache = True


@compiles(lease_clock, "postgresql")
def _postgresql_clock(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


@compiles(lease_clock, "sqlite")
def _sqlite_clock(*_: Any, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


Exact = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_Identity = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER counts up by itself


class scanned(FunctionElement[Any]):  # noqa: N801
    """A column that SQLite must not look up in an index of its own.

    Searches read `entries_searched` from end to end; left to choose, SQLite would take an index of
    the folder or the sort key, and read a row for each of its entries.
    """

    inherit_cache = True


@compiles(scanned)
def _plain_column(element: scanned, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses.clauses[0], **options)


@compiles(scanned, "sqlite")
def _column_of_no_index(element: scanned, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{_plain_column(element, compiler, **options)}"


_NOTHING, _ZERO = text("''"), text("0")

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("shelf", Exact, nullable=False),
    Column("path", Exact, nullable=False),
    Column("state", Exact, nullable=False),
    Column("revision", Integer, nullable=False, server_default=_ZERO),
    # The claim of who is changing this path. `claim_until` is in the database's own clock.
    Column("claim", Exact),
    Column("holder", Exact),
    Column("claim_until", BigInteger),
    # What listings filter and sort by.
    Column("folder", Exact, nullable=False, server_default=_NOTHING),  # "" or "a/b/"
    Column("sort_name", Exact, nullable=False, server_default=_NOTHING),
    Column("search", Exact, nullable=False, server_default=_NOTHING),
    # AudioFacts
    Column("format", Exact, nullable=False, server_default=_NOTHING),
    Column("seconds", Float(53), nullable=False, server_default=_ZERO),
    Column("sample_rate", Integer, nullable=False, server_default=_ZERO),
    Column("size_bytes", BigInteger, nullable=False, server_default=text(str(UNKNOWN_SIZE))),
    Column("digest", Exact, nullable=False, server_default=_NOTHING),
    Column("is_plain", Boolean, nullable=False, server_default=true()),
    # Description
    Column("description", Exact, nullable=False, server_default=_NOTHING),
    Column("text", Exact, nullable=False, server_default=_NOTHING),
    Column("name", Exact, nullable=False, server_default=_NOTHING),
    Column("tags", JSON, nullable=False, server_default=text("'[]'")),
    Column("default_parameters", JSON, nullable=False, server_default=text("'{}'")),
    # Origin
    Column("generation_type", Exact, nullable=False, server_default=_NOTHING),
    Column("parameters", JSON, nullable=False, server_default=text("'{}'")),
    Column("source_files", JSON, nullable=False, server_default=text("'[]'")),
    # Entry
    Column("created_at", Moment, nullable=False, server_default=_ZERO),
    Column("last_used", Moment),
    Column("usage_count", BigInteger, nullable=False, server_default=_ZERO),
    Column("e_tag", Exact, nullable=False, server_default=_NOTHING),
    Column("sidecar_e_tag", Exact, nullable=False, server_default=_NOTHING),
    Column("master", Exact),
    UniqueConstraint("shelf", "path", name="entries_path"),
)

tags = Table(
    "tags",
    metadata,
    Column("entry", _Identity, ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Exact, primary_key=True),
)

leaders = Table(
    "leaders",
    metadata,
    Column("task", Exact, primary_key=True),
    Column("holder", Exact, nullable=False),
    Column("until", BigInteger, nullable=False),  # in the database's own clock
)


def _listing(name: str, *keys: str) -> Index:
    covered = [each for each in ("folder", "created_at", "generation_type") if each not in keys]
    columns = ("shelf", "state", *keys, "id", *covered, "size_bytes")
    return Index(f"entries_by_{name}", *(entries.c[each] for each in dict.fromkeys(columns)))


_listing("created", "created_at")
_listing("name", "sort_name")
_listing("seconds", "seconds")
_listing("size", "size_bytes")
_listing("usage", "usage_count")
_listing("folder", "folder", "created_at")
Index(
    "entries_claimed",
    entries.c.holder,
    entries.c.claim,
    sqlite_where=entries.c.holder.is_not(None),
    postgresql_where=entries.c.holder.is_not(None),
)
Index(
    "entries_by_master",
    entries.c.master,
    sqlite_where=entries.c.master.is_not(None),
    postgresql_where=entries.c.master.is_not(None),
)
Index("tags_by_tag", tags.c.tag, tags.c.entry)
