"""Every error below /v1/ has OpenAI's shape: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.domain.errors import Overloaded
from serve_app.domain.types import PcmChunk, SpeechRequest
from serve_app.engines.fake import CAPABILITIES, FakeEngine
from tests.support.direct import RunningApi, running_api, settings_in
from tests.support.uploads import spoken, wav_of

ASKED = {"model": "tts-1", "input": "Hello there.", "voice": "alloy"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for all: what is refused leaves nothing behind."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("refusing")) as running:
        yield running


def assert_error(
    response: httpx.Response, status: int, code: str, param: str | None, mention: str = ""
) -> None:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(response.json()) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert (error["code"], error["param"]) == (code, param)
    assert mention in error["message"]
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("wrong", "status", "code", "param"),
    [
        ({"input": ""}, 400, "validation_error", "input"),
        ({"input": " \n"}, 400, "validation_error", "input"),
        ({"input": "🙂🙂"}, 400, "validation_error", "input"),
        ({"input": None}, 400, "validation_error", "input"),
        ({"input": "a" * 10_001}, 400, "text_too_long", "input"),
        ({"model": "whisper-1"}, 404, "model_not_found", "model"),
        ({"model": "tts-1-latest"}, 404, "model_not_found", "model"),
        ({"model": 1}, 400, "validation_error", "model"),
        ({"voice": "nobody"}, 404, "voice_not_found", "voice"),
        ({"voice": "../etc/passwd"}, 404, "voice_not_found", "voice"),
        ({"voice": {"id": "nobody"}}, 404, "voice_not_found", "voice"),
        ({"voice": {"name": "alloy"}}, 400, "validation_error", "voice"),
        ({"voice": ["alloy"]}, 400, "validation_error", "voice"),
        ({"voice": "https://example.com/a.wav"}, 400, "url_not_allowed", "voice"),
        ({"response_format": "midi"}, 400, "validation_error", "response_format"),
        ({"speed": 0.24}, 400, "validation_error", "speed"),
        ({"speed": 4.01}, 400, "validation_error", "speed"),
        ({"speed": "fast"}, 400, "validation_error", "speed"),
        ({"stream_format": "ws"}, 400, "validation_error", "stream_format"),
        ({"temperature": 9}, 400, "validation_error", "temperature"),
        ({"language": "xx"}, 400, "validation_error", "language"),
        ({"sound_words_field": "=>x"}, 400, "validation_error", "sound_words_field"),
    ],
)
def test_a_wrong_field_is_named(
    api: RunningApi, wrong: dict[str, Any], status: int, code: str, param: str
) -> None:
    response = api.client.post("/v1/audio/speech", json={**ASKED, **wrong})
    assert_error(response, status, code, param)
    assert api.files() == []


def test_a_message_speaks_of_the_clients_field(api: RunningApi) -> None:
    response = api.client.post("/v1/audio/speech", json={**ASKED, "input": "a" * 10_001})
    assert_error(response, 400, "text_too_long", "input", "input: 10001 characters")


def test_the_input_is_required(api: RunningApi) -> None:
    response = api.client.post("/v1/audio/speech", json={"model": "tts-1"})
    assert_error(response, 400, "missing_required_field", "input")


def test_an_unknown_model_is_told_which_there_are(api: RunningApi) -> None:
    response = api.client.post("/v1/audio/speech", json={**ASKED, "model": "tts-9"})
    assert_error(response, 404, "model_not_found", "model", "The model `tts-9` does not exist")
    assert (
        "There are fake, tts-1, tts-1-hd, gpt-4o-mini-tts." in response.json()["error"]["message"]
    )


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"null", b"\xff"])
def test_a_body_that_is_no_json_object(api: RunningApi, body: bytes) -> None:
    response = api.client.post("/v1/audio/speech", content=body, headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_the_wrong_kind_of_body(api: RunningApi) -> None:
    form = api.client.post("/v1/audio/speech", data=ASKED)
    assert_error(form, 415, "unsupported_media_type", None, "Content-Type: application/json")
    json = api.client.post("/v1/audio/speech/upload", json=ASKED)
    assert_error(json, 415, "unsupported_media_type", None, "multipart/form-data")


def test_a_body_over_the_limit(api: RunningApi) -> None:
    response = api.client.post("/v1/audio/speech", json={**ASKED, "input": "a" * 1_100_000})
    assert_error(response, 413, "file_too_large", None)


def test_unknown_routes_and_methods(api: RunningApi) -> None:
    response = api.client.post("/v1/chat/completions", json={})
    assert_error(response, 404, "resource_not_found", None, "/v1/chat/completions")
    response = api.client.get("/v1/audio/speech")
    assert_error(response, 405, "method_not_allowed", None, "GET")


@pytest.mark.parametrize(
    ("files", "fields", "status", "code", "param"),
    [
        ({}, {}, 400, "missing_required_field", "voice_file"),
        ({"voice_file": ("a.wav", b"no audio")}, {}, 400, "invalid_audio", None),
        ({"voice_file": ("a.wav", wav_of(spoken()))}, {"speed": "9"}, 400, "validation_error",
         "speed"),
        ({"voice_file": ("a.wav", wav_of(spoken()))}, {"model": "x"}, 404, "model_not_found",
         "model"),
        ({"voice_file": ("a.wav", wav_of(spoken()))}, {"language": "xx"}, 400, "validation_error",
         "language"),
    ],
)  # fmt: skip
def test_a_refused_upload_leaves_nothing(
    api: RunningApi, files: Any, fields: dict[str, str], status: int, code: str, param: str | None
) -> None:
    data = {"input": "Hello.", **fields}
    response = api.client.post(
        "/v1/audio/speech/upload", data=data, files=files or {"other": ("a", b"")}
    )
    assert_error(response, status, code, param)
    assert not [f for f in api.vc_inputs.rglob("*") if f.is_file()]


def test_an_upload_over_the_limit(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, limits={"max_upload_bytes": 2048})
    with running_api(FakeEngine(), tmp_path, settings) as api:
        files = {"voice_file": ("a.wav", wav_of(spoken()))}
        response = api.client.post("/v1/audio/speech/upload", data=ASKED, files=files)
        assert_error(response, 413, "file_too_large", None)


def test_a_failure_before_audio_is_a_status(tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=0), tmp_path) as api:
        for stream_format in ("audio", "sse"):
            body = {**ASKED, "stream_format": stream_format}
            response = api.client.post("/v1/audio/speech", json=body)
            assert_error(response, 500, "generation_failed", None)


class BusyEngine:
    """Has no place for anybody."""

    capabilities = CAPABILITIES

    def speak(self, request: SpeechRequest) -> Iterator[PcmChunk]:
        raise Overloaded(f"Every queue is full, {request.request_id}.", retry_after=7)
        yield


def test_a_busy_service_says_when_to_come_back(tmp_path: Path) -> None:
    with running_api(BusyEngine(), tmp_path) as api:
        response = api.client.post("/v1/audio/speech", json=ASKED)
        assert_error(response, 503, "service_overloaded", None, "Every queue is full")
        assert response.headers["retry-after"] == "7"


def test_the_native_api_keeps_its_own_shape(api: RunningApi) -> None:
    assert api.client.get("/api/v1/nothing").json()["error_code"] == "RESOURCE_NOT_FOUND"
