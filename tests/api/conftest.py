"""The API over the fake engine, in this process, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    """A fresh service whose engine answers at once."""
    with running_api(FakeEngine(), tmp_path) as running:
        yield running


@pytest.fixture
def slow_api(tmp_path: Path) -> Iterator[RunningApi]:
    """A fresh service whose engine takes 200 ms for each chunk."""
    with running_api(FakeEngine(chunk_delay_s=0.2), tmp_path) as running:
        yield running
