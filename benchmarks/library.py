"""What listing, searching and deleting cost, on SQLite and PostgreSQL, over the library's size.

    python -m benchmarks.library [--quick] [--json FILE] [--plot FILE]

Fills catalogues with 1,000, 10,000 and 100,000 outputs, and times each operation on its own,
one after another, as the service asks for it. PostgreSQL is measured where its programs are
installed, with the statistics that its own housekeeping would have gathered within minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib
import numpy as np
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.report import (
    Bound,
    Figures,
    Machine,
    Target,
    make_parser,
    print_table,
    publish,
)
from serve_app.domain.types import Shelf
from serve_app.library.catalogue import Catalogue, State
from serve_app.library.database import Database
from serve_app.library.entries import AudioFacts, Entry, Filter, Origin, PageRequest, SortKey
from serve_app.library.rows import values_of
from serve_app.library.tables import entries
from tests.support.postgres import find_programs, running_postgres

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (1_000, 10_000)
SHELF = Shelf.OUTPUTS
START = datetime(2025, 1, 1, tzinfo=UTC)
LIMIT_MS = 100
COLORS = {"sqlite": "#1f5f8b", "postgresql": "#c0392b"}

Operation = Callable[[Catalogue, int], Awaitable[object]]


@dataclass(frozen=True)
class Timing:
    """One operation on one database."""

    database: str
    size: int  # outputs in the library
    operation: str
    p50: float  # milliseconds
    p95: float

    @property
    def name(self) -> str:
        """As figures name it."""
        return f"{self.database}_{self.size}_{self.operation}"


def make_output(number: int, chance: random.Random) -> Entry:
    """An output as the service names it; every other in one of ten folders."""
    created = START + timedelta(seconds=37 * number)
    folder = f"books/volume {number % 10}/" if number % 2 else ""
    kind = chance.choice(("tts", "tts", "vc"))
    name = f"{kind}_{created:%Y-%m-%d_%H%M%S}_{number:06}_temp0.75_seed{number}.wav"
    seconds = chance.uniform(1, 300)
    parameters = {"text": "It was a bright cold day in April. " * 6, "temperature": 0.75}
    return Entry(
        SHELF,
        folder + name,
        AudioFacts("wav", seconds, 24000, 44 + int(seconds * 48000)),
        created,
        origin=Origin(kind, parameters | {"seed": number}),
        usage_count=number % 7,
        master=folder + name,
    )


def make_listings() -> dict[str, Callable[[int], tuple[Filter, PageRequest]]]:
    """What a listing is asked, given how many outputs there are."""
    first = PageRequest()
    days = timedelta(days=1)
    listings: dict[str, Callable[[int], tuple[Filter, PageRequest]]] = {
        "first_page": lambda _: (Filter(), first),
        "last_page": lambda size: (Filter(), PageRequest(page=size // 50)),
        "folder": lambda _: (Filter(folder="books/volume 3"), first),
        "folder_of_half_last_page": lambda size: (
            Filter(folder="books"),
            PageRequest(page=size // 100),
        ),
        "type": lambda _: (Filter(generation_type="vc"), first),
        "one_day": lambda _: (Filter(created_from=START, created_to=START + days), first),
        "recent_half_by_size": lambda size: (
            Filter(created_from=START + size * timedelta(seconds=18)),
            PageRequest(sort_by=SortKey.SIZE),
        ),
        "search_rare": lambda size: (Filter(search=f"seed{size // 3}."), first),
        "search_absent": lambda _: (Filter(search="nowhere"), first),
        "search_frequent": lambda _: (Filter(search="temp0.75"), first),
        "search_frequent_last_page": lambda size: (
            Filter(search="TEMP0.75"),
            PageRequest(page=size // 50),
        ),
        "search_in_folder_by_duration": lambda _: (
            Filter(search="vc_", folder="books"),
            PageRequest(sort_by=SortKey.DURATION),
        ),
    }
    for key in SortKey:
        listings[f"by_{key}_last_page"] = lambda size, key=key: (
            Filter(),
            PageRequest(page=size // 50, sort_by=key, descending=False),
        )
    return listings


def make_operations() -> dict[str, Operation]:
    """Everything that is measured again and again."""
    operations: dict[str, Operation] = {
        name: lambda catalogue, size, ask=ask: catalogue.page(SHELF, *ask(size))
        for name, ask in make_listings().items()
    }
    operations["folders"] = lambda catalogue, _: catalogue.folders(SHELF)
    operations["get"] = lambda catalogue, _: catalogue.get(SHELF, _path_of(17))
    operations["count_use"] = lambda catalogue, _: catalogue.count_use(SHELF, _path_of(17), START)
    operations["reserve_and_publish"] = _make_one
    operations["retention_none_to_go"] = lambda catalogue, _: catalogue.doom_beyond(
        SHELF, 2**50, START
    )
    return operations


def _path_of(number: int) -> str:
    chance = random.Random(1)
    return [make_output(each, chance).path for each in range(number + 1)][-1]


async def _make_one(catalogue: Catalogue, _: int) -> None:
    made = make_output(random.randrange(10**8, 10**9), random.Random())
    reservation = await catalogue.reserve([made])
    assert reservation is not None
    await catalogue.publish(reservation, [made])


async def fill(url: str, size: int) -> None:
    """Write outputs into an empty database."""
    database = await Database.open(url)
    chance = random.Random(1)
    made = (make_output(number, chance) for number in range(size))
    rows = [values_of(entry) | {"state": State.PRESENT} for entry in made]

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(insert(entries), rows)

    await database.transact(write)
    if url.startswith("postgresql"):
        await database.run(text("VACUUM ANALYZE entries"))
    await database.close()


async def measure(database: str, url: str, size: int, rounds: int) -> list[Timing]:
    """All operations on one library, deletion last."""
    await fill(url, size)
    catalogue = await Catalogue.open(url)
    timings = []
    for name, operation in make_operations().items():
        times = [await _time(operation(catalogue, size)) for _ in range(rounds + 1)][1:]
        timings.append(_timing(database, size, name, times))
    timings += await _measure_deletion(database, catalogue, size)
    await catalogue.close()
    return timings


async def _measure_deletion(database: str, catalogue: Catalogue, size: int) -> list[Timing]:
    """Delete half of everything, by a filter."""
    started = time.perf_counter()
    doomed = await catalogue.doom(SHELF, Filter(folder="books"))
    between = time.perf_counter()
    await catalogue.remove(doomed)
    ended = time.perf_counter()
    assert len(doomed.entries) >= size // 2
    return [
        _timing(database, size, "doom_half", [(between - started) * 1000]),
        _timing(database, size, "remove_half", [(ended - between) * 1000]),
    ]


async def _time(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1000


def _timing(database: str, size: int, operation: str, times: list[float]) -> Timing:
    p50, p95 = np.percentile(times, (50, 95))
    return Timing(database, size, operation, float(p50), float(p95))


def run(sizes: tuple[int, ...], rounds: int) -> list[Timing]:
    """Every database at every size."""
    timings = []
    with databases() as makers:
        for database, make_url in makers.items():
            for size in sizes:
                print(f"{time.strftime('%H:%M:%S')} {database} {size}", file=sys.stderr)
                timings += asyncio.run(measure(database, make_url(), size, rounds))
    return timings


@contextlib.contextmanager
def databases() -> Iterator[dict[str, Callable[[], str]]]:
    """What makes the URL of an empty database, for each kind that is here."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        names = iter(range(len(SIZES)))
        makers = {"sqlite": lambda: f"sqlite:///{folder}/{next(names)}.sqlite3"}
        if (programs := find_programs()) is not None:
            makers["postgresql"] = stack.enter_context(running_postgres(programs)).new_database
        yield makers


def compute_figures(timings: list[Timing]) -> dict[str, float]:
    """All timings by name, and the slowest listing of each database at each size."""
    figures: dict[str, float] = {}
    for timing in timings:
        figures[f"{timing.name}_p50_ms"] = timing.p50
        figures[f"{timing.name}_p95_ms"] = timing.p95
        if timing.operation in make_listings():
            slowest = f"{timing.database}_{timing.size}_slowest_listing_p95_ms"
            figures[slowest] = max(figures.get(slowest, 0.0), timing.p95)
    return figures


def print_timings(timings: list[Timing]) -> None:
    """Print p50 and p95 of each operation, a column for each database and size."""
    columns = list(dict.fromkeys((each.database, each.size) for each in timings))
    cells = {
        (each.operation, each.database, each.size): f"{each.p50:.1f} / {each.p95:.1f}"
        for each in timings
    }
    operations = dict.fromkeys(each.operation for each in timings)
    print_table(
        ("p50 / p95, ms", *(f"{database} {size:,}" for database, size in columns)),
        [(name, *(cells[name, *column] for column in columns)) for name in operations],
    )


def save_plot(path: Path, figures: Figures) -> None:
    """Draw each listing's median over the size of the library."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    for panel, (database, color) in zip(panels, COLORS.items(), strict=True):
        for name in make_listings():
            sizes = [size for size in SIZES if f"{database}_{size}_{name}_p50_ms" in figures]
            medians = [figures[f"{database}_{size}_{name}_p50_ms"] for size in sizes]
            panel.loglog(sizes, medians, "o-", color=color, alpha=0.5)
        panel.axhline(LIMIT_MS, color="#9a9a9a", linestyle="--")
        panel.set(title=database, xlabel="outputs in the library")
    panels[0].set(ylabel="a listing with its total, p50, ms")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


TARGETS = tuple(
    Target(f"{database}_{SIZES[-1]}_slowest_listing_p95_ms", Bound.AT_MOST, LIMIT_MS)
    for database in COLORS
)


def main() -> None:
    """Measure, print and save."""
    options = make_parser(__doc__).parse_args()
    machine = Machine.this_one()
    timings = run(QUICK_SIZES if options.quick else SIZES, 5 if options.quick else 15)
    print_timings(timings)
    publish(options, compute_figures(timings), TARGETS, machine, save_plot)


if __name__ == "__main__":
    main()
