"""Processors change what they should, lose nothing, and do not hear how the stream was cut."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.audio.process import MARGIN_MS, Processor, Stretch, TrimSilence, chain
from serve_app.domain.types import Samples
from tests.audio_tools import cut, dbfs, speechlike

RATE = 24_000
MARGIN = RATE * MARGIN_MS // 1000
SIZES = st.lists(st.integers(0, 20_000), max_size=12)


def run(processor: Processor, *pieces: Samples) -> Samples:
    return np.concatenate([*[processor.push(piece) for piece in pieces], processor.flush()])


def silence(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.int16)


def hiss(seconds: float) -> Samples:
    """Noise below the threshold of silence, no two stretches of which are equal."""
    return np.random.default_rng(3).integers(-40, 40, round(seconds * RATE)).astype(np.int16)


def tone(seconds: float, hz: float = 200.0) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.round(9_000 * np.sin(2 * np.pi * hz * time)).astype(np.int16)


def pitch(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(np.argmax(spectrum)) * RATE / (1 << 18)


@pytest.mark.parametrize("speed", [0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0])
@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
def test_stretched_speech_is_exactly_as_long_as_asked(
    rate: int, seconds: float, speed: float
) -> None:
    speech = speechlike(seconds, rate)
    assert len(run(Stretch(rate, speed), speech)) == round(len(speech) / speed)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.3, 2.0])
def test_stretching_keeps_pitch_and_level(speed: float) -> None:
    out = run(Stretch(RATE, speed), tone(2.0))
    assert pitch(out) == pytest.approx(200, rel=0.01)
    assert dbfs(out) == pytest.approx(dbfs(tone(2.0)), abs=0.5)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.3, 2.0])
def test_stretched_speech_ends_with_the_end_of_the_input(speed: float) -> None:
    speech = np.concatenate([tone(0.5), tone(0.02, 1_000)])
    assert np.array_equal(run(Stretch(RATE, speed), speech)[-480:], speech[-480:])


@cache
def stretched(speed: float) -> tuple[Samples, Samples]:
    speech = speechlike(2.0, RATE)
    return speech, run(Stretch(RATE, speed), speech)


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES)
@pytest.mark.parametrize("speed", [0.5, 0.7, 1.0, 1.7, 2.0])
def test_stretching_does_not_hear_the_cut(speed: float, sizes: list[int]) -> None:
    speech, at_once = stretched(speed)
    assert np.array_equal(run(Stretch(RATE, speed), *cut(speech, sizes)), at_once)


def test_stretching_holds_back_less_than_a_fifth_of_a_second() -> None:
    processor, speech = Stretch(RATE, 1.25), speechlike(2.0, RATE)
    out = 0
    for end in range(480, len(speech) + 1, 480):
        out += len(processor.push(speech[end - 480 : end]))
        assert end / 1.25 - out < 0.2 * RATE


def test_speed_one_changes_nothing_and_silly_speeds_are_refused() -> None:
    speech = speechlike(0.2, RATE)
    assert Stretch(RATE, 1.0).push(speech) is speech
    assert not len(run(Stretch(RATE, 1.5)))
    for speed in (0.4, 2.1, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            Stretch(RATE, speed)


@pytest.mark.parametrize("quiet", [silence, hiss])
def test_long_outer_silence_is_cut_to_the_margin(quiet) -> None:
    lead, speech, trail = quiet(0.8), tone(0.5), quiet(0.7)
    wanted = np.concatenate([lead[-MARGIN:], speech, trail[:MARGIN]])
    assert np.array_equal(run(TrimSilence(RATE, 200), lead, speech, trail), wanted)


@pytest.mark.parametrize("quiet", [silence, hiss])
def test_outer_silence_up_to_the_threshold_and_all_inner_silence_stay(quiet) -> None:
    pieces = [quiet(0.2), tone(0.3), quiet(1.5), silence(0.5), quiet(0.3), tone(0.3), quiet(0.2)]
    out = run(TrimSilence(RATE, 200), *pieces)
    assert np.array_equal(out, np.concatenate(pieces))


def test_nothing_but_silence_leaves_the_margin() -> None:
    assert np.array_equal(run(TrimSilence(RATE, 200), silence(3.0)), silence(MARGIN_MS / 1000))
    assert np.array_equal(run(TrimSilence(RATE, 200), hiss(0.1)), hiss(0.1))
    assert not len(run(TrimSilence(RATE, 200)))


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES)
def test_trimming_does_not_hear_the_cut(sizes: list[int]) -> None:
    lead, trail = hiss(0.4), np.concatenate([silence(0.3), hiss(0.213)])
    sound = np.concatenate([tone(0.2), hiss(0.5), silence(0.25), tone(0.1)])
    out = run(TrimSilence(RATE, 300), *cut(np.concatenate([lead, sound, trail]), sizes))
    assert np.array_equal(out, np.concatenate([lead[-MARGIN:], sound, trail[:MARGIN]]))


def test_endless_leading_silence_takes_no_memory() -> None:
    processor = TrimSilence(RATE, 1000)
    for _ in range(200):
        assert not len(processor.push(hiss(0.1)))
    assert processor._silence._stored <= 1.2 * RATE


def test_an_empty_chain_is_the_identity_without_copies() -> None:
    speech = speechlike(0.1, RATE)
    assert chain([]).push(speech) is speech
    assert not len(chain([]).flush())


@settings(max_examples=15, deadline=None)
@given(sizes=SIZES)
def test_a_chain_is_its_processors_one_after_another(sizes: list[int]) -> None:
    speech = np.concatenate([silence(0.5), speechlike(1.0, RATE), silence(0.5)])
    wanted = run(Stretch(RATE, 1.25), run(TrimSilence(RATE, 200), speech))
    both = chain([TrimSilence(RATE, 200), Stretch(RATE, 1.25)])
    assert np.array_equal(run(both, *cut(speech, sizes)), wanted)


def clicks(length: int, *places: int) -> Samples:
    """A quiet tone in which single places stand out."""
    samples = tone(length / RATE) // 20 + 200
    for place in places:
        samples[place : place + 48] = 30_000
    return samples.astype(np.int16)


def where_loud(samples: Samples) -> list[float]:
    """Seconds at which what stands out begins."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 15_000)
    return [float(i) / RATE for i in loud[np.diff(loud, prepend=-RATE) > RATE // 10]]


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.0, 1.6, 2.0])
def test_a_moment_of_the_input_is_found_in_stretched_output(speed: float) -> None:
    processor = Stretch(RATE, speed)
    found = where_loud(run(processor, clicks(3 * RATE, RATE // 2, 2 * RATE)))
    expected = [processor.output_time(0.5), processor.output_time(2.0)]
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("before", [0.05, 0.3, 1.5])
def test_a_moment_of_the_input_is_found_in_trimmed_output(before: float) -> None:
    processor = TrimSilence(RATE, threshold_ms=200)
    sound = clicks(RATE, RATE // 2)
    found = where_loud(run(processor, silence(before), sound, silence(1)))
    assert found == pytest.approx([processor.output_time(before + 0.5)], abs=0.011)
    assert processor.output_time(0.0) == 0.0


def test_a_chain_moves_a_moment_through_each_of_its_processors() -> None:
    processor = chain([Stretch(RATE, 2.0), TrimSilence(RATE, threshold_ms=200)])
    found = where_loud(run(processor, silence(1.5), clicks(RATE, RATE // 2), silence(1)))
    assert found == pytest.approx([processor.output_time(2.0)], abs=0.03)
    assert chain([]).output_time(1.25) == 1.25
