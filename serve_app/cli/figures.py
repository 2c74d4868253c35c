"""The figures of a load on a server."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from serve_app.cli.load import Heard, Load

_PERCENTILES = (50, 95, 99)


def facts(load: Load, heard: Heard) -> dict[str, Any]:
    """What `--json` prints; times in seconds, percentiles null where nothing was heard."""
    return {
        "clients": load.clients,
        "format": load.audio_format,
        "streams": len(heard.streams),
        "first_audio_seconds": _percentiles(stream.first_audio for stream in heard.streams),
        "total_seconds": _percentiles(stream.total for stream in heard.streams),
        "real_time_factor": _percentiles(stream.real_time_factor for stream in heard.streams),
        "wall_seconds": heard.wall_seconds,
        "audio_seconds": heard.audio_seconds,
        "audio_seconds_per_second": heard.audio_rate,
        "ran_dry": sum(stream.ran_dry for stream in heard.streams),
        "longest_gap_seconds": max((stream.longest_gap for stream in heard.streams), default=0.0),
        "errors": dict(heard.errors),
    }


def report(title: str, load: Load, heard: Heard) -> None:
    """Print the same for people."""
    told = facts(load, heard)
    shown = Table(title, *(f"p{percent}" for percent in _PERCENTILES), box=SIMPLE_HEAD)
    shown.add_row("first audio, ms", *_cells(told["first_audio_seconds"], ".0f", 1000))
    shown.add_row("whole stream, s", *_cells(told["total_seconds"], ".2f"))
    shown.add_row("real-time factor", *_cells(told["real_time_factor"], ".3f"))
    console = Console(highlight=False, markup=False)
    console.print(shown)
    console.print(
        f"{len(heard.streams)} streams to {load.clients} clients in {heard.wall_seconds:.1f} s: "
        f"{heard.audio_rate:.1f} seconds of audio per second.\n"
        f"{told['ran_dry']} ran dry; the longest gap was {told['longest_gap_seconds']:.3f} s."
    )
    for message, times in heard.errors.most_common():
        console.print(f"{times} failed: {message}")


def _cells(percentiles: Mapping[str, float | None], form: str, unit: float = 1.0) -> list[str]:
    return ["" if value is None else format(value * unit, form) for value in percentiles.values()]


def _percentiles(values: Iterable[float]) -> dict[str, float | None]:
    ordered = sorted(values)
    return {f"p{percent}": _percentile(ordered, percent) for percent in _PERCENTILES}


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The least of the values that so many percent of them do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
