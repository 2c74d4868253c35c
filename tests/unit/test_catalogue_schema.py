"""The schema of the catalogue, and how it is reached."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, text
from sqlalchemy.ext.asyncio import AsyncConnection

from serve_app.domain.errors import StorageUnavailable
from serve_app.library.catalogue import Catalogue
from serve_app.library.database import Database, parse_url
from serve_app.library.entries import Filter
from serve_app.library.migrations import NewerSchema
from serve_app.library.tables import metadata
from tests.support.entries import VOICES, paths, save, voice

pytest_plugins = ("tests.support.postgres", "tests.support.catalogues")


_TEN_OPEN_IT = """
import asyncio, multiprocessing, sys
import serve_app.library.catalogue, serve_app.library.migrations

def work(barrier):
    async def open_and_close():
        catalogue = await serve_app.library.catalogue.Catalogue.open(sys.argv[1])
        await catalogue.close()

    barrier.wait(60)
    asyncio.run(open_and_close())

context = multiprocessing.get_context("fork")
barrier = context.Barrier(10)
processes = [context.Process(target=work, args=(barrier,)) for _ in range(10)]
for process in processes:
    process.start()
for process in processes:
    process.join(60)
print([process.exitcode for process in processes])
"""


async def test_ten_processes_create_the_schema_at_once(database_url: str) -> None:
    command = [sys.executable, "-c", _TEN_OPEN_IT, database_url]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert done.stdout.strip() == str([0] * 10), done.stderr
    catalogue = await Catalogue.open(database_url)
    await save(catalogue, voice("a.wav"))
    await catalogue.close()


async def test_the_migrations_lead_to_the_tables(database_url: str) -> None:
    database = await Database.open(database_url)

    def skip_json(*columns: Any) -> bool | None:
        """PostgreSQL cannot compare JSON; for the rest, None has Alembic compare."""
        return False if isinstance(columns[2].type, JSON) else None

    def differences(connection: Any) -> list[Any]:
        options = {
            "compare_server_default": skip_json,
            "include_name": lambda name, *_: name != "entries_searched",  # of no common kind
        }
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async def compare(connection: AsyncConnection) -> None:
        assert await connection.run_sync(differences) == []

    await database.transact(compare)
    await database.close()


async def test_a_schema_from_the_future_is_an_error_that_says_so(database_url: str) -> None:
    database = await Database.open(database_url)
    await database.run(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(NewerSchema, match="9999"):
        await Catalogue.open(database_url)


@pytest.mark.parametrize(
    ("url", "driver", "query"),
    [
        ("sqlite:///x.sqlite3", "sqlite+aiosqlite", {}),
        ("postgres://h/d", "postgresql+asyncpg", {}),
        ("postgresql+asyncpg://h/d?ssl=require", "postgresql+asyncpg", {"ssl": "require"}),
        ("postgresql://h/d?sslmode=require", "postgresql+asyncpg", {"ssl": "require"}),
    ],
)
def test_urls_need_not_name_the_driver(url: str, driver: str, query: dict[str, str]) -> None:
    parsed = parse_url(url)
    assert (parsed.drivername, dict(parsed.query)) == (driver, query)


def test_other_databases_are_refused() -> None:
    with pytest.raises(ValueError, match="mysql"):
        parse_url("mysql://h/d")


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for address in ("postgresql://x@127.0.0.1:1/x", f"sqlite:///{tmp_path}/folder"):
        with pytest.raises(StorageUnavailable):
            await Catalogue.open(address)


def test_postgresql_is_imported_only_where_it_is_used() -> None:
    code = "import sys, serve_app.library.catalogue; print('asyncpg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_without_the_right_to_trigrams_a_search_reads_the_table(postgres_url: str) -> None:
    name = f"plain_{uuid.uuid4().hex}"
    owner = Database(parse_url(postgres_url))
    await owner.run(text(f"CREATE ROLE {name} LOGIN"))
    await owner.run(text(f"GRANT CREATE ON SCHEMA public TO {name}"))
    catalogue = await Catalogue.open(postgres_url.replace("postgres@", f"{name}@"))
    await save(catalogue, voice("a.wav"))
    assert await paths(catalogue, VOICES, Filter(search="a.w")) == {"a.wav"}
    indexes = await owner.run(text("SELECT indexname FROM pg_indexes"))
    assert "entries_searched" not in {row["indexname"] for row in indexes}
    await catalogue.close()
    await owner.close()
