"""What the WORLD conversion knows of a voice, and what it makes of two."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import pyworld

from serve_app.domain.errors import InvalidAudio
from serve_app.domain.protocols import ConversionEngine
from serve_app.domain.types import Joining, Samples
from serve_app.engines.world.capabilities import CAPABILITIES
from serve_app.engines.world.engine import WorldEngine
from serve_app.engines.world.mapping import (
    LEAST_RANGE,
    LEAST_WARP,
    MOST_RANGE,
    MOST_WARP,
    Mapping,
    find_warp,
)
from serve_app.engines.world.profile import Profile, analyse
from tests.support.voices import RATE, Pitch, recording

ENGINE: ConversionEngine[Profile] = WorldEngine()
NAMES = ("en_andrew", "en_sarah", "de_Anton", "de_Gaby")


def test_it_says_what_it_wants_to_hear() -> None:
    assert ENGINE.capabilities == CAPABILITIES
    assert (CAPABILITIES.name, CAPABILITIES.sample_rate) == ("world", 24_000)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_holds_the_pitch(name: str) -> None:
    profile, pitch = analyse(recording(name)), Pitch.of(recording(name))
    assert np.exp(profile.pitch) == pytest.approx(pitch.median, rel=0.02)
    assert profile.pitch_deviation == pytest.approx(pitch.deviation, rel=0.2)


def test_octave_errors_do_not_move_the_pitch() -> None:
    """A tenth of a voice that is found an octave too low is creak, or a mistake."""
    voice = analyse(recording("en_andrew"))
    signal = recording("en_andrew")
    with_creak = np.concatenate([signal, _an_octave_lower(signal[: len(signal) // 8])])
    creaking = analyse(with_creak)
    assert creaking.pitch == pytest.approx(voice.pitch, abs=0.04)
    assert creaking.pitch_deviation < voice.pitch_deviation * 1.3


def _an_octave_lower(samples: Samples) -> Samples:
    signal = samples / 32768.0
    f0, envelope, aperiodicity = pyworld.wav2world(signal, RATE)
    sound = pyworld.synthesize(f0 / 2, envelope, aperiodicity, RATE)
    return (np.clip(sound, -1, 1) * 32_767).astype(np.int16)


def test_a_profile_survives_the_store() -> None:
    profile = ENGINE.analyse(recording("en_andrew"))
    data = ENGINE.dump(profile)
    assert ENGINE.load(data) == profile
    assert len(data) < 4_000


def test_a_damaged_profile_is_noticed() -> None:
    data = ENGINE.dump(ENGINE.analyse(recording("en_andrew")))
    not_a_number = data[:8] + b"\xff" * 8 + data[16:]
    for damaged in (b"", data[:-1], data + b"\0", b"WORLD-0\n" + data[8:], not_a_number):
        with pytest.raises(ValueError, match="profile"):
            ENGINE.load(damaged)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.zeros(1, np.int16),
        np.zeros(RATE, np.int16),
        np.random.default_rng(1).normal(0, 3000, 2 * RATE).astype(np.int16),
        recording("en_andrew")[: RATE // 3],
    ],
    ids=["nothing", "a sample", "silence", "noise", "a syllable"],
)
def test_too_little_voice_is_refused_with_what_is_needed(samples: Samples) -> None:
    with pytest.raises(InvalidAudio) as refusal:
        ENGINE.analyse(samples)
    assert "0.5 s" in refusal.value.detail


def test_half_a_second_of_voice_is_enough() -> None:
    """There is some voiced speech in each second of reading."""
    assert ENGINE.analyse(recording("en_andrew")[: RATE * 3 // 2]).pitch > 4


def test_the_source_must_have_been_heard() -> None:
    with pytest.raises(ValueError, match="source"):
        ENGINE.convert(None, analyse(recording("en_andrew")), Joining())


def _scaled(samples: Samples, warp: float) -> Samples:
    """The same speech by a speaker whose vocal tract is shorter by `warp`; pitch as expected."""
    f0, envelope, aperiodicity = pyworld.wav2world(samples / 32768.0, RATE)
    bins = np.arange(envelope.shape[1])
    warped = np.array([np.interp(bins / warp, bins, frame) for frame in envelope])
    sound = pyworld.synthesize(f0 * warp**4, warped, aperiodicity, RATE)
    return (np.clip(sound, -1, 1) * 32_767).astype(np.int16)


@pytest.mark.parametrize("warp", [0.85, 0.93, 1.1, 1.2])
@pytest.mark.parametrize("name", ["de_Rainer", "de_KarinM"])
def test_formants_are_found_where_they_went(name: str, warp: float) -> None:
    half = len(recording(name)) // 2
    one, other = recording(name)[:half], _scaled(recording(name)[half:], warp)
    assert find_warp(analyse(one), analyse(other)) == pytest.approx(warp, rel=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_a_speaker_keeps_the_formants(name: str) -> None:
    half = len(recording(name)) // 2
    one, other = (analyse(part) for part in np.split(recording(name)[: 2 * half], 2))
    assert find_warp(one, one) == 1.0
    assert find_warp(one, other) == pytest.approx(1.0, abs=0.06)


def test_no_voice_is_bent_beyond_what_is_natural() -> None:
    voice = analyse(recording("en_andrew"))
    giant = dataclasses.replace(voice, pitch=voice.pitch - 3, pitch_deviation=1e-4)
    mouse = dataclasses.replace(voice, pitch=voice.pitch + 3, pitch_deviation=2.0)
    for source, target in ((giant, mouse), (mouse, giant), (giant, giant)):
        mapping = Mapping.between(source, dataclasses.replace(target, formants=voice.voiced))
        assert LEAST_WARP <= mapping.warp <= MOST_WARP
        assert LEAST_RANGE <= mapping.pitch_range <= MOST_RANGE
        for gain in (mapping.voiced_gain, mapping.unvoiced_gain):
            assert np.isfinite(gain).all()
