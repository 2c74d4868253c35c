"""Ten processes change the same five voices at once; afterwards everything tells the same.

SERVE_APP_TEST_CONSISTENCY_SECONDS says how long they do.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from serve_app.domain.errors import AlreadyExists, NotFound
from serve_app.domain.types import Shelf
from serve_app.library.entries import Description
from serve_app.library.library import Library, LibraryOptions
from tests.support.consistency import check_consistent
from tests.support.library import World, add, keys, sound

pytest_plugins = ("tests.support.postgres",)

PROCESSES = 10
SECONDS = float(os.environ.get("SERVE_APP_TEST_CONSISTENCY_SECONDS", "2"))
VOICES = [f"folder/voice{number}.wav" for number in range(5)]
SURVIVOR = "survivor.wav"  # used and described, never deleted or overwritten
_START_S = 60
_FEWEST = 30  # actions of a process, however slow the machine is: then each kind was among them


async def _upload(library: Library, path: str, chance: random.Random) -> None:
    with suppress(AlreadyExists):
        samples = sound(str(chance.random()), chance.uniform(0.01, 0.5))
        said = Description(f"by {os.getpid()}", tags=(str(chance.random()),))
        await add(library.voices, path, samples, said, overwrite=chance.random() < 0.7)


async def _use(library: Library, path: str, chance: random.Random) -> None:  # noqa: ARG001
    entry = await library.voices.use(path)
    await library.voices.audio(entry)


async def _describe(library: Library, path: str, chance: random.Random) -> None:
    text = str(chance.random())
    await library.voices.describe(path, lambda _: Description(text, tags=(text,)))


async def _delete(library: Library, path: str, chance: random.Random) -> None:  # noqa: ARG001
    await library.voices.delete(path)


ACTIONS = (_upload, _upload, _use, _use, _describe, _delete)


async def _work(options: LibraryOptions, seed: int) -> Counter[str]:
    """One process: a random action on a random voice, and one on the survivor, until the end."""
    chance = random.Random(seed)
    done: Counter[str] = Counter()
    async with World(options).open() as library:
        sweeping = asyncio.create_task(library.sweeper.run())
        await asyncio.to_thread(_together.barrier.wait, _START_S)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or done.total() < _FEWEST:
            action = chance.choice(ACTIONS)
            with suppress(NotFound):
                await action(library, chance.choice(VOICES), chance)
                done[action.__name__] += 1
            on_survivor = chance.choice((_use, _describe))
            await on_survivor(library, SURVIVOR, chance)
            done[f"{on_survivor.__name__} survivor"] += 1
        sweeping.cancel()
        await asyncio.wait([sweeping])
    return done


class _Together:
    """What a process gets before its work: where all wait until the last is ready."""

    barrier: Barrier


_together = _Together()


def meet_at(barrier: Barrier) -> None:
    """Set up a process."""
    _together.barrier = barrier


def run(options: LibraryOptions, seed: int) -> Counter[str]:
    """What a process of its own does; returns how often each action succeeded."""
    return asyncio.run(_work(options, seed))


@pytest.fixture(params=["sqlite", "postgresql"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> LibraryOptions:
    roots = [str(tmp_path / name) for name in ("voices", "inputs", "outputs")]
    if request.param == "sqlite":
        return LibraryOptions(*roots, f"sqlite:///{tmp_path}/library.sqlite3", scan_interval_s=0.2)
    return LibraryOptions(*roots, request.getfixturevalue("postgres_url"), scan_interval_s=0.2)


async def test_ten_processes_leave_one_truth(options: LibraryOptions) -> None:
    async with World(options).open() as library:
        await add(library.voices, SURVIVOR, description=Description("survivor"))
        done = await _all_at_once(options)
        print(dict(done))
        await library.sweeper.sweep()
        await check_consistent(library)
        used = await library.voices.find(SURVIVOR)
        assert used.usage_count == done["_use survivor"] > 0
        hidden = {key for key in await keys(library.voices.blobs) if key.startswith(".")}
        assert hidden == set()
        assert {row.claimed async for row in library.catalogue.snapshot(Shelf.VOICES)} == {False}
        assert all(done[action.__name__] for action in ACTIONS)


async def _all_at_once(options: LibraryOptions) -> Counter[str]:
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(PROCESSES)
    with spawning.Pool(PROCESSES, meet_at, (barrier,)) as pool:
        jobs = [pool.apply_async(run, (options, seed)) for seed in range(PROCESSES)]
        results = [await asyncio.to_thread(job.get, _START_S + 2 * SECONDS) for job in jobs]
    return sum(results, Counter())
