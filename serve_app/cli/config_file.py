"""A Ray Serve config file, read, checked and changed by the options of `serve-app up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
import yaml

from serve_app.deployments.ports import is_free
from serve_app.engines.registry import check_engines
from serve_app.settings import Settings


def load(path: Path) -> dict[str, Any]:
    """Read and check a config; its relative folders are taken from where the command runs.

    Raises:
        typer.BadParameter: it is not there, or not valid.
    """
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


def place(config: dict[str, Any], host: str | None, port: int | None) -> str:
    """Set where to listen; returns the base URL a client on this machine uses.

    Raises:
        typer.Exit: the port is in use.
    """
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


def set_replicas(config: dict[str, Any], replicas: int) -> None:
    """Run so many TTS replicas, neither more nor fewer."""
    for application in config["applications"]:
        for deployment in application.get("deployments", []):
            if deployment["name"] == "Speech":
                deployment.pop("autoscaling_config", None)
                deployment["num_replicas"] = replicas
