"""`serve-app voices`: the voices of a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from serve_app.cli.failures import print_json, reported
from serve_app.cli.known_voices import KnownVoice, known_voices
from serve_app.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, examples
from serve_app.client import Client, VoiceInfo

voices = typer.Typer(no_args_is_help=True, help="List, add and remove the voices of a server.")


@voices.command(
    "list", epilog=examples("serve-app voices list --search calm", "serve-app voices list --json")
)
def list_voices(
    search: Annotated[str, typer.Option(help="Only those with this in what is said of them.")] = "",
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """List every name that --voice takes: of the library, of the engine, and presets."""
    with reported(as_json), Client(url, api_key=api_key) as client:
        known = known_voices(client, search)
        if as_json:
            print_json([_facts(voice) for voice in known])
        else:
            Console(markup=False, highlight=False).print(_table(known))


@voices.command(
    epilog=examples("serve-app voices add alice.wav --name Alice --tag calm --tag english")
)
def add(
    file: Annotated[
        Path, typer.Argument(help="A recording of the voice.", exists=True, dir_okay=False)
    ],
    name: Annotated[str | None, typer.Option(help="For people to read.")] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="What to find it by; repeat it.")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="Where in the library it lies.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a voice of that name.")
    ] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Add a recording to the library, as a voice that --voice takes."""
    with reported(as_json), Client(url, api_key=api_key) as client:
        voice = client.voices.add(file, name=name, tags=tags, folder=folder, overwrite=overwrite)
        if as_json:
            print_json(voice.model_dump(mode="json"))
        else:
            typer.echo(f"Added {voice.path}: {voice.duration_seconds:.1f} s.")


@voices.command(epilog=examples("serve-app voices remove alice.wav --yes"))
def remove(
    name: Annotated[str, typer.Argument(help="The voice, as `voices list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Remove a voice from the library for good."""
    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("without a terminal to ask at, --yes is needed.")
    if not yes:
        typer.confirm(f"Remove {name} for good?", abort=True)
    with reported(as_json), Client(url, api_key=api_key) as client:
        client.voices.remove(name)
        if as_json:
            print_json({"removed": name})
        else:
            typer.echo(f"Removed {name}.")


def _facts(voice: KnownVoice) -> dict[str, Any]:
    about = voice.info.model_dump(mode="json") if voice.info else {}
    return {"voice": voice.name, "kind": voice.kind, **about}


def _table(known: list[KnownVoice]) -> Table:
    table = Table("voice", "kind", "name", "seconds", "tags", box=SIMPLE_HEAD)
    for column in table.columns:
        column.overflow = "fold"
    for voice in known:
        table.add_row(voice.name, voice.kind, *_described(voice.info))
    return table


def _described(info: VoiceInfo | None) -> tuple[str, ...]:
    return (info.name, f"{info.duration_seconds:.1f}", ", ".join(info.tags)) if info else ()
