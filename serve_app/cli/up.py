"""`serve-app up`: run the service on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.check_config import DEFAULT_CONFIG


class Proxy(StrEnum):
    """What accepts HTTP connections."""

    HAPROXY = "haproxy"
    SERVE = "serve"


def up(
    config: Annotated[Path, typer.Option(help="A Ray Serve config file.")] = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", min=1, max=65535)] = None,
    replicas: Annotated[
        int | None, typer.Option(help="Run exactly this many TTS replicas.", min=1)
    ] = None,
    proxy: Annotated[
        Proxy | None, typer.Option(help="HAProxy (faster, Linux) or Serve's own proxy.")
    ] = None,
    production: Annotated[
        bool, typer.Option("--production", help="Be reachable from other machines.")
    ] = False,
) -> None:
    """Start the service on this machine and keep it until Ctrl-C.

    Without --production nothing of it can be reached from another machine.
    """
    # What runs a service is not to be loaded by the commands that only talk to one.
    from serve_app.cli.config_file import load, place, set_replicas
    from serve_app.cli.running import run, uses_haproxy
    from serve_app.deployments.local import LocalOptions

    serve_config = load(config)
    address = place(serve_config, host or ("0.0.0.0" if production else None), port)
    if replicas:
        set_replicas(serve_config, replicas)
    haproxy = uses_haproxy(None if proxy is None else proxy is Proxy.HAPROXY)
    run(serve_config, LocalOptions(haproxy=haproxy, loopback=not production), address)
