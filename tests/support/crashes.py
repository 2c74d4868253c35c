"""Crashes of a process between any two steps of what it does to store and catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from serve_app.library.blobs import Blobs
from serve_app.library.catalogue import Catalogue, Claim
from serve_app.library.library import Library
from tests.support.library import World, crash

Operation = Callable[[Library], Awaitable[object]]
_STORE_STEPS = ("put_file", "put_bytes", "delete")
_CATALOGUE_STEPS = ("reserve", "publish", "withdraw", "doom", "remove")


class _Life:
    """Of a process: ends before the step after the first `steps`."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self.is_over = asyncio.Event()

    def mortal(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def survived(*arguments: object) -> Any:
            if self._left == 0:
                self.is_over.set()
                await asyncio.Event().wait()  # for ever: nothing after it is done, no clean-up
            self._left -= 1
            return await step(*arguments)

        return survived

    def end(self, library: Library) -> None:
        """Make the steps of a library this process's."""
        for shelf in (library.voices, library.vc_inputs, library.outputs):
            self._patch(shelf.blobs, _STORE_STEPS)
        self._patch(library.catalogue, _CATALOGUE_STEPS)
        library.catalogue.claim = self._claiming(library.catalogue)  # type: ignore[method-assign]

    def _patch(self, thing: Blobs | Catalogue | Claim, steps: tuple[str, ...]) -> None:
        for name in steps:
            setattr(thing, name, self.mortal(getattr(thing, name)))

    def _claiming(self, catalogue: Catalogue) -> Any:
        original = catalogue.claim

        @asynccontextmanager
        async def claim(*arguments: Any) -> AsyncIterator[Claim]:
            async with original(*arguments) as taken:
                self._patch(taken, ("save", "remove"))
                yield taken

        return claim


async def each_crash(
    world: World, library: Library, prepare: Operation, operation: Operation
) -> AsyncIterator[int]:
    """Let a process crash in `operation` after each number of steps, from none to all but one.

    Yields that number each time, with what it left behind still there; `library` lives.
    """
    steps = 0
    while True:
        await prepare(library)
        life = _Life(steps)
        async with world.open() as dying:
            life.end(dying)
            working = asyncio.ensure_future(operation(dying))
            ending = asyncio.create_task(life.is_over.wait())
            await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                ending.cancel()
                await working
                return
            await crash(library.catalogue)
            yield steps
            making = dying.outputs._maker._making.values()  # pyright: ignore[reportPrivateUsage]
            for task in (working, *making):
                task.cancel()
            await asyncio.wait([working])
        steps += 1
