"""The HTTP path against the raw engine and a plain server, in one run.

    python -m benchmarks.http [--quick] [--json FILE] [--plot FILE]
                              [--only PATTERN] [--modes MODE ...] [--rounds N]

Measured by turns, each alone on the machine: the raw engine in process, a plain uvicorn + FastAPI
server with the same engine, the service with Serve's defaults, the service in production mode (Ray
Serve behind HAProxy), all with one TTS replica; then production mode with two. The second round
goes through them backwards, so that a drift of the machine favours nobody. Clients run in a process
of their own, on the same cores. Every server speaks the same texts.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import http_figures
from benchmarks.engine import measure_in_process
from benchmarks.http_figures import Cell, Measurements, Memory
from benchmarks.http_plot import print_cells, save_plot
from benchmarks.load_client import Load, run_load
from benchmarks.report import Machine, make_parser, publish
from benchmarks.servers import INGRESS, TTS_REPLICA, Mode, Server, start_server
from benchmarks.texts import Workload

IDLE_SECONDS = 3.0
WARM_UP = Load(Workload.PARAGRAPH, clients=8, requests=1)
LONGEST = Load(Workload.LIMIT, clients=1, requests=1)
STAGGER = 0.1
"""Seconds between the arrivals of clients who ask for long texts: each finds others being served,
which is what a long text does to a server. Started together, all would only wait for each other."""
QUICK_HANG_UP = 6.0  # seconds: well after the last first byte, long before the last one


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    loads: tuple[Load, ...]
    modes: tuple[Mode, ...]
    rounds: int
    paragraphs: int  # that the raw engine speaks each time

    @property
    def scaling_load(self) -> Load | None:
        """The load that two replicas are measured with."""
        if Mode.PRODUCTION not in self.modes:
            return None
        name = http_figures.THROUGHPUT_LOAD
        return next((load for load in self.loads if load.name == name), None)


QUICK = (
    Load(Workload.SHORT, 1, 12),
    Load(Workload.PARAGRAPH, 8, 5),
    Load(Workload.PARAGRAPH, 32, 1),
    Load(Workload.LONG, 32, 1, stagger=STAGGER, hang_up_after=QUICK_HANG_UP),
)
FULL = (
    Load(Workload.SHORT, 1, 40),
    Load(Workload.SHORT, 8, 6),
    Load(Workload.SHORT, 32, 3),
    Load(Workload.PARAGRAPH, 1, 6),
    Load(Workload.PARAGRAPH, 8, 5),
    Load(Workload.PARAGRAPH, 32, 1),
    Load(Workload.LONG, 1, 1),
    Load(Workload.LONG, 8, 1, stagger=STAGGER),
    Load(Workload.LONG, 32, 1, stagger=STAGGER),
    Load(Workload.SHORT, 1, 20, "mp3"),
    Load(Workload.PARAGRAPH, 8, 1, "mp3"),
)


def run(plan: Plan) -> Measurements:
    """Measure everything in the plan."""
    measured = Measurements()
    for number in range(plan.rounds):
        for measure in _round(plan)[:: -1 if number % 2 else 1]:
            measure(measured)
    return measured


def _round(plan: Plan) -> list[Callable[[Measurements], None]]:
    blocks = [functools.partial(measure_engine, plan.paragraphs)]
    for mode in plan.modes:
        measure = measure_plain if mode is Mode.PLAIN else functools.partial(measure_service, mode)
        blocks.append(functools.partial(measure, plan.loads))
    if (load := plan.scaling_load) is not None:
        blocks.append(functools.partial(measure_two_replicas, load))
    return blocks


def measure_engine(paragraphs: int, measured: Measurements) -> None:
    """The raw engine, once."""
    cost = measure_in_process(paragraphs)
    _say(f"raw engine: {cost.audio_rate:.0f} audio-s/s, {cost.synthesis_cpu:.1f} ms CPU/audio-s")
    measured.engine.append(cost)


def measure_plain(loads: tuple[Load, ...], measured: Measurements) -> None:
    """The plain server through all loads, once."""
    with start_server(Mode.PLAIN) as server:
        run_load(WARM_UP, server.port)
        measured.cells += [measure_load(server, load) for load in loads]


def measure_service(mode: Mode, loads: tuple[Load, ...], measured: Measurements) -> None:
    """The service in one mode through all loads, once, and what it takes besides."""
    with start_server(mode) as server:
        run_load(WARM_UP, server.port)
        measured.idle_cpu[mode] = measure_idle(server)
        ingress_growth, tts_growth = measure_growth(server)
        measured.cells += [measure_load(server, load) for load in loads]
        ingress, tts = _resident(server)
        measured.memory.append(Memory(mode, ingress, ingress_growth, tts, tts_growth))


def measure_growth(server: Server) -> tuple[float, float]:
    """MiB by which the longest request grows ingress and TTS replica, which are warm."""
    before = _resident(server)
    run_load(LONGEST, server.port)
    after = _resident(server)
    return after[0] - before[0], after[1] - before[1]


def measure_two_replicas(load: Load, measured: Measurements) -> None:
    """Production mode with two TTS replicas, once."""
    with start_server(Mode.PRODUCTION, replicas=2) as server:
        run_load(WARM_UP, server.port)
        measured.two_replicas.append(measure_load(server, load))


def measure_load(server: Server, load: Load) -> Cell:
    """One load on a running server, with the CPU time of all its processes."""
    before = server.cpu_seconds()
    result = run_load(load, server.port)
    used = _cpu_between(before, server.cpu_seconds())
    _say(
        f"{server.mode} {load.name}: TTFB p50 {result.first_audio_ms(50):.0f} ms, "
        f"{result.audio_rate:.0f} audio-s/s, {result.underruns} ran dry {result.errors or ''}"
    )
    return Cell(server.mode, load, result, cpu=used / result.audio_seconds * 1000)


def measure_idle(server: Server) -> float:
    """Cores that an idle server uses."""
    before = server.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    return _cpu_between(before, server.cpu_seconds()) / IDLE_SECONDS


def _cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU seconds used; a process that began meanwhile counts whole."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def _resident(server: Server) -> tuple[float, float]:
    return server.resident_mb(INGRESS), server.resident_mb(TTS_REPLICA)


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def make_plan(options: argparse.Namespace) -> Plan:
    """The plan that the command line asks for."""
    loads = QUICK if options.quick else FULL
    if options.only:
        loads = tuple(load for load in FULL if fnmatch.fnmatch(load.name, options.only))
    return Plan(
        loads=loads,
        modes=tuple(options.modes),
        rounds=options.rounds or (1 if options.quick else 2),
        paragraphs=8 if options.quick else 32,
    )


def main() -> None:
    """Measure, print and save."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", metavar="PATTERN", help="loads by name, such as '32_*_wav'")
    parser.add_argument("--modes", nargs="+", type=Mode, default=list(Mode), metavar="MODE")
    parser.add_argument("--rounds", type=int, metavar="N")
    options = parser.parse_args()
    machine = Machine.this_one()
    figures = http_figures.compute_figures(run(make_plan(options)))
    print_cells(figures)
    publish(options, figures, http_figures.TARGETS, machine, save_plot)


if __name__ == "__main__":
    main()
