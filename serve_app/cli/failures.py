"""How a command that talks to a server ends when that fails: one sentence and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any, NoReturn

import typer

from serve_app.client import CannotBeSent, RequestRefused, ServerError, ServerUnreachable


class NoSoundDevice(Exception):
    """There is nothing to play on, or it went away."""


class ExitCode(IntEnum):
    """How a command ended; 0 is well."""

    FAILED = 1  # the server refused or failed, or something is wrong on this machine
    WRONG_USAGE = 2  # of the command line
    UNREACHABLE = 3
    INTERRUPTED = 130  # by Ctrl-C


@contextmanager
def reported(as_json: bool) -> Generator[None]:
    """Tell what goes wrong in the block on the standard error, and as JSON on the standard output.

    Raises:
        typer.Exit: something did, and was told.
    """
    try:
        yield
    except ServerUnreachable as error:
        _end(error, as_json, ExitCode.UNREACHABLE)
    except CannotBeSent as error:
        _end(error, as_json, ExitCode.WRONG_USAGE)
    except (ServerError, NoSoundDevice) as error:
        _end(error, as_json, ExitCode.FAILED)
    except BrokenPipeError:
        raise  # whoever read the standard output has read enough
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _end(OSError(f"{place}{error.strerror or error}."), as_json, ExitCode.FAILED)


def _end(error: Exception, as_json: bool, code: ExitCode) -> NoReturn:
    typer.echo(str(error), err=True)
    if as_json:
        with suppress(OSError):  # of which the error may be
            print_json({"error": {"message": str(error), **_facts(error)}})
    raise typer.Exit(code)


def _facts(error: Exception) -> dict[str, Any]:
    if not isinstance(error, RequestRefused):
        return {}
    return {"status": error.status, "code": error.code, "request_id": error.request_id}


def print_json(value: Any) -> None:
    """One JSON value, on the standard output.

    Raises:
        typer.Exit: there is no standard output.
    """
    if sys.stdout is None:
        raise typer.Exit(ExitCode.FAILED)
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
