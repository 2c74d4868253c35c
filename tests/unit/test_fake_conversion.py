"""The fake conversion: what the tests of plumbing rely on."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.domain.errors import GenerationFailed, InvalidAudio
from serve_app.domain.protocols import ConversionEngine
from serve_app.domain.types import Joining, Samples
from serve_app.engines.fake_conversion import (
    HELD_BACK,
    FakeConversionEngine,
    FakeProfile,
    converted_of,
)
from tests.audio_tools import cut, speechlike

ENGINE: ConversionEngine[FakeProfile] = FakeConversionEngine()
SOURCE, TARGET = speechlike(2.5, seed=1), speechlike(1, seed=2)


def converted(
    pieces: list[Samples], engine: ConversionEngine[FakeProfile], piece_seconds: float = 60
) -> list[Samples]:
    joining = Joining(piece_seconds=piece_seconds)
    conversion = engine.convert(engine.analyse(SOURCE), engine.analyse(TARGET), joining)
    pushed = [chunk for piece in pieces for chunk in conversion.push(piece)]
    return [chunk.samples for chunk in [*pushed, *conversion.finish()]]


@given(st.lists(st.integers(0, 30_000), max_size=6))
def test_the_output_can_be_computed_however_the_stream_is_cut(sizes: list[int]) -> None:
    output = np.concatenate(converted(cut(SOURCE, sizes), ENGINE))
    assert np.array_equal(output, converted_of(SOURCE, TARGET))


def test_the_target_is_heard_and_the_source_is_changed() -> None:
    one, other = (converted_of(SOURCE, speechlike(1, seed=seed)) for seed in (2, 3))
    assert not np.array_equal(one, other)
    for output in (one, other):
        scale = np.abs(output).max() / np.abs(SOURCE).max()
        assert 0.49 < scale <= 1.0
        assert np.sum(output.astype(float) * SOURCE) < 0


def test_something_is_held_back_until_the_end() -> None:
    conversion = ENGINE.convert(ENGINE.analyse(SOURCE), ENGINE.analyse(TARGET), Joining())
    assert sum(len(chunk.samples) for chunk in conversion.push(SOURCE)) == len(SOURCE) - HELD_BACK
    assert sum(len(chunk.samples) for chunk in conversion.finish()) == HELD_BACK


def test_no_piece_is_longer_than_asked_for() -> None:
    lengths = [len(piece) for piece in converted([SOURCE], ENGINE, piece_seconds=1)]
    assert lengths == [24_000, 24_000, 12_000 - HELD_BACK, HELD_BACK]


def test_a_profile_survives_the_store_and_damage_is_noticed() -> None:
    profile = ENGINE.analyse(TARGET)
    data = ENGINE.dump(profile)
    assert ENGINE.load(data) == profile
    for damaged in (b"", data[:-1], b"X" + data[1:]):
        with pytest.raises(ValueError, match="no profile"):
            ENGINE.load(damaged)


def test_silence_has_no_voice() -> None:
    with pytest.raises(InvalidAudio):
        ENGINE.analyse(np.zeros(24_000, np.int16))


def test_it_fails_where_it_is_told_to() -> None:
    engine = FakeConversionEngine(fail_at_piece=1)
    conversion = engine.convert(engine.analyse(SOURCE), engine.analyse(TARGET), Joining())
    assert list(conversion.push(SOURCE))
    with pytest.raises(GenerationFailed):
        list(conversion.finish())


def _convert_where_it_dies(once_file: Path) -> None:
    converted([SOURCE], FakeConversionEngine(die_at_piece=0, die_once_file=once_file))


def test_it_dies_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    exits: list[int | None] = []
    for _ in range(2):
        process = context.Process(target=_convert_where_it_dies, args=(tmp_path / "dead",))
        process.start()
        process.join(60)
        exits.append(process.exitcode)
    assert exits == [1, 0]
