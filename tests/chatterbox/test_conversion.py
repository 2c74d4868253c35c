"""Chatterbox as a conversion engine: any length, however it comes, and as long as it was."""

from __future__ import annotations

import time

import numpy as np
import pytest

from serve_app.domain.deadline import Stream
from serve_app.domain.types import Joining, PcmChunk, Samples
from serve_app.engines.chatterbox.task import Task
from serve_app.engines.chatterbox.voice import Prompt
from tests.chatterbox.engines import converter, joined
from tests.support.voices import RATE, recording

ROUNDING = 2


@pytest.fixture(scope="module")
def target() -> Prompt:
    return converter().analyse(recording("de_Anton"))


def source(seconds: float) -> Samples:
    return np.resize(recording("en_sarah"), round(seconds * RATE))


def converted(
    samples: Samples, target: Prompt, piece: int | None = None, joining: Joining | None = None
) -> Samples:
    conversion = converter().convert(None, target, joining or Joining())
    step = piece or max(1, len(samples))
    chunks: list[PcmChunk] = []
    for start in range(0, len(samples), step):
        chunks += conversion.push(samples[start : start + step])
    return joined([*chunks, *conversion.finish()])


@pytest.mark.parametrize("count", [0, 1, 959, 960, 961, 12_345, 3 * RATE])
def test_what_comes_out_is_as_long_as_what_went_in(count: int, target: Prompt) -> None:
    assert len(converted(source(4)[:count], target)) == count


def test_a_source_longer_than_the_tokenizer_hears_comes_out_whole(target: Prompt) -> None:
    samples = source(9.0)
    cut = converted(samples, target, piece=RATE, joining=Joining(piece_seconds=4.0))
    assert len(cut) == len(samples)
    assert np.abs(cut).max() > 100


def test_it_does_not_matter_in_which_pieces_the_source_comes(target: Prompt) -> None:
    samples = source(3.0)
    whole = converted(samples, target)
    for piece in (7_001, RATE // 2):
        np.testing.assert_allclose(converted(samples, target, piece), whole, atol=ROUNDING)


def test_a_live_source_is_heard_before_it_has_ended(target: Prompt) -> None:
    conversion = converter().convert(None, target, Joining(is_live=True))
    early = [chunk for start in range(8) for chunk in conversion.push(source(1.0))]
    conversion.finish().close()
    assert joined(early).size > 0


def test_two_at_once_are_as_each_alone(target: Prompt) -> None:
    engine = converter()
    sources = [source(3.0), source(5.0)[RATE:]]
    conversions = [engine.convert(None, target, Joining()) for _ in sources]
    streams: list[Stream[Task]] = []
    core, heard = engine.core(), [[], []]  # type: ignore[var-annotated]
    for conversion, samples in zip(conversions, sources, strict=True):
        for task in (conversion.push(samples),):
            streams.append(Stream(task, time.monotonic()))
            core.add(streams[-1])
    ended = 0
    while core.busy:
        for delivery in core.step():
            index = streams.index(delivery.stream)
            if isinstance(delivery.result, PcmChunk):
                heard[index].append(delivery.result)
            elif ended < 2:
                ended += 1
                streams[index].work = conversions[index].finish()
                core.add(streams[index])
    for samples, chunks in zip(sources, heard, strict=True):
        np.testing.assert_allclose(joined(chunks), converted(samples, target), atol=ROUNDING)


def test_the_target_changes_what_comes_out(target: Prompt) -> None:
    other = converter().analyse(recording("en_karen"))
    assert not np.array_equal(converted(source(1), target), converted(source(1), other))


def test_a_target_is_kept(target: Prompt) -> None:
    kept = converter().load(converter().dump(target))
    np.testing.assert_array_equal(converted(source(1), kept), converted(source(1), target))
