"""From measurements to figures: what each server did with each load, and how they compare.

Names of figures: `MODE_LOAD_METRIC` for what was measured, such as
`production_32_paragraph_wav_ttfb_p50_ms`; `ttfb_ratio_LOAD` and the like for production mode
against the plain server or the raw engine, and `defaults_ttfb_ratio_LOAD` for Serve's defaults.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from benchmarks.engine import EngineCost
from benchmarks.load_client import Load, LoadResult
from benchmarks.report import Bound, Figures, Target
from benchmarks.servers import Mode

THROUGHPUT_LOAD = "32_paragraph_wav"
CPU_LOAD = "8_paragraph_wav"

TARGETS = (
    Target("raw_share_32_paragraph_wav", Bound.AT_LEAST, 0.95),
    Target("two_replicas_over_one_32_paragraph_wav", Bound.AT_LEAST, 1.5),
    Target("cpu_ratio_paragraph_wav", Bound.AT_MOST, 1.15),
    Target("ttfb_ratio_1_short_wav", Bound.AT_MOST, 0.8),
    Target("ttfb_ratio_8_paragraph_wav", Bound.AT_MOST, 0.25),
    Target("ttfb_ratio_32_paragraph_wav", Bound.AT_MOST, 0.5),
    Target("ttfb_ratio_32_long_wav", Bound.AT_MOST, 0.1),
    Target("underruns", Bound.AT_MOST, 0),
    Target("errors", Bound.AT_MOST, 0),
    Target("mp3_cpu_over_synthesis", Bound.AT_MOST, 1),
    Target("ingress_rss_mb", Bound.AT_MOST, 250),
    Target("tts_replica_rss_mb", Bound.AT_MOST, 400),
    Target("ingress_growth_mb", Bound.AT_MOST, 20),
    Target("tts_growth_mb", Bound.AT_MOST, 20),
)


@dataclass(frozen=True)
class Cell:
    """One load on one server, once."""

    mode: Mode
    load: Load
    result: LoadResult
    cpu: float  # milliseconds per second of audio, all processes of the server

    @property
    def key(self) -> str:
        """The beginning of its figures' names."""
        return f"{self.mode}_{self.load.name}"


@dataclass(frozen=True)
class Memory:
    """Resident memory of the replicas in MiB, and its growth by the longest request."""

    mode: Mode
    ingress: float
    ingress_growth: float
    tts: float
    tts_growth: float


@dataclass
class Measurements:
    """Everything that one run has measured."""

    engine: list[EngineCost] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    two_replicas: list[Cell] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    idle_cpu: dict[Mode, float] = field(default_factory=dict)  # cores

    def underruns(self, mode: Mode) -> int:
        """Streams that ran dry, in all loads."""
        cells = [cell for cell in (*self.cells, *self.two_replicas) if cell.mode is mode]
        return sum(cell.result.underruns for cell in cells)

    def errors(self, mode: Mode) -> int:
        """Streams that failed, in all loads."""
        cells = [cell for cell in (*self.cells, *self.two_replicas) if cell.mode is mode]
        return sum(sum(cell.result.errors.values()) for cell in cells)


CELL_METRICS: dict[str, Callable[[Cell], float]] = {
    "ttfb_p50_ms": lambda cell: cell.result.first_audio_ms(50),
    "ttfb_p95_ms": lambda cell: cell.result.first_audio_ms(95),
    "ttfb_p99_ms": lambda cell: cell.result.first_audio_ms(99),
    "audio_rate": lambda cell: cell.result.audio_rate,
    "cpu_ms_per_audio_s": lambda cell: cell.cpu,
    "underruns": lambda cell: cell.result.underruns,
    "least_in_hand_s": lambda cell: min(cell.result.least_in_hand),
    "longest_gap_s": lambda cell: cell.result.longest_gap,
}


def compute_figures(measured: Measurements) -> dict[str, float]:
    """All figures; a metric is the median of its rounds."""
    figures = _engine_figures(measured.engine) | _cell_figures(measured.cells)
    for mode, prefix in ((Mode.PRODUCTION, ""), (Mode.DEFAULTS, "defaults_")):
        if any(cell.mode is mode for cell in measured.cells):
            figures |= _ratios(figures, mode, prefix)
            figures |= _memory_figures(measured.memory, mode, prefix)
            figures[prefix + "underruns"] = measured.underruns(mode)
            figures[prefix + "errors"] = measured.errors(mode)
    figures["plain_underruns"] = measured.underruns(Mode.PLAIN)
    figures["plain_errors"] = measured.errors(Mode.PLAIN)
    figures |= _scaling_figures(measured, figures)
    figures |= {f"{mode}_idle_cpu_cores": cores for mode, cores in measured.idle_cpu.items()}
    return figures


def _engine_figures(costs: list[EngineCost]) -> dict[str, float]:
    if not costs:
        return {}
    synthesis = statistics.median(cost.synthesis_cpu for cost in costs)
    mp3 = statistics.median(cost.mp3_cpu for cost in costs)
    return {
        "raw_audio_rate": statistics.median(cost.audio_rate for cost in costs),
        "raw_cpu_ms_per_audio_s": synthesis,
        "mp3_cpu_ms_per_audio_s": mp3,
        "wav_cpu_ms_per_audio_s": statistics.median(cost.wav_cpu for cost in costs),
        "mp3_cpu_over_synthesis": mp3 / synthesis,
    }


def _cell_figures(cells: Iterable[Cell]) -> dict[str, float]:
    rounds: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        rounds[cell.key].append(cell)
    return {
        f"{key}_{metric}": statistics.median(measure(cell) for cell in same)
        for key, same in rounds.items()
        for metric, measure in CELL_METRICS.items()
    }


def _ratios(figures: Figures, mode: Mode, prefix: str) -> dict[str, float]:
    """Each metric of a mode over the plain server's, and its throughput over the raw engine's."""
    ratios: dict[str, float] = {}
    for name, number in figures.items():
        if not name.startswith(f"{mode}_"):
            continue
        rest = name.removeprefix(f"{mode}_")
        plain = figures.get(f"plain_{rest}")
        if plain and rest.endswith("_ttfb_p50_ms"):
            ratios[f"{prefix}ttfb_ratio_{rest.removesuffix('_ttfb_p50_ms')}"] = number / plain
        if plain and rest == f"{CPU_LOAD}_cpu_ms_per_audio_s":
            ratios[f"{prefix}cpu_ratio_paragraph_wav"] = number / plain
        if rest == f"{THROUGHPUT_LOAD}_audio_rate" and "raw_audio_rate" in figures:
            share = number / figures["raw_audio_rate"]
            ratios[f"{prefix}raw_share_{THROUGHPUT_LOAD}"] = share
    return ratios


def _memory_figures(memory: list[Memory], mode: Mode, prefix: str) -> dict[str, float]:
    """The worst of the rounds."""
    same = [each for each in memory if each.mode is mode]
    if not same:
        return {}
    return {
        f"{prefix}ingress_rss_mb": max(each.ingress for each in same),
        f"{prefix}tts_replica_rss_mb": max(each.tts for each in same),
        f"{prefix}ingress_growth_mb": max(each.ingress_growth for each in same),
        f"{prefix}tts_growth_mb": max(each.tts_growth for each in same),
    }


def _scaling_figures(measured: Measurements, figures: Figures) -> dict[str, float]:
    one = figures.get(f"{Mode.PRODUCTION}_{THROUGHPUT_LOAD}_audio_rate")
    if not measured.two_replicas or one is None:
        return {}
    two = statistics.median(cell.result.audio_rate for cell in measured.two_replicas)
    return {
        f"two_replicas_{THROUGHPUT_LOAD}_audio_rate": two,
        f"two_replicas_over_one_{THROUGHPUT_LOAD}": two / one,
    }
