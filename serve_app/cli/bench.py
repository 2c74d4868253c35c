"""`serve-app bench`: what listeners wait for while several of them listen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from serve_app.cli.failures import ExitCode, print_json, reported
from serve_app.cli.figures import facts, report
from serve_app.cli.load import Heard, Load, drive
from serve_app.cli.options import DEFAULT_URL, ApiKey, AsJson, TextFile, Url, Voice
from serve_app.cli.texts import text_from
from serve_app.client import AsyncClient, Client

_TEXT = (
    "The old lighthouse keeper climbed the stairs every evening. He lit the lamp for the ships. "
    "Nobody had asked him to do it for thirty years. He did it all the same."
)
_REQUESTS = 10


class MeasurableFormat(StrEnum):
    """The formats whose bytes tell how much audio they are, as in `listening.MEASURABLE`."""

    WAV = "wav"
    PCM = "pcm"
    ULAW = "ulaw"
    ALAW = "alaw"
    MP3 = "mp3"


def bench(
    clients: Annotated[int, typer.Option(help="Who listen at the same time.", min=1)] = 1,
    requests: Annotated[
        int | None, typer.Option(help=f"How many, all clients together; {_REQUESTS}.", min=1)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Begin requests for so long, however many.", min=0.0)
    ] = None,
    text: Annotated[str | None, typer.Option(help="What is spoken each time.")] = None,
    file: TextFile = None,
    audio_format: Annotated[
        MeasurableFormat, typer.Option("--format", help="Of the audio.")
    ] = MeasurableFormat.WAV,
    voice: Voice = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Measure how soon and how steadily speech comes while several clients listen.

    Each client plays what it gets in real time, and asks again when its stream has ended. A stream
    ran dry if there was a moment with nothing left to play. Ctrl-C shows what was measured so far.
    """
    if requests is not None and seconds is not None:
        raise typer.BadParameter("give --requests or --seconds, not both.")
    if seconds is None:
        requests = requests or _REQUESTS
    content = text_from(_TEXT if text is None and file is None else text, file)
    load = Load(content, audio_format.value, voice, clients, requests, seconds)
    heard = Heard()
    with reported(as_json):
        with Client(url, api_key=api_key) as client:
            engine = client.config().engines.tts.name
        connect = partial(AsyncClient, url, api_key=api_key, max_wait=0)
        interrupted = _was_interrupted(load, connect, heard)
    with reported(as_json):
        if as_json:
            print_json({"url": url, "engine": engine, **facts(load, heard)})
        else:
            report(f"{engine} at {url}", load, heard)
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if heard.errors:
        raise typer.Exit(ExitCode.FAILED)


def _was_interrupted(load: Load, connect: Callable[[], AsyncClient], heard: Heard) -> bool:
    """Put the load on the server until all of it was heard, or Ctrl-C."""
    with _progress(load) as advance:
        try:
            asyncio.run(drive(load, connect, heard, advance))
        except KeyboardInterrupt:
            return True
    return False


@contextmanager
def _progress(load: Load) -> Generator[Callable[[], None]]:
    """How many requests have ended, on the standard error if it is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task("requests", total=load.requests)
        yield lambda: shown.advance(task)
