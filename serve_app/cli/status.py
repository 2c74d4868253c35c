"""`serve-app status`: how a server is, and what it can do."""

from __future__ import annotations

import typer

from serve_app.cli.failures import ExitCode, print_json, reported
from serve_app.cli.known_voices import known_voices
from serve_app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url
from serve_app.client import Client, Health, ServerConfig
from serve_app.client.answers import ReplicaCount


def status(url: Url = DEFAULT_URL, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Show how a server is; the exit code is 0 only when it is healthy."""
    with reported(as_json), Client(url, api_key=api_key) as client:
        health, config = client.health(), client.config()
        voices = [voice.name for voice in known_voices(client)]
        if as_json:
            engines, formats = config.engines.model_dump(), list(config.supported_formats)
            told = {**health.model_dump(), "engines": engines, "formats": formats, "voices": voices}
            print_json({"url": url, **told})
        else:
            typer.echo(_described(url, health, config, len(voices)))
    if health.status != "healthy":
        raise typer.Exit(ExitCode.FAILED)


def _described(url: str, health: Health, config: ServerConfig, voices: int) -> str:
    speech, conversion = config.engines.tts, config.engines.vc
    lines = (
        f"{url} is {health.status}: version {health.version}, up {health.uptime_seconds:.0f} s.",
        f"Speech: {speech.name}, {_running(health.replicas.tts)}, {speech.sample_rate} Hz.",
        f"Conversion: {conversion.name}, {_running(health.replicas.vc)}.",
        f"Languages: {', '.join(speech.languages)}. Voices: {voices}.",
        f"Formats: {', '.join(config.supported_formats)}.",
        *health.warnings,
    )
    return "\n".join(lines)


def _running(replicas: ReplicaCount) -> str:
    running = f"{replicas.running} replica{'' if replicas.running == 1 else 's'}"
    return f"{running}, {replicas.starting} starting" if replicas.starting else running
