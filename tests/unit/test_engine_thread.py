"""One engine thread serves many streams: in order, each its own, and freed when left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator

import numpy as np
import pytest

from serve_app.deployments.engine_thread import EngineThread
from serve_app.domain.errors import GenerationFailed, InvalidRequest
from serve_app.domain.protocols import SpeechEngine
from serve_app.domain.types import Capabilities, PcmChunk, SpeechRequest
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of


def request(*chunks: str, seed: int = 1) -> SpeechRequest:
    return SpeechRequest(chunks=chunks, seed=seed)


class Worker:
    """An engine and its thread."""

    def __init__(self, engine: SpeechEngine) -> None:
        self.engine = engine
        self.thread = EngineThread.of(engine)

    def speak(self, wanted: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        return self.thread.run(wanted.request_id, self.engine.speak(wanted))


async def collect(worker: Worker, wanted: SpeechRequest) -> list[PcmChunk]:
    return [chunk async for chunk in worker.speak(wanted)]


class ScriptedEngine:
    """Yields a second of silence for each chunk, and writes down whose it was; waits if told to."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        for text in request.chunks:
            self.gate.wait(10)
            self.steps.append(text)
            if text == "refuse":
                raise InvalidRequest("no")
            if text == "break":
                raise ZeroDivisionError
            yield PcmChunk(np.zeros(24_000, np.int16), 24_000)


async def test_streams_do_not_mix() -> None:
    worker = Worker(FakeEngine())
    requests = [request(f"one {n}.", f"two {n}.", f"three {n}.", seed=n + 1) for n in range(20)]
    streams = await asyncio.gather(*(collect(worker, wanted) for wanted in requests))
    for wanted, chunks in zip(requests, streams, strict=True):
        for text, chunk in zip(wanted.chunks, chunks, strict=True):
            np.testing.assert_array_equal(chunk.samples, speech_of(text, wanted.seed))


async def test_a_new_stream_overtakes_one_whose_listener_has_audio() -> None:
    engine = ScriptedEngine()
    worker = Worker(engine)
    engine.gate.clear()
    long = asyncio.create_task(collect(worker, request("a1", "a2", "a3", "a4")))
    await asyncio.sleep(0)
    late = asyncio.create_task(collect(worker, request("b1", "b2")))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(long, late)
    assert engine.steps[:2] == ["a1", "b1"]
    assert [step for step in engine.steps if step.startswith("a")] == ["a1", "a2", "a3", "a4"]


async def test_a_stream_that_is_left_is_not_spoken_on() -> None:
    engine = ScriptedEngine()
    worker = Worker(engine)
    stream = worker.speak(request(*(f"left {n}" for n in range(100))))
    await anext(stream)
    engine.gate.clear()
    await stream.aclose()
    engine.gate.set()
    await collect(worker, request("after"))
    assert len([step for step in engine.steps if step.startswith("left")]) < 100
    assert engine.steps[-1] == "after"


@pytest.mark.parametrize(
    ("text", "error"), [("refuse", InvalidRequest), ("break", GenerationFailed)]
)
async def test_a_broken_stream_does_not_break_the_others(text: str, error: type[Exception]) -> None:
    worker = Worker(ScriptedEngine())
    broken = collect(worker, request("fine", text, "never"))
    whole = collect(worker, request("x", "y", "z"))
    results = await asyncio.gather(broken, whole, return_exceptions=True)
    assert isinstance(results[0], error)
    assert len(results[1]) == 3  # type: ignore[arg-type]


async def test_a_stuck_engine_is_noticed() -> None:
    engine = ScriptedEngine()
    worker = Worker(engine)
    assert worker.thread.stalled_for() == 0
    engine.gate.clear()
    task = asyncio.create_task(collect(worker, request("stuck")))
    async with asyncio.timeout(5):
        while worker.thread.stalled_for() == 0:
            await asyncio.sleep(0.001)
    engine.gate.set()
    await task
    async with asyncio.timeout(5):
        while worker.thread.stalled_for() > 0:
            await asyncio.sleep(0.001)


async def test_a_closed_worker_finishes_what_it_has() -> None:
    worker = Worker(FakeEngine())
    task = asyncio.create_task(collect(worker, request("one.", "two.")))
    await asyncio.sleep(0)
    worker.thread.close()
    assert len(await task) == 2


async def test_a_listener_keeps_what_it_has_heard_over_all_its_steps() -> None:
    """A conversion with audio in hand gives way to a newcomer, however its steps are cut."""
    engine = ScriptedEngine()
    worker = Worker(engine)
    listener = worker.thread.listener("early")
    first = [chunk async for chunk in listener.run(engine.speak(request("a1")))]
    engine.gate.clear()
    waiting = asyncio.create_task(collect(worker, request("gate")))
    async with asyncio.timeout(5):
        while worker.thread.stalled_for() == 0:
            await asyncio.sleep(0.001)

    async def go_on() -> list[PcmChunk]:
        return [chunk async for chunk in listener.run(engine.speak(request("a2")))]

    second = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    late = asyncio.create_task(collect(worker, request("b1")))
    await asyncio.sleep(0)
    engine.gate.set()
    await asyncio.gather(waiting, second, late)
    listener.close()
    assert len(first) == 1
    assert engine.steps == ["a1", "gate", "b1", "a2"]
