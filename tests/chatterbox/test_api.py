"""Chatterbox behind the HTTP API, in this process: what a client sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat
from serve_app.engines.chatterbox.models import Family
from tests.audio_tools import decode
from tests.chatterbox.engines import asked, converter, joined, said, short, speaker
from tests.support.direct import RunningApi, running_api
from tests.support.uploads import accepted, samples_in, upload_input, upload_voice, wav_of
from tests.support.voices import recording

WAV = {"export_formats": ["wav"]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    folder = tmp_path_factory.mktemp("api")
    with short(), running_api(speaker(), folder, conversion=converter()) as running:
        accepted(upload_voice(running, "sarah.wav", wav_of(recording("en_sarah"))))
        accepted(upload_input(running, "karen.wav", wav_of(recording("en_karen")[:48_000])))
        yield running


def speak(api: RunningApi, **body: object) -> httpx.Response:
    defaults = {"text": "Hello there.", "seed": 4, "temperature": 0.8, "cfg_weight": 0.5, **WAV}
    return api.client.post("/api/v1/tts", json={**defaults, **body})


def test_speech_is_what_the_engine_makes(api: RunningApi) -> None:
    response = speak(api)
    assert response.status_code == 200, response.text
    assert "x-ignored-parameters" not in response.headers
    expected = said(asked("Hello there.", seed=4, exaggeration=0.5, temperature=0.8))
    np.testing.assert_allclose(samples_in(response.content), expected, atol=2)


def test_a_recorded_voice_is_spoken_in_by_the_engine_itself(api: RunningApi) -> None:
    spoken = samples_in(speak(api, reference_audio_filename="sarah").content)
    voice = speaker().analyse(recording("en_sarah"))
    with short():
        expected = joined(speaker().speak_as(asked("Hello there.", seed=4, temperature=0.8), voice))
    np.testing.assert_allclose(spoken, expected, atol=2)
    assert api.conversion.open_streams == 0
    (note,) = (api.voices / ".derived").glob("*.chatterbox")
    speaker().load(note.read_bytes())


def test_a_compressed_format_holds_all_of_it(api: RunningApi) -> None:
    response = speak(api, export_formats=["mp3", "wav"])
    path = dict(part.split(":") for part in response.headers["x-alternative-formats"].split("|"))
    stored = samples_in(api.client.get(path["wav"]).content)
    streamed, rate = decode(response.content, AudioFormat.MP3)
    assert len(streamed) / rate == pytest.approx(len(stored) / 24_000, abs=0.15)


def test_a_conversion_is_as_long_as_its_source(api: RunningApi) -> None:
    body = {"input_audio_source": "karen.wav", "target_voice_source": "sarah.wav", **WAV}
    response = api.client.post("/api/v1/vc", json=body)
    assert response.status_code == 200, response.text
    assert len(samples_in(response.content)) == 48_000


def test_what_the_model_cannot_read_is_a_400(api: RunningApi) -> None:
    response = speak(api, text="Здравствуйте")
    assert (response.status_code, response.json()["error_code"]) == (400, "VALIDATION_ERROR")


def test_a_reference_too_short_to_know_a_voice_by_is_a_400(api: RunningApi) -> None:
    accepted(upload_voice(api, "short.wav", wav_of(recording("en_sarah")[:12_000])))
    response = speak(api, reference_audio_filename="short")
    assert (response.status_code, response.json()["error_code"]) == (400, "INVALID_AUDIO")


def test_the_configuration_says_what_the_model_can_do(api: RunningApi) -> None:
    engines = api.client.get("/api/v1/config").json()["engines"]
    assert engines["tts"]["name"] == "chatterbox"
    assert "exaggeration" in str(engines["tts"])
    assert engines["vc"]["name"] == "chatterbox-vc"


def test_turbo_says_which_controls_it_has_not(tmp_path: Path) -> None:
    with short(), running_api(speaker(Family.TURBO), tmp_path) as api:
        ignored = speak(api, exaggeration=1.0, min_p=0.1).headers["x-ignored-parameters"]
    assert {"exaggeration", "min_p", "cfg_weight"} == set(ignored.replace(" ", "").split(","))
