"""Voices made by a shape: each number does what it says, and nothing else changes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from serve_app.domain.types import Joining, Samples, SpeechRequest, VoiceShape
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.world.analysis import BINS, Frames
from serve_app.engines.world.engine import WorldEngine
from serve_app.engines.world.mapping import Mapping, find_warp
from serve_app.engines.world.profile import Profile
from serve_app.presets import OPENAI_VOICES
from tests.audio_tools import cut, dbfs
from tests.support.voices import Pitch, long_term_spectrum, recording, spectral_distance

ENGINE = WorldEngine()
BIN_OF_500_HZ = 21
SOURCE = np.concatenate([recording("en_sarah"), recording("en_jennifer")])
EXTREMES = (
    VoiceShape(pitch=0.5, formants=0.75, intonation=2.0, brightness=6.0),
    VoiceShape(pitch=2.0, formants=1.35, intonation=2.0, brightness=6.0),
    VoiceShape(pitch=0.5, formants=1.35, intonation=0.3, brightness=-6.0),
    VoiceShape(pitch=2.0, formants=0.75, intonation=0.3, brightness=-6.0),
)
SPOKEN = "The old lamp was still burning when the small boat came into the harbour this morning."


@cache
def voice() -> Profile:
    return ENGINE.analyse(SOURCE)


@cache
def shaped(shape: VoiceShape) -> Samples:
    return convert([SOURCE], voice(), shape)


def convert(pushed: list[Samples], source: Profile, target: Profile | VoiceShape) -> Samples:
    conversion = ENGINE.convert(source, target, Joining())
    chunks = [chunk for samples in pushed for chunk in conversion.push(samples)]
    return np.concatenate([chunk.samples for chunk in [*chunks, *conversion.finish()]])


def test_the_default_shape_is_the_voice_into_itself() -> None:
    assert np.array_equal(shaped(VoiceShape()), convert([SOURCE], voice(), voice()))


@pytest.mark.parametrize("pitch", [0.5, 0.7, 1.2, 1.5])
def test_the_pitch_is_so_many_times_as_high(pitch: float) -> None:
    before, after = Pitch.of(shaped(VoiceShape())), Pitch.of(shaped(VoiceShape(pitch=pitch)))
    assert after.median == pytest.approx(pitch * before.median, rel=0.03)


@pytest.mark.parametrize("formants", [0.8, 0.9, 1.1, 1.2])
def test_the_formants_are_so_many_times_as_high(formants: float) -> None:
    """The pitch rises as it does from one speaker to another, or the search would not trust it."""
    shape = VoiceShape(pitch=formants**4, formants=formants)
    found = find_warp(voice(), ENGINE.analyse(shaped(shape)))
    assert found == pytest.approx(formants, rel=0.05)


@pytest.mark.parametrize("intonation", [0.3, 0.6, 1.4, 2.0])
def test_the_pitch_moves_so_much_more(intonation: float) -> None:
    before = Pitch.of(shaped(VoiceShape()))
    after = Pitch.of(shaped(VoiceShape(intonation=intonation)))
    assert after.deviation == pytest.approx(intonation * before.deviation, rel=0.1)


@pytest.mark.parametrize("brightness", [-6.0, -2.0, 3.0, 6.0])
def test_above_500_hz_each_octave_is_so_much_louder(brightness: float) -> None:
    gains = Mapping.shaped(voice(), VoiceShape(brightness=brightness)).voiced_gain
    gains = gains - Mapping.shaped(voice(), VoiceShape()).voiced_gain
    decibels = gains * 10 / np.log(10)
    assert np.ptp(decibels[:BIN_OF_500_HZ]) == 0
    octaves = decibels[[24, 48, 96, 192, 384]]
    assert np.diff(octaves) == pytest.approx(brightness)


@pytest.mark.parametrize("brightness", [-3.0, 3.0])
def test_a_tilt_is_heard_in_the_sound(brightness: float) -> None:
    tilt = long_term_spectrum(shaped(VoiceShape(brightness=brightness)))
    tilt -= long_term_spectrum(shaped(VoiceShape()))
    mels = np.linspace(*(2595 * np.log10(1 + np.array([100, 10_000]) / 700)), 20)
    centres = 700 * (10 ** (mels / 2595) - 1)
    chosen = (centres > 500) & (centres < 4000)
    heard = np.polyfit(np.log2(centres[chosen]), tilt[chosen], 1)[0]
    assert heard == pytest.approx(brightness, rel=0.2)


@pytest.mark.parametrize(
    "shape", [VoiceShape(formants=0.8), VoiceShape(brightness=-3), VoiceShape(brightness=3)]
)
def test_it_stays_as_loud(shape: VoiceShape) -> None:
    assert dbfs(shaped(shape)) == pytest.approx(dbfs(shaped(VoiceShape())), abs=3)


@pytest.mark.parametrize("sizes", [[1, 1, 119, 5000], [960] * 300, [100_000, 0, 3]])
def test_where_the_stream_is_cut_changes_nothing(sizes: list[int]) -> None:
    shape = VoiceShape(0.6, 0.85, 1.2, -1.0)
    assert np.array_equal(convert(cut(SOURCE, sizes), voice(), shape), shaped(shape))


@pytest.mark.parametrize("shape", EXTREMES)
def test_the_most_that_can_be_asked_for_is_finite_as_long_and_not_clipped(
    shape: VoiceShape,
) -> None:
    output = shaped(shape)
    assert len(output) == len(SOURCE)
    assert 0 < np.abs(output.astype(np.int32)).max() < 32_767
    frames = Frames(np.array([60.0, 600.0]), np.zeros((2, BINS)), np.zeros((2, BINS)))
    mapped = Mapping.shaped(voice(), shape).apply(frames)
    assert np.isfinite(mapped.f0).all()
    assert np.isfinite(mapped.log_envelope).all()


@cache
def said_by(name: str) -> Samples:
    spoken = np.concatenate(
        [chunk.samples for chunk in HibariEngine().speak(SpeechRequest((SPOKEN,), seed=1))]
    )
    shape = OPENAI_VOICES[name].shape
    return spoken if shape is None else convert([spoken], ENGINE.analyse(spoken), shape)


@pytest.mark.parametrize(("one", "other"), [("onyx", "cedar"), ("alloy", "marin")])
def test_two_presets_are_heard_as_two_speakers(one: str, other: str) -> None:
    pitches = [Pitch.of(said_by(name)).median for name in (one, other)]
    semitones = abs(12 * np.log2(pitches[0] / pitches[1]))
    assert semitones > 1.5 or spectral_distance(said_by(one), said_by(other)) > 3
