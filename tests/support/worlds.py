"""Fixtures: an empty library in a folder with SQLite, and one on S3 with PostgreSQL.

A plugin of its own, because pytest wants to be the first to import what holds fixtures.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from serve_app.library.library import Library, LibraryOptions
from tests.support.library import World


@pytest.fixture(params=["embedded", "cluster"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty library of each kind."""
    if request.param == "embedded":
        roots = [str(tmp_path / name) for name in ("voices", "inputs", "outputs")]
        return World(LibraryOptions(*roots, f"sqlite:///{tmp_path}/library.sqlite3"))
    url = request.getfixturevalue("postgres_url")
    bucket = request.getfixturevalue("bucket")
    store = request.getfixturevalue("object_store")
    roots = [f"{bucket}/{name}" for name in ("voices", "inputs", "outputs")]
    return World(LibraryOptions(*roots, url, store.options))


@pytest.fixture
async def library(world: World) -> AsyncGenerator[Library, None]:
    """The library of `world`, opened."""
    async with world.open() as opened:
        yield opened
