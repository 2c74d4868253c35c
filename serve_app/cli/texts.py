"""Where a command takes its text from."""

from __future__ import annotations

import sys
from pathlib import Path

import typer


def text_from(argument: str | None, file: Path | None) -> str:
    """The text of the argument, of the file, or of the standard input: `-`, or when it is piped.

    Raises:
        typer.BadParameter: there is none, or too many, or it is no text.
    """
    if argument is not None and file is not None:
        raise typer.BadParameter("give a text or --file, not both.")
    text = _read(argument, file)
    if not text.strip():
        raise typer.BadParameter("there is nothing to say: the text is empty.")
    return text


def _read(argument: str | None, file: Path | None) -> str:
    try:
        if file is not None:
            return file.read_text("utf-8")
        if argument is not None and argument != "-":
            return _valid(argument)
        if argument is None and sys.stdin.isatty():
            raise typer.BadParameter("give a text, --file FILE, or pipe one in.")
        return _valid(sys.stdin.read())
    except UnicodeError:
        raise typer.BadParameter(f"{file or 'the text'} is not UTF-8.") from None
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None


def _valid(text: str) -> str:
    """Bytes that are no text get as far as here: as surrogates, which are none either."""
    text.encode()
    return text
