"""The options that commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.known_voices import known_voices
from serve_app.client import Client, ServerError

DEFAULT_URL = "http://127.0.0.1:7860"
_COMPLETION_TIMEOUT_S = 1.0


def _sendable(key: str | None) -> str | None:
    """An API key that fits into a header; an error must not repeat one that does not."""
    if key and not (key.isascii() and key.isprintable()):
        raise typer.BadParameter("an API key is printable ASCII, on one line.")
    return key or None


def _complete_voice(context: typer.Context, incomplete: str) -> list[str]:
    """Names for a shell to offer; none from a server that does not answer at once."""
    url, key = context.params.get("url") or DEFAULT_URL, context.params.get("api_key")
    try:
        with Client(url, api_key=key, timeout=_COMPLETION_TIMEOUT_S, max_wait=0) as client:
            names = [voice.name for voice in known_voices(client, incomplete)]
    except ServerError:
        return []
    return [name for name in names if name.startswith(incomplete)]


Url = Annotated[str, typer.Option("--url", envvar="SERVE_APP_URL", help="The server's address.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key", envvar="SERVE_APP_API_KEY", callback=_sendable, help="The server's API key."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Voice = Annotated[
    str | None,
    typer.Option(
        "--voice",
        "-v",
        help="A voice that `serve-app voices list` shows; the engine's own when left out.",
        autocompletion=_complete_voice,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The file to save it in; `-` is the standard output."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Of the audio, where the file's name does not say it."),
]
TextFile = Annotated[Path | None, typer.Option("--file", "-f", help="A file with the text, UTF-8.")]


def examples(*commands: str) -> str:
    """The end of a command's help: each command line in a line of its own."""
    return "\n\n".join(["**Examples**", *(f"`{command}`" for command in commands)])
