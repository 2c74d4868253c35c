"""Stored outputs and silences become one stream: of the right length, at one level, no click."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.audio.concat import Clip, ConcatOptions, Silence, concatenate, parse_segment
from serve_app.audio.levels import measure
from serve_app.audio.mixing import crossfaded, milliseconds_in, samples_in
from serve_app.audio.sizes import resampled_length
from serve_app.audio.wav import WavWriter
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import PcmChunk, Samples
from tests.audio_tools import dbfs, resample, snr, speechlike

RATE = 24_000
PLAIN = ConcatOptions(normalize_levels=False)


def clip(folder: Path, samples: Samples, rate: int = RATE, name: str = "clip") -> Clip:
    path = folder / f"{name}{len(list(folder.iterdir()))}.wav"
    with WavWriter(path, rate) as writer:
        writer.write(samples)
    return Clip(path)


def joined(
    *segments: Clip | Silence, options: ConcatOptions = PLAIN, rate: int = RATE, seed: int = 1
) -> Samples:
    chunks = list(concatenate(segments, rate, options, random.Random(seed)))
    assert all(chunk.sample_rate == rate and 0 < len(chunk.samples) <= rate for chunk in chunks)
    return np.concatenate([chunk.samples for chunk in chunks])


def said(seconds: float, rate: int = RATE, seed: int = 1, peak: float = 0.5) -> Samples:
    """Speech that begins and ends in silence, as an engine's does."""
    speech = speechlike(seconds, rate, seed, peak)
    ramp = np.minimum(1, np.arange(len(speech)) / (0.02 * rate))
    return np.round(speech * ramp * ramp[::-1]).astype(np.int16)


def tone(seconds: float, amplitude: float = 0.3, hertz: float = 200.0) -> Samples:
    """A tone that begins and ends at its peak: as hard an edge as there is."""
    time = np.arange(int(seconds * RATE)) / RATE
    return np.round(32767 * amplitude * np.cos(2 * np.pi * hertz * time)).astype(np.int16)


def largest_step(samples: Samples) -> int:
    return int(np.abs(np.diff(samples.astype(int))).max())


@pytest.mark.parametrize(
    ("token", "milliseconds"),
    [("(500ms)", 500), ("(1.5s)", 1500), ("(50ms)", 50), ("(10s)", 10_000), (" (2 S) ", 2000)],
)
def test_a_token_is_a_silence(token: str, milliseconds: int) -> None:
    assert parse_segment(token) == Silence(milliseconds)


@pytest.mark.parametrize("token", ["a.wav", "(500ms).wav", "x/(1s)", "()", "(5)", "(-5ms)", "(٥s)"])
def test_anything_else_is_the_name_of_a_file(token: str) -> None:
    assert parse_segment(token) is None


@pytest.mark.parametrize(
    "token", ["(49ms)", "(0s)", "(10.1s)", "(10001ms)", "(" + "9" * 5000 + "ms)"]
)
def test_a_silence_beyond_its_bounds_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="between 50 ms and 10 s"):
        parse_segment(token)


def test_clips_come_out_sample_for_sample(tmp_path: Path) -> None:
    first, second = said(2.4, seed=1), said(0.7, seed=2)
    got = joined(clip(tmp_path, first), clip(tmp_path, second))
    assert np.array_equal(got, np.concatenate([first, second]))


def test_a_silence_lies_where_it_was_put(tmp_path: Path) -> None:
    speech = said(0.5)
    got = joined(Silence(100), clip(tmp_path, speech), Silence(1500))
    assert np.array_equal(got, np.pad(speech, (2400, 36_000)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 40_000), min_size=2, max_size=4),
    crossfade=st.sampled_from([0, 1, 20, 137, 5000]),
    rate=st.sampled_from([8_000, 22_050, 24_000, 44_100]),
)
def test_the_length_follows_from_the_parts(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], crossfade: int, rate: int
) -> None:
    folder = tmp_path_factory.mktemp("clips")
    clips = [clip(folder, said(5.1, rate)[:length], rate) for length in lengths]
    expected, left = lengths[0], lengths[0]
    for length in lengths[1:]:
        fade = min(crossfade, milliseconds_in(left, rate), milliseconds_in(length, rate))
        expected += length - samples_in(fade, rate)
        left = length - samples_in(fade, rate)
    options = ConcatOptions(normalize_levels=False, crossfade_ms=crossfade)
    chunks = concatenate(clips, rate, options, random.Random(1))
    assert sum(len(chunk.samples) for chunk in chunks) == expected


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_clips_of_another_rate_are_resampled(tmp_path: Path, rate: int) -> None:
    speech = said(1.3, rate)
    got = joined(clip(tmp_path, speech, rate), Silence(50))[:-1200]
    assert len(got) == resampled_length(len(speech), rate, RATE)
    assert snr(resample(speech, rate, RATE), got) > 50


def test_pauses_are_drawn_around_their_duration(tmp_path: Path) -> None:
    clips = [clip(tmp_path, said(0.2)) for _ in range(30)]
    options = ConcatOptions(False, pause_duration_ms=300, pause_variation_ms=200)
    pauses = [
        (len(joined(clips[0], clips[1], options=options, seed=seed)) - 9600) / 24
        for seed in range(40)
    ]
    assert 100 <= min(pauses) < 150 < 450 < max(pauses) <= 500
    assert len(joined(*clips, options=options)) == len(joined(*clips, options=options))


def test_a_pause_goes_where_no_silence_was_put(tmp_path: Path) -> None:
    one, two = clip(tmp_path, said(0.2)), clip(tmp_path, said(0.3))
    options = ConcatOptions(False, crossfade_ms=50, pause_duration_ms=100, pause_variation_ms=0)
    assert len(joined(one, two, one, options=options)) == 4800 + 2400 + 7200 + 2400 + 4800
    assert len(joined(one, Silence(70), two, options=options)) == 4800 + 1680 + 7200


def test_a_pause_is_never_shorter_than_nothing(tmp_path: Path) -> None:
    clips = [clip(tmp_path, said(0.2)) for _ in range(2)]
    options = ConcatOptions(False, pause_duration_ms=10, pause_variation_ms=500)
    assert min(len(joined(*clips, options=options, seed=seed)) for seed in range(20)) == 9600


@pytest.mark.parametrize("between", [(), (Silence(50),)])
@pytest.mark.parametrize("crossfade", [0, 5, 150])
def test_no_joint_clicks(tmp_path: Path, between: tuple[Silence, ...], crossfade: int) -> None:
    first, second = tone(0.5), -tone(0.5, hertz=150)
    options = ConcatOptions(False, crossfade_ms=crossfade)
    got = joined(clip(tmp_path, first), *between, clip(tmp_path, second), options=options)
    assert largest_step(np.concatenate([first, second])) > 5000  # what a bare joint would be
    assert largest_step(got) <= 1.1 * max(largest_step(first), largest_step(second), 9830 // 72)


def test_a_crossfade_mixes_both_clips(tmp_path: Path) -> None:
    first, second = said(1, seed=1), said(1, seed=2)
    options = ConcatOptions(False, crossfade_ms=200)
    got = joined(clip(tmp_path, first), clip(tmp_path, second), options=options)
    weight = np.arange(4800) / 4800
    mixed = (1 - weight) * first[-4800:] + weight * second[:4800]
    assert np.array_equal(got[: len(first) - 4800], first[:-4800])
    assert np.array_equal(got[len(first) :], second[4800:])
    assert snr(np.round(mixed).astype(np.int16), got[len(first) - 4800 : len(first)]) > 35


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100])
@pytest.mark.parametrize("milliseconds", [1, 7, 99, 101, 999, 5000])
def test_a_crossfade_keeps_the_length(rate: int, milliseconds: int) -> None:
    count = samples_in(milliseconds, rate)
    side = np.full(count, 1000, np.int16)
    got = crossfaded(side, side, rate)
    assert len(got) == count
    assert np.abs(got.astype(int) - 1000).max() <= 30


def test_levels_meet_in_their_mean(tmp_path: Path) -> None:
    loud, quiet = said(2, seed=1, peak=0.5), said(2, seed=2, peak=0.05)
    got = joined(clip(tmp_path, loud), clip(tmp_path, quiet), options=ConcatOptions())
    halves = [measure([PcmChunk(half, RATE)]) for half in np.split(got, 2)]
    before = [measure([PcmChunk(half, RATE)]) for half in (loud, quiet)]
    mean = sum(level.speech for level in before if level) / 2
    assert [half.speech for half in halves if half] == pytest.approx([mean, mean], abs=0.3)


def test_a_pause_within_a_clip_does_not_make_it_quieter() -> None:
    speech = said(2)
    paused = np.concatenate([speech, np.zeros(10 * RATE, np.int16)])
    levels = [measure([PcmChunk(samples, RATE)]) for samples in (speech, paused)]
    assert levels[0] == levels[1]


def test_a_peak_is_not_raised_into_clipping(tmp_path: Path) -> None:
    spiky = (tone(2, 0.01)).copy()
    spiky[RATE] = 20_000
    loud = tone(2, 0.9)
    got = joined(clip(tmp_path, spiky), clip(tmp_path, loud), options=ConcatOptions())
    assert 20_000 < np.abs(got[: 2 * RATE].astype(int)).max() <= 32767 * 10 ** (-1 / 20) + 1


def test_silent_and_empty_clips_do_no_harm(tmp_path: Path) -> None:
    nothing, speech = np.zeros(4800, np.int16), said(0.5)
    clips = [clip(tmp_path, samples) for samples in (nothing, nothing[:0], speech)]
    got = joined(*clips, options=ConcatOptions(crossfade_ms=10))
    assert dbfs(got[-4800:]) == pytest.approx(dbfs(speech[-4800:]), abs=0.1)


def test_trimming_cuts_the_silence_around_each_clip(tmp_path: Path) -> None:
    speech = np.pad(tone(0.5), RATE)
    options = ConcatOptions(False, trim=True)
    got = joined(clip(tmp_path, speech), clip(tmp_path, speech), options=options)
    assert len(got) == 2 * (12_000 + 2 * 1200)


def test_one_clip_alone_is_nothing_to_join(tmp_path: Path) -> None:
    one = clip(tmp_path, said(0.2))
    for segments in ([one], [], [Silence(500), Silence(500)]):
        with pytest.raises(InvalidRequest, match="nothing to join"):
            next(concatenate(segments, RATE, PLAIN, random.Random(1)))


def test_a_clip_comes_out_before_the_next_is_read(tmp_path: Path) -> None:
    first = clip(tmp_path, said(3))
    second = clip(tmp_path, said(1))
    options = ConcatOptions(False, crossfade_ms=500)
    stream = concatenate([first, second], RATE, options, random.Random(1))
    early = [next(stream) for _ in range(3)]
    second.file.unlink()
    assert sum(len(chunk.samples) for chunk in early) == 60_000
    with pytest.raises(FileNotFoundError):
        next(stream)


def test_pydub_is_imported_late_and_without_a_warning() -> None:
    code = (
        "import sys, numpy, serve_app.audio.concat; assert 'pydub' not in sys.modules;"
        "from serve_app.audio.mixing import amplified;"
        "amplified(numpy.ones(9, 'i2'), 24000, 6.0); assert 'pydub' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
