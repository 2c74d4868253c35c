"""What every suite shares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def need_program() -> Callable[[str], str]:
    """Find a system program, skip without it, and fail without it where CI=true."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} must be installed where CI=true")
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find
