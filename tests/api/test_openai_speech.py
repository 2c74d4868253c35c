"""POST /v1/audio/speech and its upload: contract section 8."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.errors import GenerationFailed
from serve_app.domain.types import AudioFormat, PcmChunk, SpeechRequest, VoiceShape
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of
from serve_app.engines.fake_conversion import CAPABILITIES as CONVERSION
from serve_app.engines.fake_conversion import FakeConversionEngine, converted_of, shaped_of
from serve_app.presets import OPENAI_VOICES
from tests.api.test_tts_stream import CONTENT_TYPES
from tests.audio_tools import decode
from tests.support.direct import RunningApi, files_below, running_api, settings_in, wait_until
from tests.support.progress import CHUNKS
from tests.support.uploads import accepted, spoken, upload_voice, wav_of

ONE = "The quick brown fox jumps over the lazy dog."
ASKED = {"model": "tts-1", "input": ONE, "voice": "alloy", "seed": 7}


def speak(api: RunningApi, **body: Any) -> httpx.Response:
    return api.client.post("/v1/audio/speech", json={**ASKED, **body})


def upload(api: RunningApi, **fields: str) -> httpx.Response:
    files = {"voice_file": ("me.wav", wav_of(spoken()))}
    data = {"model": "tts-1", "input": ONE, "seed": "7", **fields}
    return api.client.post("/v1/audio/speech/upload", files=files, data=data)


def pcm(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.frombuffer(response.content, "<i2")


def events(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "text/event-stream"
    return [json.loads(part[6:]) for part in response.text.split("\n\n") if part]


def test_mp3_is_the_default(api: RunningApi) -> None:
    response = speak(api)
    assert response.headers["content-type"] == "audio/mpeg"
    samples, rate = decode(response.content, AudioFormat.MP3, 24_000)
    assert len(samples) / rate == pytest.approx(len(speech_of(ONE, 7)) / 24_000, abs=0.08)


@pytest.mark.parametrize("audio_format", CONTENT_TYPES)
def test_every_format_has_its_content_type(api: RunningApi, audio_format: str) -> None:
    response = speak(api, response_format=audio_format)
    assert response.headers["content-type"] == CONTENT_TYPES[audio_format]
    rate = 8000 if audio_format in ("ulaw", "alaw") else 24_000
    samples, decoded_rate = decode(response.content, AudioFormat(audio_format), rate)
    seconds = len(speech_of(ONE, 7)) / 24_000
    assert len(samples) / decoded_rate == pytest.approx(seconds, abs=0.08)


def test_pcm_is_16_bit_at_24_khz_and_nothing_else(api: RunningApi) -> None:
    assert pcm(speak(api, response_format="pcm")).tobytes() == speech_of(ONE, 7).tobytes()


class ShapelessConversion(FakeConversionEngine):
    """Converts to the voices of recordings only."""

    capabilities = replace(CONVERSION, shapes=False)


class GatedEngine:
    """Speaks the first sentence, and the rest once somebody has heard it."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        self.heard = threading.Event()

    def speak(self, request: SpeechRequest) -> Iterator[PcmChunk]:
        for index, text in enumerate(request.chunks):
            if index and not self.heard.wait(10):
                raise GenerationFailed("Nobody has heard the first sentence.")
            yield PcmChunk(speech_of(text, request.seed), CAPABILITIES.sample_rate)


@pytest.mark.parametrize(
    ("audio_format", "stream_format"), [*((f, "audio") for f in AudioFormat), ("mp3", "sse")]
)
def test_the_first_sentence_is_heard_before_the_second_is_made(
    tmp_path: Path, audio_format: str, stream_format: str
) -> None:
    engine = GatedEngine()
    wanted = {"response_format": audio_format, "stream_format": stream_format}
    body = {**ASKED, "input": " ".join(CHUNKS), **wanted}
    with (
        running_api(engine, tmp_path) as api,
        api.client.stream("POST", "/v1/audio/speech", json=body) as response,
    ):
        pieces = response.iter_raw()
        assert next(pieces)
        engine.heard.set()
        assert b"".join(pieces)


def test_a_client_that_leaves_stops_the_synthesis(slow_api: RunningApi) -> None:
    body = {**ASKED, "input": " ".join(CHUNKS)}
    with slow_api.client.stream("POST", "/v1/audio/speech", json=body) as response:
        next(response.iter_raw())
    wait_until(lambda: slow_api.backend.open_streams == 0, seconds=3)
    wait_until(lambda: slow_api.files() == [])


@pytest.mark.parametrize(
    "model", ["tts-1", "tts-1-hd", "tts-1-1106", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15",
              "fake"],
)  # fmt: skip
def test_every_model_is_the_engine_that_runs(api: RunningApi, model: str) -> None:
    said = pcm(speak(api, model=model, response_format="pcm"))
    np.testing.assert_array_equal(said, speech_of(ONE, 7))


@pytest.mark.parametrize("voice", ["alloy", "sine", {"id": "alloy"}, None, ""])
def test_the_engines_own_voice_has_several_names(api: RunningApi, voice: Any) -> None:
    said = pcm(speak(api, voice=voice, response_format="pcm"))
    np.testing.assert_array_equal(said, speech_of(ONE, 7))


def test_model_and_voice_may_be_left_out(api: RunningApi) -> None:
    body = {"input": ONE, "seed": 7, "response_format": "pcm"}
    said = pcm(api.client.post("/v1/audio/speech", json=body))
    np.testing.assert_array_equal(said, speech_of(ONE, 7))


def test_a_name_of_openai_is_a_voice_of_its_own(api: RunningApi) -> None:
    shape = OPENAI_VOICES["onyx"].shape
    assert isinstance(shape, VoiceShape)
    said = pcm(speak(api, voice="onyx", response_format="pcm"))
    np.testing.assert_array_equal(said, shaped_of(speech_of(ONE, 7), shape))


@pytest.mark.parametrize("name", ["alice", "alice.wav", {"id": "alice.wav"}])
def test_a_voice_of_the_library_by_its_name_or_path(api: RunningApi, name: Any) -> None:
    accepted(upload_voice(api, "alice.wav"))
    said = pcm(speak(api, voice=name, response_format="pcm"))
    np.testing.assert_array_equal(said, converted_of(speech_of(ONE, 7), spoken()))
    (alice,) = api.client.get("/api/v1/voices").json()["voices"]
    assert alice["usage_count"] == 1


def test_a_library_voice_goes_before_the_name_of_openai(api: RunningApi) -> None:
    accepted(upload_voice(api, "onyx.wav"))
    said = pcm(speak(api, voice="onyx", response_format="pcm"))
    np.testing.assert_array_equal(said, converted_of(speech_of(ONE, 7), spoken()))


def test_what_a_voice_brings_along_fills_what_the_client_left_out(api: RunningApi) -> None:
    accepted(upload_voice(api, "alice.wav", default_parameters='{"speed_factor": 2}'))
    brisk = pcm(speak(api, voice="alice", response_format="pcm"))
    asked = pcm(speak(api, voice="alice", speed=1, response_format="pcm"))
    assert len(asked) == len(speech_of(ONE, 7))
    assert len(brisk) == pytest.approx(len(asked) / 2, rel=0.03)


@pytest.mark.parametrize(("speed", "used"), [(0.25, 0.5), (0.5, 0.5), (1.6, 1.6), (4.0, 2.0)])
def test_speed_is_clamped_to_what_we_speak_and_says_so(
    api: RunningApi, speed: float, used: float
) -> None:
    response = speak(api, speed=speed, response_format="pcm")
    assert len(pcm(response)) == pytest.approx(len(speech_of(ONE, 7)) / used, rel=0.03)
    assert ("x-warnings" in response.headers) is (speed != used)
    if speed != used:
        assert (
            response.headers["x-warnings"]
            == f"speed: {speed:g} is not in 0.5..2, so it was {used:g}"
        )


def test_fields_of_the_native_api_may_come_along(api: RunningApi) -> None:
    said = pcm(speak(api, to_lowercase=True, sound_words_field="fox=>cat", response_format="pcm"))
    heard = "the quick brown cat jumps over the lazy dog."
    np.testing.assert_array_equal(said, speech_of(heard, 7))


def test_what_has_no_effect_is_named_as_the_client_named_it(api: RunningApi) -> None:
    powerless = {"instructions": "Whisper.", "exaggeration": 0.9, "stream": True}
    response = speak(api, **powerless, text="Other.", speed_factor=2, response_format="pcm")
    ignored = response.headers["x-ignored-parameters"].split(",")
    assert ignored == ["exaggeration", "instructions", "stream", "speed_factor", "text"]
    np.testing.assert_array_equal(pcm(response), speech_of(ONE, 7))


def test_a_voice_that_cannot_be_made_here_is_named_as_ignored(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path, conversion=ShapelessConversion()) as api:
        assert speak(api, voice="onyx").headers["x-ignored-parameters"] == "voice"
        assert "x-ignored-parameters" not in speak(api, voice="alloy").headers


def test_a_request_of_openais_fields_alone_has_nothing_ignored(api: RunningApi) -> None:
    response = speak(api, speed=1.0, response_format="wav", stream_format="audio")
    assert "x-ignored-parameters" not in response.headers


def test_events_carry_the_one_container_and_its_usage(api: RunningApi) -> None:
    response = speak(api, stream_format="sse", response_format="wav")
    *deltas, done = events(response)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert audio == speak(api, response_format="wav").content
    seconds = len(speech_of(ONE, 7)) / 24_000
    assert done["type"] == "speech.audio.done"
    assert done["usage"] == {
        "input_tokens": len(ONE),
        "output_tokens": round(seconds * 25),
        "total_tokens": len(ONE) + round(seconds * 25),
    }


def test_a_failure_after_audio_is_an_event_and_breaks_the_body(tmp_path: Path) -> None:
    body = {**ASKED, "input": " ".join(CHUNKS), "stream_format": "sse"}
    with running_api(FakeEngine(fail_at_chunk=2), tmp_path) as api:
        received: list[bytes] = []
        with (
            api.client.stream("POST", "/v1/audio/speech", json=body) as response,
            pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        ):
            received.extend(response.iter_raw())
    text = b"".join(received).decode()
    last = json.loads(text.rstrip().rsplit("\n\n", 1)[-1].removeprefix("data: "))
    assert last["type"] == "error"
    assert last["error"]["type"] == "server_error"
    assert last["error"]["code"] == "generation_failed"


def test_a_failure_after_audio_breaks_the_plain_body(tmp_path: Path) -> None:
    body = {**ASKED, "input": " ".join(CHUNKS)}
    with (
        running_api(FakeEngine(fail_at_chunk=2), tmp_path) as api,
        api.client.stream("POST", "/v1/audio/speech", json=body) as response,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
    ):
        response.read()


def test_an_uploaded_voice_speaks_and_is_not_kept(api: RunningApi) -> None:
    said = pcm(upload(api, response_format="pcm"))
    np.testing.assert_array_equal(said, converted_of(speech_of(ONE, 7), spoken()))
    assert files_below(api.voices) == []
    wait_until(lambda: files_below(api.vc_inputs) == [])


def test_an_uploaded_voice_may_be_larger_than_a_json_body(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, limits={"max_body_bytes": 2048})
    with running_api(FakeEngine(), tmp_path, settings) as api:
        assert upload(api).status_code == 200


def test_an_upload_takes_the_same_fields_and_no_other_voice(api: RunningApi) -> None:
    response = upload(api, speed="4", stream_format="sse", voice="onyx", instructions="Whisper.")
    assert events(response)[-1]["type"] == "speech.audio.done"
    assert response.headers["x-warnings"].startswith("speed: 4 ")
    assert response.headers["x-ignored-parameters"] == "instructions,voice"


def test_the_stored_copy_is_an_output_like_any_other(api: RunningApi) -> None:
    response = speak(api, response_format="wav")
    name = response.headers["content-disposition"].split('"')[1]
    (listed,) = api.client.get("/api/v1/outputs").json()["files"]
    assert listed["filename"] == name
    assert api.client.get(f"/outputs/{name}").content[44:] == response.content[44:]


def test_a_page_of_another_origin_may_read_the_warnings(api: RunningApi) -> None:
    origin = {"Origin": "http://localhost:3000"}
    response = api.client.post("/v1/audio/speech", json={**ASKED, "speed": 4}, headers=origin)
    exposed = response.headers["access-control-expose-headers"].lower()
    assert {"x-warnings", "x-ignored-parameters"} <= set(exposed.split(", "))


def test_options_that_are_null_are_left_out(api: RunningApi) -> None:
    """Wrappers of the SDKs send every option that they have."""
    plain = speak(api)
    response = speak(api, response_format=None, speed=None, stream_format=None, instructions=None)
    assert response.content == plain.content
    assert "x-ignored-parameters" not in response.headers
    assert upload(api, response_format="", speed="").status_code == 200
    assert speak(api, input=None).status_code == 400
