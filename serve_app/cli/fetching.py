"""A model's weights, on their way to this machine."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from serve_app.domain.errors import ModelNotLoaded
from serve_app.engines.chatterbox.models import SPECS, Family, ModelSpec
from serve_app.engines.chatterbox.weights import (
    Kind,
    WeightsSource,
    cache_folder,
    ensure_weights,
    verify,
)


def fetch(model: Family, to: Path | None, source: str | None, *, verify_only: bool) -> None:
    """Fetch a model's weights into `to`, by default where engines look, and check them.

    Raises:
        typer.BadParameter: the source is none.
        typer.Exit: they are not whole, or cannot be written.
    """
    spec = SPECS[model]
    origin = _weights_source(source, spec)
    to = to or cache_folder(origin)
    try:
        if not verify_only:
            _fetch(origin, spec, to)
        verify(to, spec.files, full=verify_only)
    except ModelNotLoaded as error:
        typer.echo(f"{error.message} {error.detail}".strip(), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{to} cannot be written: {error}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{to} holds the model {model}.")


def _weights_source(text: str | None, spec: ModelSpec) -> WeightsSource:
    try:
        source = WeightsSource.parse(text) if text else WeightsSource.released(spec)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if source.kind not in (Kind.BUCKET, Kind.HUB):
        raise typer.BadParameter(f"{text} needs no fetching: a folder is used where it is.")
    return source


def _fetch(source: WeightsSource, spec: ModelSpec, folder: Path) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    ) as display:
        bars: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = display.add_task(name)
            display.update(bars[name], completed=done, total=total)

        ensure_weights(source, spec.files, folder, progress=show)
