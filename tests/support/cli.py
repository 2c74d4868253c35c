"""The command line against a running server: in this process, or as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from serve_app.cli.program import app
from tests.support.service import ROOT


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it printed."""

    code: int
    data: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.data.decode()

    @property
    def json(self) -> Any:
        """The one JSON value that the standard output holds."""
        return json.loads(self.data)


def _hear_signals() -> None:
    """What runs in the background of a shell, as these tests may, ignores them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True)
class CommandLine:
    """A terminal, so to speak, that knows the address of a server."""

    url: str

    def __call__(
        self, *arguments: object, stdin: str | bytes | None = None, **environment: str
    ) -> Ran:
        """Run a command in this process; an exception that it lets out fails the test."""
        done = CliRunner().invoke(
            app,
            list(map(str, arguments)),
            prog_name="serve-app",
            input=stdin,
            env=self.environment() | environment,
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout_bytes, done.stderr)

    def redirected(self, redirections: str, *arguments: object, before: str = "") -> Ran:
        """Run the program as a shell does with redirections, such as `<&-`."""
        line = f'{before} exec "$0" -m serve_app "$@" {redirections}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, *map(str, arguments)],
            env={**os.environ, **self.environment(), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    def start(
        self, *arguments: object, folder: Path, errors: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start the program in a folder; its standard error goes to the descriptor `errors`."""
        return subprocess.Popen(
            [sys.executable, "-m", "serve_app", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **self.environment(), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=_hear_signals,
        )

    def environment(self) -> dict[str, str]:
        """The variables that the program reads; wide lines, so that none is cut."""
        return {"SERVE_APP_URL": self.url, "COLUMNS": "200"}
