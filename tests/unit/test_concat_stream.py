"""Joined audio is made in a thread, and who leaves meanwhile closes it cleanly."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

import numpy as np
import pytest

from serve_app.api import concat
from serve_app.api.concat_models import ConcatFields
from serve_app.domain.types import PcmChunk

PIECE = PcmChunk(np.ones(10, np.int16), 24_000)


class Threads:
    """The part of the services that is used."""

    async def in_thread(self, work: object) -> object:
        return await asyncio.to_thread(work)  # type: ignore[arg-type]


async def test_leaving_while_a_piece_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, gate, closed = threading.Event(), threading.Event(), threading.Event()

    def joined(*_: object) -> Generator[PcmChunk]:
        try:
            yield PIECE
            entered.set()
            gate.wait(10)
            yield PIECE
        finally:
            closed.set()

    monkeypatch.setattr(concat, "concatenate", joined)
    chunks = concat._chunks(Threads(), (), 24_000, ConcatFields())  # type: ignore[arg-type]
    assert await anext(chunks) is PIECE
    leaving = asyncio.ensure_future(anext(chunks))
    await asyncio.to_thread(entered.wait, 10)
    leaving.cancel()
    await asyncio.sleep(0)
    assert not closed.is_set()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert closed.is_set()
