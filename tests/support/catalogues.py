"""Fixtures: a catalogue, on both databases by turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from serve_app.library.catalogue import Catalogue


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/folder/library.sqlite3"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def catalogue(database_url: str) -> AsyncGenerator[Catalogue]:
    """An empty catalogue."""
    opened = await Catalogue.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def elsewhere(database_url: str, catalogue: Catalogue) -> AsyncGenerator[Catalogue]:  # noqa: ARG001
    """The same catalogue as another process holds it."""
    opened = await Catalogue.open(database_url)
    yield opened
    await opened.close()
