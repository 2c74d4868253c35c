"""One engine thread serves many streams: in order, each its own, and freed when left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator

import numpy as np
import pytest

from serve_app.deployments.engine_thread import EngineThread
from serve_app.domain.deadline import Stream
from serve_app.domain.errors import EngineBroken, GenerationFailed, InvalidRequest
from serve_app.domain.protocols import Delivery, SpeechEngine
from serve_app.domain.types import Capabilities, EngineLoad, PcmChunk, SpeechRequest
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of

SECOND = PcmChunk(np.zeros(24_000, np.int16), 24_000)


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


class Chorus:
    """A core that serves everybody with each step, and breaks when it is told to."""

    def __init__(self) -> None:
        self.streams: list[Stream[str]] = []
        self.steps: list[list[str]] = []
        self.broken: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    @property
    def busy(self) -> bool:
        return bool(self.streams)

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(running=len(self.streams))

    def add(self, stream: Stream[str]) -> None:
        self.streams.append(stream)

    def remove(self, stream: Stream[str]) -> None:
        if stream in self.streams:
            self.streams.remove(stream)

    def step(self) -> list[Delivery[str]]:
        self.gate.wait(10)
        if self.broken:
            raise self.broken
        self.steps.append([stream.work for stream in self.streams])
        ended = [stream for stream in self.streams if not stream.work]
        self.streams = [stream for stream in self.streams if stream.work]
        for stream in self.streams:
            stream.work = stream.work[1:]
        return [
            *(Delivery(stream, SECOND) for stream in self.streams),
            *(Delivery(stream, None) for stream in ended),
        ]


class BatchingEngine:
    """Its tasks are words; each letter is a second."""

    def __init__(self, core: Chorus) -> None:
        self._core = core

    def core(self) -> Chorus:
        return self._core


async def sung(thread: EngineThread[str], word: str) -> int:
    return len([chunk async for chunk in thread.run(word, word)])


async def test_an_engine_that_batches_serves_everybody_with_one_step() -> None:
    core = Chorus()
    thread = EngineThread.of(BatchingEngine(core))
    core.gate.clear()
    asked = [asyncio.create_task(sung(thread, word)) for word in ("four", "six...", "two")]
    await asyncio.sleep(0)
    core.gate.set()
    assert await asyncio.gather(*asked) == [4, 6, 3]
    assert core.steps[-1] == [""]
    assert max(map(len, core.steps)) == 3


async def test_a_listener_who_leaves_is_forgotten_by_the_core() -> None:
    core = Chorus()
    thread = EngineThread.of(BatchingEngine(core))
    stream = thread.run("a", "a" * 1000)
    await anext(stream)
    await stream.aclose()
    assert await sung(thread, "after") == 5
    async with asyncio.timeout(5):
        while core.streams:
            await asyncio.sleep(0.001)
    assert len(core.steps) < 1000


async def test_an_engine_that_breaks_fails_everybody_and_its_health() -> None:
    core = Chorus()
    thread = EngineThread.of(BatchingEngine(core))
    thread.check_health(60)
    core.gate.clear()
    asked = [asyncio.create_task(sung(thread, word)) for word in ("one", "two")]
    await asyncio.sleep(0)
    core.broken = EngineBroken("The GPU has gone.")
    core.gate.set()
    for failure in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(failure, GenerationFailed)
        assert failure.message == "The GPU has gone."
    with pytest.raises(RuntimeError, match="broke"):
        thread.check_health(60)
    with pytest.raises(GenerationFailed):
        await sung(thread, "late")


async def test_an_engine_that_is_stuck_is_not_healthy() -> None:
    core = Chorus()
    thread = EngineThread.of(BatchingEngine(core))
    core.gate.clear()
    asked = asyncio.create_task(sung(thread, "one"))
    async with asyncio.timeout(5):
        while thread.stalled_for() == 0:
            await asyncio.sleep(0.001)
    thread.check_health(60)
    with pytest.raises(RuntimeError, match="stuck"):
        thread.check_health(0)
    core.gate.set()
    assert await asked == 3
