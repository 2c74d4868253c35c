"""`serve-app fetch-weights`: get a model's weights to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve_app.engines.chatterbox.models import Family


def fetch_weights(
    model: Annotated[Family, typer.Option(help="The Chatterbox model.")],
    to: Annotated[
        Path | None,
        typer.Option(
            help="The folder to fetch them into; the one that engines look in by default."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="A bucket's URL or hub:OWNER/NAME@COMMIT; the release when left out."
        ),
    ] = None,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Fetch nothing: read and hash what is there.")
    ] = False,
) -> None:
    """Fetch a model's weights into a folder, and check that they are whole."""
    from serve_app.cli.fetching import (
        fetch,
    )  # the engine's modules, for which no other command waits

    fetch(model, to, source, verify_only=verify_only)
