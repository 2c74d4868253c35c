"""`serve-app convert`: a recording, said again in another voice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.display import summary
from serve_app.cli.failures import print_json, reported
from serve_app.cli.incoming import Incoming
from serve_app.cli.options import DEFAULT_URL, ApiKey, AsJson, Format, Output, Url
from serve_app.cli.receiving import STDOUT, check_output, format_for, new_file, receive
from serve_app.client import Client

_KNOWN = "A file here, which is uploaded for this alone, or a name on the server."


def convert(
    source: Annotated[str, typer.Argument(help=f"The recording. {_KNOWN}")],
    target: Annotated[str, typer.Argument(help=f"The voice. {_KNOWN}")],
    output: Output = None,
    audio_format: Format = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say a recording again in another voice.

    Without -o it is saved in this folder under a name made of both.
    """
    kept = format_for(output, audio_format)
    output = output or new_file(f"{Path(source).stem} as {Path(target).stem}", kept)
    check_output(output, as_json)
    with reported(as_json), Client(url, api_key=api_key) as client:
        asked_at = time.perf_counter()
        with client.convert(_recording(source), _recording(target), format=kept) as stream:
            incoming = Incoming(stream, asked_at)
            receive(incoming, output)
        if as_json:
            print_json({"path": str(output), **incoming.facts()})
        elif output != STDOUT:
            typer.echo(f"Saved {output}: {summary(incoming)}.")


def _recording(name: str) -> str | Path:
    path = Path(name)
    return path if path.is_file() else name
