"""The two seams of the service: engines below the replica, backends below the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Generic, Protocol, TypeVar

from serve_app.domain.types import (
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
    ConversionRequest,
    Joining,
    PcmChunk,
    Samples,
    SpeechRequest,
)

Profile = TypeVar("Profile")
"""What a conversion engine knows of a voice: a type of its own, immutable."""


class SpeechEngine(Protocol):
    """Text in, PCM out. Plain and blocking: no asyncio, no HTTP, no Ray.

    One thread drives an engine, but it interleaves many `speak` generators, so a generator must
    keep its state to itself.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def speak(self, request: SpeechRequest) -> Generator[PcmChunk, None, None]:
        """Yield the speech in order. Each step is one bounded piece of work (at most a few tens of
        milliseconds of computing where the model allows it), and the first is the smallest, so that
        a scheduler can serve many listeners by turns. Closing the generator abandons the rest.

        Raises:
            InvalidRequest: the engine cannot pronounce the text.
            GenerationFailed: the model failed.
        """
        ...


class Conversion(Protocol):
    """One stream of speech on its way into another voice; it keeps its own state.

    A thread drives many conversions by turns: each step of a generator is one bounded piece of
    work (at most a few tens of milliseconds of computing where the model allows it). A generator
    is run to its end before the next one is asked for. What comes out may lag behind what went
    in, and in the end has as many samples.
    """

    def push(self, samples: Samples) -> Generator[PcmChunk, None, None]:
        """Take samples [n] and yield what they bring out, often nothing."""
        ...

    def finish(self) -> Generator[PcmChunk, None, None]:
        """Yield what was held back; called once, after the last `push`."""
        ...


class ConversionEngine(Protocol, Generic[Profile]):
    """Speech in, the same speech in another voice out. Plain and blocking, like `SpeechEngine`."""

    @property
    def capabilities(self) -> ConversionCapabilities: ...

    def analyse(self, samples: Samples) -> Profile:
        """What there is to know of the voice in samples [n] of the engine's rate.

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

    def convert(self, source: Profile | None, target: Profile, joining: Joining) -> Conversion:
        """Begin a conversion; `source` is None where the engine wants to hear nothing of it."""
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
