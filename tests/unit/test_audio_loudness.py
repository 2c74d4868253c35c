"""Loudness is what was asked for, by another meter than ours, and peaks stay below their limit."""

from __future__ import annotations

import numpy as np
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.audio.loudness import normalize
from serve_app.domain.types import Samples
from tests.audio_tools import lag, resample, speechlike

RATE = 24_000


def lufs(samples: Samples, rate: int = RATE) -> float:
    return pyloudnorm.Meter(rate).integrated_loudness(samples / 32768)


def true_peak(samples: Samples, rate: int = RATE) -> float:
    """dBTP by eightfold oversampling; half-level going in, so that nothing clips on the way."""
    oversampled = resample((samples // 2).astype(np.int16), rate, 8 * rate)
    return 20 * np.log10(2 * np.abs(oversampled.astype(float)).max() / 32768)


def sudden(seconds: float = 12.0) -> Samples:
    """Speech that drops by 20 dB half way: a loudness range far above 7 LU."""
    speech = speechlike(seconds, RATE)
    return np.concatenate([speech[: len(speech) // 2], speech[len(speech) // 2 :] // 10])


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("seconds", [3.0, 8.0])
@pytest.mark.parametrize("peak", [0.02, 0.5])
def test_speech_comes_to_the_level_asked_for(rate: int, seconds: float, peak: float) -> None:
    out = normalize(speechlike(seconds, rate, peak=peak), rate, "ebu", -24, -2, 7)
    assert lufs(out, rate) == pytest.approx(-24, abs=1)
    assert true_peak(out, rate) <= -2 + 0.05


def test_a_level_that_fits_is_one_gain_for_all() -> None:
    speech = speechlike(5.0, RATE, peak=0.05)
    out = normalize(speech, RATE, "ebu", -24, -2, 7)
    gain = np.dot(out.astype(float), speech) / np.dot(speech.astype(float), speech)
    assert np.abs(out - gain * speech).max() <= 1


@pytest.mark.parametrize("level", [-24, -16, -10])
@pytest.mark.parametrize("limit", [-9.0, -2.0, -1.0])
def test_the_true_peak_is_never_exceeded(level: float, limit: float) -> None:
    click = speechlike(6.0, RATE, peak=0.1)
    click[60_000:60_003] = [30_000, -30_000, 30_000]
    for signal in (speechlike(6.0, RATE), click, click[50_000:70_000]):
        assert true_peak(normalize(signal, RATE, "ebu", level, limit, 7)) <= limit + 0.05


def test_a_limited_signal_comes_near_its_level() -> None:
    out = normalize(speechlike(8.0, RATE), RATE, "ebu", -16, -2, 7)
    assert lufs(out) == pytest.approx(-16, abs=1)


def test_a_wide_loudness_range_is_narrowed_in_time() -> None:
    signal = sudden()
    out = normalize(signal, RATE, "ebu", -24, -2, 7)
    middle = len(signal) // 2

    def step(samples: Samples) -> float:
        return lufs(samples[:middle]) - lufs(samples[middle:])

    assert lufs(out) == pytest.approx(-24, abs=1)
    assert step(out) < step(signal) - 3
    assert lag(signal, out) == 0


@pytest.mark.parametrize("seconds", [0.001, 0.05, 0.5, 2.0])
def test_short_signals_are_sane(seconds: float) -> None:
    speech = speechlike(seconds, RATE, peak=0.05)
    out = normalize(speech, RATE, "ebu", -24, -2, 7)
    assert len(out) == len(speech)
    assert true_peak(out) <= -2 + 0.05
    if seconds >= 0.5:
        assert lufs(out) == pytest.approx(-24, abs=1)


@pytest.mark.parametrize("method", ["ebu", "peak"])
@pytest.mark.parametrize("samples", [0, 1, 10_000, 100_000])
def test_silence_stays_silence(method, samples: int) -> None:
    zeros = np.zeros(samples, np.int16)
    assert np.array_equal(normalize(zeros, RATE, method, -24, -2, 7), zeros)


def test_what_no_meter_can_measure_is_left_alone() -> None:
    dither = np.random.default_rng(1).integers(-1, 2, 4 * RATE).astype(np.int16)
    assert np.array_equal(normalize(dither, RATE, "ebu", -24, -2, 7), dither)


@pytest.mark.parametrize(("level", "wanted"), [(-6.0, -6.0), (-1.0, -1.0), (0.0, 0.0), (5.0, 0.0)])
def test_peak_brings_the_highest_sample_to_the_level(level: float, wanted: float) -> None:
    out = normalize(speechlike(0.5, RATE, peak=0.3), RATE, "peak", level, -2, 7)
    assert 20 * np.log10(np.abs(out.astype(float)).max() / 32768) == pytest.approx(wanted, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 5 * RATE), level=st.floats(-40, -6), limit=st.floats(-9, 0))
def test_the_length_never_changes(samples: int, level: float, limit: float) -> None:
    signal = speechlike(5.0, RATE)[:samples]
    assert len(normalize(signal, RATE, "ebu", level, limit, 7)) == samples
