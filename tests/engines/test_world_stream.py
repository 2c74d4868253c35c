"""The WORLD conversion as a stream: early, bounded, exact, and without a joint to be heard."""

from __future__ import annotations

import tracemalloc
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from serve_app.domain.types import Joining, Samples
from serve_app.engines.world.analysis import HOP, Floats, to_signal, track_f0
from serve_app.engines.world.engine import WorldEngine
from serve_app.engines.world.pieces import PitchTrack
from serve_app.engines.world.profile import Profile
from tests.audio_tools import cut
from tests.support.voices import RATE, Pitch, mel_cepstral_distortion, recording

ENGINE = WorldEngine()
SOURCE = np.concatenate([recording("en_sarah"), recording("de_Rainer")])
JOININGS = (
    Joining(),
    Joining(overlap_seconds=0),
    Joining(piece_seconds=1, overlap_seconds=0),
    Joining(piece_seconds=1, overlap_seconds=5),
    Joining(overlap_seconds=5),
)
joinings = pytest.mark.parametrize(
    "joining", JOININGS, ids=lambda j: f"{j.piece_seconds:g}-{j.overlap_seconds:g}"
)


@cache
def voices() -> tuple[Profile, Profile]:
    return ENGINE.analyse(SOURCE), ENGINE.analyse(recording("en_jennifer"))


def pieces(pushed: list[Samples], joining: Joining = JOININGS[0]) -> list[Samples]:
    conversion = ENGINE.convert(*voices(), joining)
    chunks = [chunk for samples in pushed for chunk in conversion.push(samples)]
    return [chunk.samples for chunk in [*chunks, *conversion.finish()]]


@cache
def whole(joining: Joining = JOININGS[0]) -> Samples:
    return np.concatenate(pieces([SOURCE], joining))


@pytest.mark.parametrize("sizes", [[1, 1, 119, 5000], [960] * 300, [100_000, 0, 3]])
def test_where_the_stream_is_cut_changes_nothing(sizes: list[int]) -> None:
    assert np.array_equal(np.concatenate(pieces(cut(SOURCE, sizes))), whole())


@pytest.mark.parametrize("count", [1, 16, 119, 120, 121, 241, 7_000, 12_345, 24_000])
@joinings
def test_as_many_samples_come_out_as_went_in(count: int, joining: Joining) -> None:
    assert sum(map(len, pieces([SOURCE[:count]], joining))) == count


def test_of_nothing_comes_nothing() -> None:
    assert pieces([]) == []


def test_the_first_output_needs_half_a_second_of_input() -> None:
    conversion = ENGINE.convert(*voices(), Joining())
    assert [chunk for chunk in conversion.push(SOURCE[: RATE // 2]) if len(chunk.samples)]


def test_a_step_makes_a_quarter_of_a_second_at_most() -> None:
    assert max(map(len, pieces([SOURCE]))) <= RATE // 4


@joinings
def test_pieces_are_never_longer_than_allowed(joining: Joining) -> None:
    track = PitchTrack(joining)
    seconds = []
    for _ in range(20):
        seconds.append((track.stop - track.start) * HOP / RATE)
        track.add(np.zeros(track.stop - track.start + 1))
    assert max(seconds) <= joining.piece_seconds
    assert seconds[0] < 0.5
    assert len(set(seconds[-5:])) == 1


def test_overlaps_are_as_long_as_asked_for() -> None:
    """The fade between pieces with two opinions of F0 goes over the overlap and no further."""
    for overlap in (0.0, 0.1, 0.25):
        track = PitchTrack(Joining(overlap_seconds=overlap))
        faded = _between_two_opinions(track)
        assert np.count_nonzero(faded) == overlap * RATE / HOP


def _between_two_opinions(track: PitchTrack) -> npt.NDArray[np.bool_]:
    for _ in range(4):
        track.add(np.full(track.stop - track.start + 1, 100.0))
    settled = track.add(np.full(track.stop - track.start + 1, 110.0))
    return (settled > 100.0) & (settled < 110.0)


def tracked(signal: Floats, joining: Joining) -> tuple[Floats, int]:
    """F0 of a signal [n], piece by piece, and how many pieces there were."""
    track, settled = PitchTrack(joining), []
    while len(signal) >= (track.stop + 1) * HOP:
        piece = signal[track.start * HOP : track.stop * HOP + 1]
        settled.append(track.add(track_f0(piece)))
    settled.append(track.finish(track_f0(signal[track.start * HOP :])))
    return np.concatenate(settled), len(settled)


@joinings
def test_f0_is_that_of_one_piece(joining: Joining) -> None:
    signal = to_signal(SOURCE)
    once = track_f0(signal)
    joined, count = tracked(signal, joining)
    assert count >= 4
    both = (once > 0) & (joined > 0)
    assert np.mean((once > 0) != (joined > 0)) < 0.01
    assert np.mean(np.abs(np.log(joined[both] / once[both])) > 0.02) < 0.01
    assert steps(joined).max() <= steps(once).max() + 0.01


def steps(f0: Floats) -> Floats:
    """Of log F0, between voiced neighbours."""
    voiced = (f0[1:] > 0) & (f0[:-1] > 0)
    return np.abs(np.diff(np.log(np.maximum(f0, 1.0))))[voiced]


@joinings
def test_however_it_is_joined_it_sounds_the_same(joining: Joining) -> None:
    assert mel_cepstral_distortion(whole(), whole(joining)) < 0.5
    assert Pitch.of(whole(joining)).median == pytest.approx(Pitch.of(whole()).median, rel=0.01)


@joinings
def test_at_joints_the_signal_is_as_smooth_as_around_them(joining: Joining) -> None:
    """Neither steps nor bends stand out from those of the 20 ms on either side."""
    output = whole(joining).astype(np.float64)
    borders = np.cumsum([len(piece) for piece in pieces([SOURCE], joining)])[:-1]
    assert len(borders) > 20
    for order in (1, 2):
        differences = np.abs(np.diff(output, order))
        for border in borders:
            at_border = differences[border - 3 : border + 2].max()
            before, after = differences[border - 480 : border - 3], differences[border + 2 :][:480]
            assert at_border <= 1.5 * np.concatenate([before, after]).max() + 5


def test_memory_does_not_grow_with_the_stream() -> None:
    conversion = ENGINE.convert(*voices(), Joining())
    second = np.resize(SOURCE, RATE)
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(3):
            tracemalloc.reset_peak()
            for _ in range(8):
                for _ in conversion.push(second):
                    pass
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert peaks[-1] < peaks[0] * 1.2


def test_a_long_push_is_not_kept_whole() -> None:
    """An hour could be pushed at once; only what the next piece needs becomes a copy."""
    conversion, long = ENGINE.convert(*voices(), Joining()), np.resize(SOURCE, 40 * RATE)
    steps_of_push = conversion.push(long)
    tracemalloc.start()
    try:
        for _ in range(8):
            next(steps_of_push)
        assert tracemalloc.get_traced_memory()[1] < long.nbytes * 4
    finally:
        tracemalloc.stop()


def test_silence_stays_silent() -> None:
    assert not np.concatenate(pieces([np.zeros(RATE, np.int16)])).any()


def test_quiet_background_is_not_amplified_into_hiss() -> None:
    noise = np.random.default_rng(1).normal(0, 8, 2 * RATE).astype(np.int16)
    output = np.concatenate(pieces([noise]))
    assert np.std(output) < np.std(noise) * 1.5


def test_the_loudest_signal_does_not_wrap() -> None:
    square = np.where(np.arange(RATE) // 80 % 2, 32_767, -32_768).astype(np.int16)
    output = np.concatenate(pieces([square])).astype(np.int32)
    assert np.abs(np.diff(output)).max() < 65_536
    assert np.abs(output).max() <= 32_767
