"""What a person sees while audio comes in, and after it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, FileSizeColumn, Progress, TextColumn, TransferSpeedColumn

from serve_app.cli.incoming import Incoming


@contextmanager
def progress(incoming: Incoming) -> Generator[Iterable[bytes]]:
    """The pieces of audio, shown on the standard error as they are taken, if it is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        FileSizeColumn(),
        TransferSpeedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        task = shown.add_task("waiting", total=None)

        def pieces() -> Generator[bytes]:
            for data in incoming:
                shown.update(task, completed=incoming.bytes, description=timing(incoming))
                yield data

        yield pieces()


def timing(incoming: Incoming) -> str:
    """How much audio there is, and how soon it began: "2.1 s of audio, the first after 35 ms"."""
    first = f"the first after {1000 * (incoming.first_audio or 0):.0f} ms"
    if incoming.audio_seconds is None:
        return first
    return f"{incoming.audio_seconds:.1f} s of audio, {first}"


def summary(incoming: Incoming) -> str:
    """The same after its end, with its size and its seed."""
    seed = "" if incoming.seed is None else f", seed {incoming.seed}"
    return f"{decimal(incoming.bytes)}, {timing(incoming)}{seed}"


def warn_of_ignored(names: Iterable[str]) -> None:
    """Name the parameters that had no effect, on the standard error."""
    if listed := ", ".join(names):
        typer.echo(f"Of no effect with this server's engine: {listed}.", err=True)
