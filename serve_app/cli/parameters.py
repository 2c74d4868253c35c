"""The parameters of a speech request, from the options of a command."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

import typer

from serve_app.client import SpeechOptions

_SET_OTHERWISE = frozenset(
    {
        "text", "format", "formats", "export_formats", "return_format", "response_mode",
        "stream_format", "timestamps",
    }
)  # fmt: skip


def speech_options(assignments: Iterable[str] | None, **options: Any) -> SpeechOptions:
    """The named options, and those of `--set NAME=VALUE`, where a value is JSON or else text.

    Raises:
        typer.BadParameter: an assignment is none, or of a field that has an option of its own.
    """
    assigned = dict(map(_parsed, assignments or ()))
    return cast("SpeechOptions", {**options, **assigned})


def _parsed(assignment: str) -> tuple[str, Any]:
    name, equals, value = assignment.partition("=")
    if not (equals and name.isidentifier()):
        raise typer.BadParameter(f"--set takes NAME=VALUE, and {assignment!r} is not that.")
    if name in _SET_OTHERWISE:
        raise typer.BadParameter(f"--set cannot change {name}; the command has its own way.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
    except RecursionError:
        raise typer.BadParameter(f"--set {name}: its value is too deep.") from None
