"""`serve-app check-config`: whether a config file is valid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONFIG = Path("configs/serve.yaml")


def check_config(
    config: Annotated[Path, typer.Argument(help="A Ray Serve config file.")] = DEFAULT_CONFIG,
) -> None:
    """Check a config file without starting anything."""
    from serve_app.cli.config_file import load  # the settings and engines, of which it takes many

    load(config)
    typer.echo(f"{config} is valid.")
