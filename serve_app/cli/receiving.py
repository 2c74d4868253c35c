"""Where audio goes that comes in: a file, the standard output, the sound device."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import typer

from serve_app.cli.display import progress
from serve_app.cli.incoming import Incoming
from serve_app.client.calls import format_of
from serve_app.client.files import saving

STDOUT = Path("-")
_DEFAULT_FORMAT = "wav"
_NAME_LENGTH = 40  # characters of what a file is named for


def receive(
    incoming: Incoming, output: Path | None, play: Callable[[bytes], None] | None = None
) -> None:
    """Take all of the audio: into `output`, whose name a file gets when it is whole, and played.

    Raises:
        ServerError: it broke off.
        OSError: the file cannot be written.
    """
    with ExitStack() as files:
        file = files.enter_context(saving(output, None)) if output and output != STDOUT else None
        with progress(incoming) as pieces:
            for data in pieces:
                if file:
                    file.write(data)
                if output == STDOUT:
                    sys.stdout.buffer.write(data)
                    sys.stdout.buffer.flush()
                if play:
                    play(data)
        if file:
            file.keep()


def format_for(output: Path | None, wanted: str | None) -> str:
    """The format that is wanted, else the one that the name of the file means, else WAV."""
    named = format_of(output) if output and output != STDOUT else None
    return (wanted or named or _DEFAULT_FORMAT).lower()


def check_output(output: Path | None, as_json: bool) -> None:
    """Whether audio can go there.

    Raises:
        typer.BadParameter: it cannot.
    """
    if output != STDOUT:
        if output and output.is_dir():
            raise typer.BadParameter(f"-o takes a file, and {output} is a folder.")
        if output and not output.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {output.parent}.")
        return
    if as_json:
        raise typer.BadParameter("--json and -o - both want the standard output.")
    if sys.stdout is None:
        raise typer.BadParameter("the standard output is closed; save it with -o FILE.")
    if sys.stdout.isatty():
        raise typer.BadParameter(
            "a terminal cannot take audio: pipe it on, or save it with -o FILE."
        )


def new_file(name: str, audio_format: str) -> Path:
    """A file in this folder that is not there yet, named for something: hello-there.mp3."""
    words = re.findall(r"\w+", name[: 2 * _NAME_LENGTH].lower())
    stem = "-".join(words)[:_NAME_LENGTH].rstrip("-") or "speech"
    path, number = Path(f"{stem}.{audio_format}"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.{audio_format}")
    return path
