"""The real Ray Serve application, started once a module as a user would start it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.service import RunningService, default_config, fake_config, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with the fake engine, which answers at once."""
    with running_service(fake_config(), tmp_path_factory.mktemp("fake")) as running:
        yield running


@pytest.fixture(scope="module")
def slow_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service with a fake engine that takes 200 ms for each chunk."""
    config = fake_config(chunk_delay_s=0.2)
    with running_service(config, tmp_path_factory.mktemp("slow")) as running:
        yield running


@pytest.fixture(scope="module")
def real_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service as it comes: `serve-app up` with the embedded voice."""
    with running_service(default_config(), tmp_path_factory.mktemp("real")) as running:
        yield running
