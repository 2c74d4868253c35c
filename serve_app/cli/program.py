"""The program: its commands, in the groups that `serve-app --help` shows.

Nothing that runs the service is imported here, so that a command that only talks to one starts at
once.
"""

from __future__ import annotations

import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

import typer

from serve_app.cli.bench import bench
from serve_app.cli.check_config import check_config
from serve_app.cli.convert import convert
from serve_app.cli.fetch_weights import fetch_weights
from serve_app.cli.options import examples
from serve_app.cli.say import say
from serve_app.cli.status import status
from serve_app.cli.up import up
from serve_app.cli.voices import voices

_SERVER, _CLIENT = "Run a server", "Use a server"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="A command ends with 0 if all went well, 1 if the server refused or failed, 2 if the "
    "command line is wrong, 3 if no server answers, and 130 after Ctrl-C.",
)


@app.callback()
def _root() -> None:
    """Text to speech as a streaming HTTP API on Ray Serve."""


app.command(
    rich_help_panel=_SERVER,
    epilog=examples("serve-app up", "serve-app up --port 8000 --replicas 2"),
)(up)
app.command(
    "check-config",
    rich_help_panel=_SERVER,
    epilog=examples("serve-app check-config configs/serve.yaml"),
)(check_config)
app.command(
    "fetch-weights",
    rich_help_panel=_SERVER,
    epilog=examples("serve-app fetch-weights --model english"),
)(fetch_weights)
app.command(
    rich_help_panel=_CLIENT,
    epilog=examples(
        "serve-app say 'The kettle is on.' -o tea.mp3",
        "serve-app say --file story.txt --voice alice --play",
        "fortune | serve-app say --set trim=true -o - | ffplay -nodisp -",
    ),
)(say)
app.command(
    rich_help_panel=_CLIENT,
    epilog=examples("serve-app convert talk.wav alice -o alice-talks.mp3"),
)(convert)
app.add_typer(voices, name="voices", rich_help_panel=_CLIENT)
app.command(
    rich_help_panel=_CLIENT,
    epilog=examples("serve-app status", "serve-app status --url http://speech:7860 --json"),
)(status)
app.command(
    rich_help_panel=_CLIENT,
    epilog=examples("serve-app bench --clients 8 --seconds 30"),
)(bench)


def main() -> None:
    """The `serve-app` program."""
    _end_on_signals()
    _prepare_streams()
    try:
        app(prog_name="serve-app")
    finally:
        _drop_unwritten_output()


def _end_on_signals() -> None:
    """End as on Ctrl-C, so that no half of a file is left; `nohup` has SIGHUP ignored already."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(128 + number)


def _prepare_streams() -> None:
    """A closed standard input is an empty one; a file's name need be no text to be printed."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 - it stays open
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportUnknownMemberType]


def _drop_unwritten_output() -> None:
    """What the standard output did not take was told; Python would fail on it again at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
