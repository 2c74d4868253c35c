"""Starts and stops the servers under test, and finds every process that belongs to them.

Only one server runs at a time: an idle Ray takes a tenth of a core, which on two cores would be
charged to whoever is measured meanwhile. So each block of measurements starts its server, warms it
up, measures, and stops it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

READY_WITHIN = 120.0
STOP_WITHIN = 40.0
POLL_INTERVAL = 0.1
LAST_WORDS = 2000  # characters of a failed server's log
MARK = "BENCHMARK_SERVER"
"""Variable in the server's environment: daemons that leave the process tree still inherit it."""

STORAGE = "SERVE_APP_STORAGE__"

INGRESS = re.compile(r"ray::ServeReplica:[^:]+:Ingress")
TTS_REPLICA = re.compile(r"ray::ServeReplica:[^:]+:Speech")
MEBIBYTE = 1 << 20


class Mode(StrEnum):
    """The servers that are compared."""

    PLAIN = "plain"
    DEFAULTS = "defaults"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Server:
    """A running server."""

    mode: Mode
    port: int
    main: psutil.Popen
    mark: str
    folder: Path  # its log and its outputs

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log"

    def processes(self) -> list[psutil.Process]:
        """All processes of the server, its daemons included."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid == self.main.pid or process.environ().get(MARK) == self.mark:
                    found |= {process, *process.children(recursive=True)}
        return list(found)

    def cpu_seconds(self) -> dict[int, float]:
        """User and system time of each process so far, by process id."""
        used = {}
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used[process.pid] = times.user + times.system
        return used

    def resident_mb(self, title: re.Pattern[str]) -> float:
        """Memory of the largest process whose title matches, in MiB; 0 when there is none."""
        sizes = [0.0]
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if title.search(" ".join(process.cmdline())):
                    sizes.append(process.memory_info().rss / MEBIBYTE)
        return max(sizes)


@contextlib.contextmanager
def start_server(mode: Mode, replicas: int = 1) -> Generator[Server]:
    """Run a server for the duration of a with block; it is ready inside, and gone after it.

    Raises:
        RuntimeError: it did not become ready.
    """
    server = start_plain() if mode is Mode.PLAIN else start_service(mode, replicas)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        _stop(server)


def start_plain() -> Server:
    """Start the plain server."""
    port = _free_port()
    return _launch(Mode.PLAIN, port, [sys.executable, "-m", "benchmarks.plain_server"], [])


def start_service(mode: Mode, replicas: int) -> Server:
    """Start the service. The one place that knows its command line."""
    port = _free_port()
    serve_app = str(Path(sys.executable).with_name("serve-app"))
    options = {
        Mode.DEFAULTS: ["--proxy", "serve"],
        Mode.PRODUCTION: ["--proxy", "haproxy"],  # as --production, but every port on loopback
    }[mode]
    options += ["--replicas", str(replicas)]
    return _launch(mode, port, [serve_app, "up"], options)


def _launch(mode: Mode, port: int, command: list[str], options: list[str]) -> Server:
    mark = uuid.uuid4().hex
    folder = Path(tempfile.mkdtemp(prefix=f"benchmark-{mode}-"))
    with (folder / "log").open("wb") as output:
        process = psutil.Popen(
            [*command, "--port", str(port), *options],
            env={**os.environ, MARK: mark, **_storage(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Server(mode, port, process, mark, folder)


def _storage(folder: Path) -> dict[str, str]:
    """The settings that keep all files of a run in its folder."""
    roots = {name: str(folder / name) for name in ("voices", "vc_inputs", "outputs")}
    settings = {**roots, "database_url": f"sqlite:///{folder}/catalogue.sqlite3"}
    return {STORAGE + name.upper(): value for name, value in settings.items()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.main.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            url = f"http://127.0.0.1:{server.port}/readyz"
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        time.sleep(POLL_INTERVAL)
    last_words = server.log.read_text(errors="replace")[-LAST_WORDS:]
    raise RuntimeError(f"the {server.mode} server did not become ready:\n{last_words}")


def _stop(server: Server) -> None:
    """Interrupt the server as Ctrl-C would; kill what is left only when that fails."""
    members = server.processes()
    with contextlib.suppress(psutil.NoSuchProcess):
        server.main.send_signal(signal.SIGINT)
    _, left = psutil.wait_procs(members, timeout=STOP_WITHIN)
    for process in left:
        print(f"killing {process} of the {server.mode} server: it outlived SIGINT", file=sys.stderr)
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=STOP_WITHIN)
    shutil.rmtree(server.folder)
