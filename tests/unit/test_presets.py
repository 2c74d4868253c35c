"""Voices by name: what the settings may say, and what OpenAI's names are by default."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from pydantic import ValidationError

from serve_app.domain.types import Joining, VoiceShape
from serve_app.engines.fake_conversion import FakeConversionEngine, shaped_of
from serve_app.presets import OPENAI_VOICES, Preset
from serve_app.settings import Settings
from tests.audio_tools import speechlike

OPENAI_NAMES = {
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
}  # fmt: skip


def test_every_name_of_openai_is_a_voice() -> None:
    assert set(Settings().presets) == OPENAI_NAMES


def test_alloy_is_the_engines_own_voice_and_the_others_are_shapes_of_it() -> None:
    shaped = {name for name, preset in OPENAI_VOICES.items() if preset.shape is not None}
    assert shaped == OPENAI_NAMES - {"alloy"}
    assert all(preset.voice is None for preset in OPENAI_VOICES.values())


@pytest.mark.parametrize(("one", "other"), list(combinations(sorted(OPENAI_NAMES), 2)))
def test_any_two_names_are_two_voices(one: str, other: str) -> None:
    """A semitone and a half, and a twentieth of the formants or one and a half dB per octave."""
    shapes = [OPENAI_VOICES[name].shape or VoiceShape() for name in (one, other)]
    pitch = 12 * abs(np.log2(shapes[0].pitch / shapes[1].pitch)) / 1.5
    formants = abs(np.log(shapes[0].formants / shapes[1].formants)) / 0.05
    brightness = abs(shapes[0].brightness - shapes[1].brightness) / 1.5
    assert np.linalg.norm([pitch, formants, brightness]) > 1.2


def test_a_configuration_adds_changes_and_takes_away() -> None:
    presets = Settings.model_validate(
        {"presets": {"alloy": {"voice": "narrator"}, "onyx": {"pitch": 0.6}, "nova": None}}
    ).presets
    assert set(presets) == OPENAI_NAMES - {"nova"}
    assert presets["alloy"] == Preset(voice="narrator")
    assert presets["onyx"].shape == VoiceShape(pitch=0.6)
    assert presets["echo"] == OPENAI_VOICES["echo"]


@pytest.mark.parametrize(
    "given",
    [
        {"pitch": 0.49},
        {"pitch": 2.01},
        {"formants": 0.74},
        {"formants": 1.36},
        {"intonation": 0.29},
        {"intonation": 2.01},
        {"brightness": -6.1},
        {"brightness": 6.1},
        {"speed": 1.1},
        {"voice": "narrator", "pitch": 0.8},
    ],
    ids=str,
)
def test_what_no_voice_can_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"presets": {"mine": given}})


def test_a_shape_through_the_fake_engine_can_be_computed() -> None:
    source, shape = speechlike(0.5), VoiceShape(pitch=0.6)
    conversion = FakeConversionEngine().convert(None, shape, Joining())
    chunks = [*conversion.push(source), *conversion.finish()]
    output = np.concatenate([chunk.samples for chunk in chunks])
    assert np.array_equal(output, shaped_of(source, shape))
    assert np.abs(output).max() == pytest.approx(0.3 * np.abs(source).max(), abs=1)
