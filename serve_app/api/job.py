"""What a route has decided before any audio is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from serve_app.audio.process import Processor
from serve_app.domain.types import AudioFormat, PcmChunk, Samples
from serve_app.library.outputs import OutputDraft

Finisher = Callable[[Samples], Samples]
"""Work on the whole signal that only the stored files get, such as loudness: [n] -> [n]."""


async def _nothing_more() -> None:
    """There is nothing to tidy up."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that is decided about one output before it is made."""

    draft: OutputDraft
    streamed: AudioFormat
    sample_rate: int  # Hz of the chunks
    chunks: AsyncGenerator[PcmChunk, None]  # not yet begun
    message: str  # what JSON mode says when it is done
    processors: Callable[[], list[Processor]] = list
    finisher: Finisher | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # of the stream
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the JSON answer
    characters: int = 0  # of the text that is spoken
    words: bool | None = None  # whether the words' times are told; None is not asked for
    duration_names: tuple[str, ...] = ("duration_seconds",)  # what that calls the duration
    tidy_up: Callable[[], Awaitable[None]] = _nothing_more  # awaited when all is over
