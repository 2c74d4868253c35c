"""Shows the figures of benchmarks.http: a table for the terminal and a plot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.http_figures import CELL_METRICS
from benchmarks.report import Figures, print_table
from benchmarks.servers import Mode

COLORS = {Mode.PLAIN: "#9a9a9a", Mode.DEFAULTS: "#7fb2d9", Mode.PRODUCTION: "#1f5f8b"}
CELL_NAME = re.compile(rf"({'|'.join(Mode)})_(\d+_[a-z]+_[a-z0-9]+)_({'|'.join(CELL_METRICS)})")


@dataclass(frozen=True)
class Row:
    """The metrics of one load on one server."""

    mode: Mode
    load: str
    metrics: dict[str, float]


def rows_of(figures: Figures) -> list[Row]:
    """Collect the figures of each server and load, load by load."""
    rows: dict[tuple[str, str], Row] = {}
    for name, number in figures.items():
        if found := CELL_NAME.fullmatch(name):
            mode, load, metric = found.groups()
            row = rows.setdefault((load, mode), Row(Mode(mode), load, {}))
            row.metrics[metric] = number
    loads = list(dict.fromkeys(row.load for row in rows.values()))
    return sorted(
        rows.values(), key=lambda row: (loads.index(row.load), list(Mode).index(row.mode))
    )


def print_cells(figures: Figures) -> None:
    """Print what each server did with each load."""
    head = (
        "clients, text, format",
        "server",
        "p50 ms",
        "p95",
        "p99",
        "audio-s/s",
        "CPU ms/audio-s",
    )
    shown = ("ttfb_p50_ms", "ttfb_p95_ms", "ttfb_p99_ms", "audio_rate")
    rows = [
        (
            row.load.replace("_", " "),
            row.mode.value,
            *(f"{row.metrics[metric]:.0f}" for metric in shown),
            f"{row.metrics['cpu_ms_per_audio_s']:.1f}",
            f"{row.metrics['underruns']:.0f}",
        )
        for row in rows_of(figures)
    ]
    print_table((*head, "ran dry"), rows)
    if "raw_audio_rate" in figures:
        print(
            f"raw engine: {figures['raw_audio_rate']:.0f} audio-s/s, "
            f"{figures['raw_cpu_ms_per_audio_s']:.1f} ms CPU per audio-s\n"
        )


def save_plot(path: Path, figures: Figures) -> None:
    """Draw time to first audio, throughput and CPU of each server under each load."""
    rows = rows_of(figures)
    loads = list(dict.fromkeys(row.load for row in rows))
    figure, panels = plt.subplots(3, 1, figsize=(11, 11), sharex=True, layout="constrained")
    latency, throughput, cpu = panels
    _draw_bars(latency, rows, loads, "ttfb_p50_ms", spread="ttfb_p95_ms")
    latency.set(yscale="log", ylabel="time to first audio, ms\n(bar p50, line to p95)")
    _draw_bars(throughput, rows, loads, "audio_rate")
    throughput.set(ylabel="seconds of audio per second")
    _draw_bars(cpu, rows, loads, "cpu_ms_per_audio_s")
    cpu.set(ylabel="CPU ms per second of audio\n(all server processes)")
    for panel, raw in ((throughput, "raw_audio_rate"), (cpu, "raw_cpu_ms_per_audio_s")):
        if raw in figures:
            panel.axhline(figures[raw], color="#c0392b", linestyle="--", label="raw engine")
    cpu.set_xticks(range(len(loads)), [load.replace("_", "\n") for load in loads])
    figure.legend(*throughput.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_bars(
    panel: Axes, rows: list[Row], loads: list[str], metric: str, spread: str | None = None
) -> None:
    modes = [mode for mode in Mode if any(row.mode is mode for row in rows)]
    width = 0.8 / max(1, len(modes))
    for offset, mode in enumerate(modes):
        same = [row for row in rows if row.mode is mode]
        places = [loads.index(row.load) - 0.4 + width * (offset + 0.5) for row in same]
        heights = [row.metrics[metric] for row in same]
        above = [row.metrics[spread] - row.metrics[metric] for row in same] if spread else None
        errors = None if above is None else ([0.0] * len(above), above)
        panel.bar(places, heights, width, label=mode.value, color=COLORS[mode], yerr=errors)
    panel.grid(axis="y", alpha=0.3)
    panel.set_axisbelow(True)
