"""The two seams of the service: engines below the replica, backends below the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

from serve_app.domain.deadline import Stream
from serve_app.domain.errors import SpeechServiceError
from serve_app.domain.types import (
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
    ConversionRequest,
    EngineLoad,
    Joining,
    PcmChunk,
    Samples,
    SpeechRequest,
    VoiceShape,
)

Profile = TypeVar("Profile")
"""What an engine knows of a voice: a type of its own, immutable."""

Task = TypeVar("Task")
"""What an engine is asked to make for one listener: a type of its own."""


class Steps(Protocol):
    """Audio yet to be made: each `next` is one piece of work. Generators are `Steps`."""

    def __iter__(self) -> Self: ...

    def __next__(self) -> PcmChunk: ...

    def close(self) -> None:
        """Abandon the rest."""
        ...


class SpeechEngine(Protocol):
    """Text in, PCM out. Plain and blocking: no asyncio, no HTTP, no Ray.

    One thread drives an engine, but it interleaves the steps of many requests, so what `speak`
    returns must keep its state to itself.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def speak(self, request: SpeechRequest) -> Steps:
        """The speech in order. Each step is one bounded piece of work (at most a few tens of
        milliseconds of computing where the model allows it), and the first is the smallest, so that
        a scheduler can serve many listeners by turns. Closing the steps abandons the rest. With
        `word_timings`, each word of the text comes with the step in which it begins to be heard.

        Raises:
            InvalidRequest: the engine cannot pronounce the text.
            GenerationFailed: the model failed.
        """
        ...


class VoiceLearner(Protocol, Generic[Profile]):
    """An engine that learns a voice from a recording."""

    def analyse(self, samples: Samples) -> Profile:
        """What there is to know of the voice in samples [n] of the engine's rate. May be called
        from any thread.

        Raises:
            InvalidRequest: there is no voice in it that could be learned.
        """
        ...

    def dump(self, profile: Profile) -> bytes:
        """A profile as bytes to keep in a store; holds nothing that is executed when loaded."""
        ...

    def load(self, data: bytes) -> Profile:
        """The profile that `dump` made bytes of.

        Raises:
            ValueError: the bytes are damaged or of another version.
        """
        ...


class CloningEngine(SpeechEngine, VoiceLearner[Profile], Protocol):
    """A speech engine whose capabilities say that it speaks in the voice of a recording."""

    def speak_as(self, request: SpeechRequest, profile: Profile) -> Steps:
        """The same as `speak`, in the voice of `profile`."""
        ...


class Conversion(Protocol):
    """One stream of speech on its way into another voice; it keeps its own state.

    A thread drives many conversions by turns: each step is one bounded piece of work (at most a few
    tens of milliseconds of computing where the model allows it). The steps of a push are run to
    their end before the next is asked for. What comes out may lag behind what went in, and in the
    end has as many samples.
    """

    def push(self, samples: Samples) -> Steps:
        """Take samples [n] and make what they bring out, often nothing."""
        ...

    def finish(self) -> Steps:
        """Make what was held back; called once, after the last `push`."""
        ...


class ConversionEngine(VoiceLearner[Profile], Protocol):
    """Speech in, the same speech in another voice out. Plain and blocking, like `SpeechEngine`."""

    @property
    def capabilities(self) -> ConversionCapabilities: ...

    def convert(
        self, source: Profile | None, target: Profile | VoiceShape, joining: Joining
    ) -> Conversion:
        """Begin a conversion; `source` is None where the engine wants to hear nothing of it, and
        `target` is a shape only where its capabilities say that it makes voices of them."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery(Generic[Task]):
    """What a piece of work brought one listener: audio, the end of its task, or why it failed."""

    stream: Stream[Task]
    result: PcmChunk | SpeechServiceError | None  # None is the end


class Core(Protocol, Generic[Task]):
    """What the thread of an engine runs: the tasks of many listeners, one piece of work at a time.

    Only that thread calls it, so it needs no locks.
    """

    @property
    def busy(self) -> bool:
        """Whether there is work."""
        ...

    @property
    def load(self) -> EngineLoad: ...

    def add(self, stream: Stream[Task]) -> None:
        """Take up `stream.work`, for a new listener or one whose last task has ended."""
        ...

    def remove(self, stream: Stream[Task]) -> None:
        """Forget a listener; nothing more is delivered to it."""
        ...

    def step(self) -> Sequence[Delivery[Task]]:
        """Do the piece of work that is needed most, and say what it brought to whom.

        Raises:
            EngineBroken: nothing more can be made.
        """
        ...


@runtime_checkable
class BatchingEngine(Protocol, Generic[Task]):
    """An engine that serves many listeners with one step; the others take turns.

    What it makes (`speak`, `push`, `finish`) are tasks of its own core.
    """

    def core(self) -> Core[Task]:
        """What its thread is to run."""
        ...


class SpeechBackend(Protocol):
    """Where the API sends speech requests; the Ray handle is behind it."""

    @property
    def capabilities(self) -> Capabilities: ...

    def speak(self, request: SpeechRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the speech of `request` in order. Closing the generator cancels the synthesis.

        Raises:
            InvalidRequest, GenerationFailed, Overloaded, ModelNotLoaded
        """
        ...

    async def status(self) -> BackendStatus:
        """The replicas behind this backend."""
        ...


class ConversionBackend(Protocol):
    """Where the API sends conversion requests; the Ray handle is behind it."""

    @property
    def capabilities(self) -> ConversionCapabilities: ...

    def convert(self, request: ConversionRequest) -> AsyncGenerator[PcmChunk, None]:
        """Stream the conversion of `request` in order. Closing the generator cancels it.

        Raises:
            InvalidRequest, GenerationFailed, Overloaded, ModelNotLoaded
        """
        ...

    async def status(self) -> BackendStatus:
        """The replicas behind this backend."""
        ...
