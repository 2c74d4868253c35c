"""The first tables: entries, their tags, and who leads a task."""

from __future__ import annotations

import contextlib
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

revision = "0001"
down_revision = None

_exact = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """From an empty database."""
    _create_entries()
    _keep_rows_narrow()
    _create_listing_indexes()
    _create_search_index()
    _create_sparse_index("entries_claimed", "holder", "claim")
    _create_sparse_index("entries_by_master", "master")
    op.create_table(
        "tags",
        sa.Column("entry", _identity, sa.ForeignKey("entries.id", ondelete="CASCADE")),
        sa.Column("tag", _exact),
        sa.PrimaryKeyConstraint("entry", "tag"),
    )
    op.create_index("tags_by_tag", "tags", ["tag", "entry"])
    op.create_table(
        "leaders",
        sa.Column("task", _exact, primary_key=True),
        sa.Column("holder", _exact, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """To an empty database."""
    for table in ("leaders", "tags", "entries"):
        op.drop_table(table)


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", _identity, primary_key=True),
        _text("shelf", None),
        _text("path", None),
        _text("state", None),
        _number("revision", sa.Integer()),
        sa.Column("claim", _exact),
        sa.Column("holder", _exact),
        sa.Column("claim_until", sa.BigInteger()),
        _text("folder"),
        _text("sort_name"),
        _text("search"),
        _text("format"),
        _number("seconds", sa.Float(53)),
        _number("sample_rate", sa.Integer()),
        _number("size_bytes", sa.BigInteger(), "-1"),
        _text("digest"),
        sa.Column("is_plain", sa.Boolean(), nullable=False, server_default=sa.true()),
        _text("description"),
        _text("text"),
        _text("name"),
        _json("tags", "'[]'"),
        _json("default_parameters", "'{}'"),
        _text("generation_type"),
        _json("parameters", "'{}'"),
        _json("source_files", "'[]'"),
        _number("created_at", sa.BigInteger()),
        sa.Column("last_used", sa.BigInteger()),
        _number("usage_count", sa.BigInteger()),
        _text("e_tag"),
        _text("sidecar_e_tag"),
        sa.Column("master", _exact),
        sa.UniqueConstraint("shelf", "path", name="entries_path"),
    )


def _keep_rows_narrow() -> None:
    """PostgreSQL moves what only the shown rows need out of the table that searches read."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE entries SET (toast_tuple_target = 128)")
        for column in ("search", "path", "folder", "sort_name"):
            op.execute(f"ALTER TABLE entries ALTER COLUMN {column} SET STORAGE MAIN")


def _text(name: str, default: str | None = "''") -> sa.Column[str]:
    return sa.Column(name, _exact, nullable=False, server_default=default and sa.text(default))


def _number(name: str, kind: sa.Integer | sa.Float[float], default: str = "0") -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, server_default=sa.text(default))


def _json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False, server_default=sa.text(default))


def _create_listing_indexes() -> None:
    covered = ("folder", "created_at", "generation_type", "size_bytes")
    for name, keys in {
        "created": ("created_at",),
        "name": ("sort_name",),
        "seconds": ("seconds",),
        "size": ("size_bytes",),
        "usage": ("usage_count",),
        "folder": ("folder", "created_at"),
    }.items():
        columns = dict.fromkeys(("shelf", "state", *keys, "id", *covered))
        op.create_index(f"entries_by_{name}", "entries", [*columns])


def _create_sparse_index(name: str, *columns: str) -> None:
    """An index of the few rows that have a value in the first column."""
    has_value = sa.text(f"{columns[0]} IS NOT NULL")
    op.create_index(name, "entries", [*columns], sqlite_where=has_value, postgresql_where=has_value)


def _create_search_index() -> None:
    """What makes a search of 100,000 texts quick: each database has its own means.

    SQLite reads all texts, from an index that covers every filter and sort key. PostgreSQL cannot
    index long texts so; it has trigrams, if the server has `pg_trgm` and lets us use it. Without,
    it reads the table.
    """
    if op.get_bind().dialect.name == "sqlite":
        covered = ["folder", "generation_type", "size_bytes", "seconds", "sort_name", "usage_count"]
        columns = ["shelf", "state", "created_at", "id", *covered, "search"]
        op.create_index("entries_searched", "entries", columns)
        return
    with contextlib.suppress(DBAPIError), op.get_bind().begin_nested():
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.execute("CREATE INDEX entries_searched ON entries USING gin (search gin_trgm_ops)")
