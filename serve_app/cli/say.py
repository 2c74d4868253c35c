"""`serve-app say`: speak a text, into a file, into a pipe or on this machine's sound device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from serve_app.cli.display import summary, warn_of_ignored
from serve_app.cli.failures import print_json, reported
from serve_app.cli.incoming import Incoming, spoken
from serve_app.cli.options import DEFAULT_URL, ApiKey, AsJson, Format, Output, TextFile, Url, Voice
from serve_app.cli.parameters import speech_options
from serve_app.cli.receiving import STDOUT, check_output, format_for, new_file, receive
from serve_app.cli.texts import text_from
from serve_app.client import Client, SpeechOptions

_PLAYABLE = "pcm"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be done with a text."""

    text: str
    options: SpeechOptions
    output: Path | None  # where it is kept
    kept: str  # in this format
    plays: bool
    words: bool

    @property
    def formats(self) -> tuple[str, ...]:
        """What the server is asked for; the first comes in while it is spoken."""
        played = (_PLAYABLE,) if self.plays else ()
        return tuple(dict.fromkeys((*played, *((self.kept,) if self.output else ()))))

    @property
    def is_kept_later(self) -> bool:
        """Whether what comes in is not what is kept: that is fetched when it has ended."""
        return len(self.formats) > 1


def say(
    text: Annotated[
        str | None, typer.Argument(help="What to say; `-` or nothing reads the standard input.")
    ] = None,
    file: TextFile = None,
    output: Output = None,
    audio_format: Format = None,
    play: Annotated[bool, typer.Option("--play", help="Play it here while it comes in.")] = False,
    words: Annotated[bool, typer.Option("--words", help="Print when each word is said.")] = False,
    voice: Voice = None,
    language: Annotated[str | None, typer.Option(help="Such as `en`.")] = None,
    speed: Annotated[float | None, typer.Option(help="0.5 to 2; the pitch is kept.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same speech.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 to 2.")] = None,
    exaggeration: Annotated[float | None, typer.Option(help="0 to 2.")] = None,
    cfg_weight: Annotated[float | None, typer.Option(help="0 to 3.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other field of a request; repeat it."
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Speak a text: save it, play it, or pipe it on.

    Without -o and --play it is saved in this folder under a name made of the text. A file has its
    name only when it is whole.
    """
    options = speech_options(
        assignments, voice=voice, language=language, speed=speed, seed=seed,
        temperature=temperature, exaggeration=exaggeration, cfg_weight=cfg_weight,
    )  # fmt: skip
    content, kept = text_from(text, file), format_for(output, audio_format)
    if output is None and not play:
        output = new_file(content, kept)
    plan = _Plan(content, options, output, kept, play, words)
    _check(plan, as_json)
    with reported(as_json), Client(url, api_key=api_key) as client:
        _tell(plan, _said(client, plan), as_json)


def _check(plan: _Plan, as_json: bool) -> None:
    check_output(plan.output, as_json)
    if plan.output == STDOUT and (plan.plays or plan.words):
        raise typer.BadParameter("-o - takes neither --play nor --words; save it with -o FILE.")


def _said(client: Client, plan: _Plan) -> Incoming:
    """The speech, after all of it was kept and heard."""
    with spoken(client, plan.text, plan.formats, plan.options, words=plan.words) as incoming:
        if plan.plays:
            _play(client, plan, incoming)
        else:
            receive(incoming, plan.output)
        return incoming


def _play(client: Client, plan: _Plan, incoming: Incoming) -> None:
    from serve_app.cli.playing import Player  # it brings numpy along, and is seldom wanted

    with Player(incoming.head.sample_rate) as player:
        receive(incoming, None if plan.is_kept_later else plan.output, player.feed)
        if plan.is_kept_later and plan.output:
            client.download(incoming.head.alternatives[plan.kept], plan.output)
        player.finish()


def _tell(plan: _Plan, incoming: Incoming, as_json: bool) -> None:
    warn_of_ignored(incoming.head.ignored)
    if as_json:
        print_json(_facts(plan, incoming))
        return
    if plan.words:
        _tell_words(incoming)
    if plan.output != STDOUT:
        did = f"Saved {plan.output}" if plan.output else "Played"
        typer.echo(f"{did}: {summary(incoming)}.")


def _tell_words(incoming: Incoming) -> None:
    if incoming.words is None:
        typer.echo("The engine cannot tell when it says which word.", err=True)
    for word in incoming.words or ():
        typer.echo(f"{word.start:8.3f} {word.end:8.3f}  {word.word}")


def _facts(plan: _Plan, incoming: Incoming) -> dict[str, Any]:
    facts: dict[str, Any] = {"path": str(plan.output) if plan.output else None, **incoming.facts()}
    if plan.is_kept_later and plan.output:
        facts |= {"format": plan.kept, "bytes": plan.output.stat().st_size}
    if plan.words:
        told = incoming.words
        facts["words"] = None if told is None else [word.model_dump() for word in told]
    return facts
