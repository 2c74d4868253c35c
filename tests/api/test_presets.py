"""Voices by the names that people know from OpenAI: presets, and what takes their place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, ConversionCapabilities, Samples, VoiceShape
from serve_app.engines import fake_conversion
from serve_app.engines.fake import FakeEngine, speech_of
from serve_app.engines.fake_conversion import FakeConversionEngine, converted_of, shaped_of
from serve_app.presets import OPENAI_VOICES
from tests.audio_tools import decode
from tests.support.direct import RunningApi, running_api, settings_in
from tests.support.uploads import accepted, spoken, upload_voice

TEXT = "The kettle is on, and tea is near."
PLAIN = speech_of(TEXT, 7)


class Shapeless(FakeConversionEngine):
    """A conversion engine that makes no voices of a shape."""

    @property
    def capabilities(self) -> ConversionCapabilities:
        return replace(fake_conversion.CAPABILITIES, shapes=False)


def speak(api: RunningApi, voice: str, **body: Any) -> tuple[Samples, dict[str, Any]]:
    request = {"text": TEXT, "seed": 7, "reference_audio_filename": voice, **body}
    answer = accepted(api.client.post("/api/v1/tts?response_mode=url", json=request))
    data = api.client.get(answer["output_files"][0]["path"]).content
    return decode(data, AudioFormat.WAV)[0], answer


def test_alloy_is_the_engines_own_voice(api: RunningApi) -> None:
    assert np.array_equal(speak(api, "alloy")[0], PLAIN)


@pytest.mark.parametrize("name", [name for name in OPENAI_VOICES if name != "alloy"])
def test_the_others_are_that_voice_in_another_shape(api: RunningApi, name: str) -> None:
    shape = OPENAI_VOICES[name].shape
    assert shape is not None
    assert np.array_equal(speak(api, name)[0], shaped_of(PLAIN, shape))


def test_a_voice_of_the_library_takes_the_place_of_a_name(api: RunningApi) -> None:
    accepted(upload_voice(api, "onyx.wav"))
    assert np.array_equal(speak(api, "onyx")[0], converted_of(PLAIN, spoken()))


def test_an_operator_names_voices_of_their_own(tmp_path: Path) -> None:
    presets = {"bob": {"pitch": 0.6}, "nova": {"voice": "folder/alice"}, "onyx": None}
    settings = settings_in(tmp_path, presets=presets)
    with running_api(FakeEngine(), tmp_path, settings) as api:
        accepted(upload_voice(api, "alice.wav", folder_path="folder"))
        bob = shaped_of(PLAIN, VoiceShape(pitch=0.6))
        assert np.array_equal(speak(api, "bob")[0], bob)
        assert np.array_equal(speak(api, "nova")[0], converted_of(PLAIN, spoken()))
        refused = api.client.post(
            "/api/v1/tts", json={"text": TEXT, "reference_audio_filename": "onyx"}
        )
        assert refused.status_code == 404
        assert "bob" in refused.json()["detail"]
        presets = api.client.get("/api/v1/config").json()["presets"]
    named = {preset["name"]: preset for preset in presets}
    assert named["bob"]["pitch"] == 0.6
    assert named["nova"]["voice"] == "folder/alice"
    assert "onyx" not in named


def test_where_no_shape_can_be_made_the_answer_says_so(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path, conversion=Shapeless()) as api:
        samples, answer = speak(api, "onyx")
        assert np.array_equal(samples, PLAIN)
        assert "default" in answer["warnings"][0]
        body = {"text": TEXT, "reference_audio_filename": "onyx"}
        response = api.client.post("/api/v1/tts", json=body)
        assert response.headers["x-ignored-parameters"] == "reference_audio_filename"


def test_a_preset_is_either_a_voice_or_a_shape(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or pitch, formants"):
        settings_in(tmp_path, presets={"bob": {"voice": "alice", "pitch": 0.6}})
    with pytest.raises(ValueError, match="pitch"):
        settings_in(tmp_path, presets={"bob": {"pitch": 3}})


def test_a_voice_called_by_a_reserved_name_is_found_wherever_it_lies(api: RunningApi) -> None:
    accepted(upload_voice(api, "somebody.wav", name="onyx", folder_path="people"))
    assert np.array_equal(speak(api, "onyx")[0], converted_of(PLAIN, spoken()))


def test_a_name_is_found_among_many_that_mention_it(api: RunningApi) -> None:
    accepted(upload_voice(api, "x.wav", name="Bob"))
    for number in range(101):
        said = {"name": f"voice {number}", "description": "a friend of Bob"}
        accepted(upload_voice(api, f"friend{number}.wav", **said))
    assert np.array_equal(speak(api, "Bob")[0], converted_of(PLAIN, spoken()))
