"""The WORLD conversion: like the target, good to hear, and the same words. Recorded voices."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from serve_app.domain.types import Joining, Samples, SpeechRequest
from serve_app.engines.hibari.engine import HibariEngine
from serve_app.engines.world.engine import WorldEngine
from tests.audio_tools import resample
from tests.support.ears import words_heard
from tests.support.mos import overall_quality
from tests.support.voices import (
    RATE,
    Pitch,
    mel_cepstral_distortion,
    recording,
    spectral_distance,
)

ENGINE = WorldEngine()
HIBARI = "the embedded voice"
SPOKEN = "The old lamp was still burning when the small boat came into the harbour this morning."
PAIRS = (
    ("en_andrew", "en_jennifer"),  # man to woman
    ("en_michael", "de_Gaby"),
    ("en_sarah", "en_michael"),  # woman to man
    ("de_Gaby", "de_Anton"),
    ("en_michael", "en_daniel"),  # man to man
    ("en_jennifer", "en_sarah"),  # woman to woman
    (HIBARI, "en_andrew"),
    (HIBARI, "de_Gaby"),
)
pairs = pytest.mark.parametrize(("source", "target"), PAIRS)


@cache
def speech(name: str) -> Samples:
    """A recording, or what a reference voice in the embedded service is made from."""
    if name != HIBARI:
        return recording(name)
    request = SpeechRequest(chunks=(SPOKEN,), seed=1)
    return np.concatenate([chunk.samples for chunk in HibariEngine().speak(request)])


def convert(source: Samples, target: Samples) -> Samples:
    voices = ENGINE.analyse(source), ENGINE.analyse(target)
    conversion = ENGINE.convert(*voices, Joining())
    chunks = [*conversion.push(source), *conversion.finish()]
    assert {chunk.sample_rate for chunk in chunks} == {RATE}
    return np.concatenate([chunk.samples for chunk in chunks])


@cache
def converted(source: str, target: str) -> Samples:
    return convert(speech(source), speech(target))


@cache
def quality(name: str) -> float:
    return overall_quality(speech(name), RATE)


@pairs
def test_the_pitch_is_the_targets(source: str, target: str) -> None:
    output, wanted = Pitch.of(converted(source, target)), Pitch.of(speech(target))
    assert output.median == pytest.approx(wanted.median, rel=0.05)


@pairs
def test_the_melody_is_as_lively_as_the_targets(source: str, target: str) -> None:
    """Within the bounds of what sounds natural, and of how steep intonation is measured."""
    deviations = [Pitch.of(speech(name)).deviation for name in (source, target)]
    wanted = deviations[0] * np.clip(deviations[1] / deviations[0], 0.6, 1.7)
    assert Pitch.of(converted(source, target)).deviation == pytest.approx(wanted, rel=0.3)


@pairs
def test_the_spectrum_is_at_least_twice_as_near_to_the_targets(source: str, target: str) -> None:
    before = spectral_distance(speech(source), speech(target))
    assert spectral_distance(converted(source, target), speech(target)) <= before / 2


@pairs
def test_it_sounds_nearly_as_good_as_the_source(source: str, target: str) -> None:
    assert overall_quality(converted(source, target), RATE) >= quality(source) - 0.6


@pairs
def test_it_is_as_long_as_the_source_and_never_clipped(source: str, target: str) -> None:
    output = converted(source, target)
    assert len(output) == len(speech(source))
    assert np.abs(output.astype(np.int32)).max() < 32_767


@pairs
def test_it_is_as_loud_as_the_source_unless_that_is_louder_than_it_can_be(
    source: str, target: str
) -> None:
    levels = [20 * np.log10(np.std(x)) for x in (converted(source, target), speech(source))]
    assert -9 < levels[0] - levels[1] < 3


@pytest.mark.parametrize("name", ["en_andrew", "en_sarah", "de_Anton", "de_Gaby", HIBARI])
def test_a_voice_converted_to_itself_is_hardly_changed(name: str) -> None:
    output = converted(name, name)
    assert mel_cepstral_distortion(speech(name), output) < 3
    assert spectral_distance(speech(name), output) < 2


@pytest.mark.parametrize("target", ["en_andrew", "de_Gaby"])
def test_the_same_words_are_heard(target: str) -> None:
    """Most of the words that pocketsphinx hears before, it hears after."""
    words = set(SPOKEN.lower().rstrip(".").split())
    before, after = (
        words & words_heard(x, RATE) for x in (speech(HIBARI), converted(HIBARI, target))
    )
    assert len(before) > len(words) / 2
    assert len(before & after) >= 0.75 * len(before), f"{before} became {after}"


def test_flite_in_another_voice(need_program: Callable[[str], str], tmp_path: Path) -> None:
    file = tmp_path / "flite.wav"
    subprocess.run([need_program("flite"), "-t", SPOKEN, "-o", str(file)], check=True)
    with wave.open(str(file)) as reader:
        samples = np.frombuffer(reader.readframes(reader.getnframes()), np.int16)
        source = resample(samples, reader.getframerate(), RATE)
    target = recording("en_jennifer")
    output = convert(source, target)
    assert Pitch.of(output).median == pytest.approx(Pitch.of(target).median, rel=0.05)
    assert spectral_distance(output, target) <= spectral_distance(source, target) / 2
    assert overall_quality(output, RATE) >= overall_quality(source, RATE) - 0.6
