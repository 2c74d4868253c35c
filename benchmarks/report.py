"""What every benchmark of the project shares: options, figures, how they are kept and shown.

A benchmark takes `--quick`, `--json FILE` and `--plot FILE`, and saves
`{"figures": {name: number}, "machine": {...}, "date": ...}`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import operator
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

import psutil

PACKAGES = (
    "ray", "onnxruntime", "hibari-tts", "uvicorn", "fastapi", "av", "numpy",
    "torch", "transformers", "chatterbox-tts",
)  # fmt: skip

Figures = Mapping[str, float]


class Bound(StrEnum):
    """On which side of its target a figure should be."""

    AT_LEAST = ">="
    AT_MOST = "<="


@dataclass(frozen=True)
class Target:
    """What a figure should reach."""

    figure: str
    bound: Bound
    value: float

    def is_reached(self, number: float) -> bool:
        """Whether a number is on the right side."""
        return (operator.ge if self.bound is Bound.AT_LEAST else operator.le)(number, self.value)


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    cpu: str
    cores: int
    memory_gb: float
    system: str
    python: str
    load_at_start: float  # of the last minute; above about 0.5 the figures are not to be trusted
    packages: dict[str, str]

    @classmethod
    def this_one(cls) -> Machine:
        """Look at the machine now, before it is loaded."""
        return cls(
            cpu=_cpu_model(),
            cores=len(os.sched_getaffinity(0)),
            memory_gb=round(psutil.virtual_memory().total / 2**30, 1),
            system=platform.platform(),
            python=platform.python_version(),
            load_at_start=round(os.getloadavg()[0], 2),
            packages={name: _version(name) for name in PACKAGES},
        )


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer requests, one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the figures")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save a plot as PNG")
    return parser


def publish(
    options: argparse.Namespace,
    figures: Figures,
    targets: Iterable[Target],
    machine: Machine,
    save_plot: Callable[[Path, Figures], None],
) -> None:
    """End a benchmark: print its figures against their targets, save what the options ask for."""
    print_targets(figures, targets)
    if options.json:
        save_json(options.json, figures, machine)
    if options.plot:
        save_plot(options.plot, figures)


def save_json(path: Path, figures: Figures, machine: Machine) -> None:
    """Save figures where they can be compared with other runs."""
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rounded = {name: round(float(number), 4) for name, number in figures.items()}
    record = {"figures": rounded, "machine": asdict(machine), "date": date}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


def print_targets(figures: Figures, targets: Iterable[Target]) -> None:
    """Print the figures that have a target, and whether each reaches it."""
    rows = []
    for target in targets:
        number = figures.get(target.figure)
        verdict = (
            "not measured"
            if number is None
            else ("reached" if target.is_reached(number) else "MISSED")
        )
        shown = "-" if number is None else f"{number:.3g}"
        rows.append((target.figure, shown, f"{target.bound} {target.value:g}", verdict))
    print_table(("figure", "measured", "target", ""), rows)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as their contents, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        print("  ".join(cells).rstrip())
    print()
