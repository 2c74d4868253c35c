"""A real PostgreSQL on loopback, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_DEBIAN = Path("/usr/lib/postgresql")
_START_S = 60


@dataclass(frozen=True)
class Postgres:
    """A running server that trusts whoever comes from 127.0.0.1."""

    programs: Path
    port: int

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        subprocess.run([self.programs / "createdb", *address, name], check=True)
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


def find_programs() -> Path | None:
    """The folder of `postgres`, on the path or where Debian puts it; the newest."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = [folder / "bin" for folder in _DEBIAN.glob("[0-9]*")]
    whole = [folder for folder in folders if (folder / "postgres").exists()]
    return max(whole, key=lambda folder: int(folder.parent.name), default=None)


@contextmanager
def running_postgres(programs: Path) -> Generator[Postgres]:
    """A server of its own in a folder of its own, as another user where we are root."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = _unprivileged_user()
    if user is not None:
        shutil.chown(folder, user)
    try:
        _initialise(programs, folder, user)
        with _serving(programs, folder, user) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"


def _initialise(programs: Path, folder: Path, user: str | None) -> None:
    command = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust"]
    options = ["--no-sync", "--encoding=UTF8", "--locale=C"]
    subprocess.run(
        [*command, *options], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL
    )


@contextmanager
def _serving(programs: Path, folder: Path, user: str | None) -> Generator[Postgres]:
    port = _free_port()
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-F"], user=user, cwd=folder, stdout=log, stderr=log
        )
    try:
        _wait_until_ready(programs, port, process, folder / "log")
        yield Postgres(programs, port)
    finally:
        process.send_signal(signal.SIGINT)  # ends at once what is connected
        process.wait(_START_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _wait_until_ready(
    programs: Path, port: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + _START_S
    ask = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ask, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres(need_program: Callable[[str], str]) -> Generator[Postgres]:
    """One server for all tests."""
    programs = find_programs() or Path(need_program("postgres")).parent
    with running_postgres(programs) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty database, of this test alone."""
    return postgres.new_database()
