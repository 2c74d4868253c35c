"""Errors: one shape, the right status, and a sentence that says what to do."""

from __future__ import annotations

from typing import NoReturn

import pytest

from serve_app.api import speaking
from serve_app.api.errors import STATUS_AND_CODE
from serve_app.domain import errors
from serve_app.domain.errors import SpeechServiceError
from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api, settings_in

MEMBERS = {
    "success", "error", "error_message", "error_code", "detail", "request_id", "timestamp",
}  # fmt: skip


def assert_error(response, status: int, code: str, *mentions: str) -> None:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == MEMBERS
    assert body["success"] is False
    assert body["error"] == body["error_message"]
    assert body["error_code"] == code
    assert body["request_id"] == response.headers["x-request-id"]
    for mention in mentions:
        assert mention in body["error"]


@pytest.mark.parametrize(
    ("body", "status", "code", "mention"),
    [
        ({}, 400, "MISSING_REQUIRED_FIELD", "text"),
        ({"text": ""}, 400, "VALIDATION_ERROR", "text"),
        ({"text": "  \n "}, 400, "VALIDATION_ERROR", "text"),
        ({"text": "🙂🙂"}, 400, "VALIDATION_ERROR", "text"),
        ({"text": None}, 400, "VALIDATION_ERROR", "text"),
        ({"text": ["a"]}, 400, "VALIDATION_ERROR", "text"),
        ({"text": "a" * 10_001}, 400, "TEXT_TOO_LONG", "10000"),
        ({"text": "Hi.", "export_formats": ["midi"]}, 400, "UNSUPPORTED_FORMAT", "midi"),
        ({"text": "Hi.", "export_formats": []}, 400, "VALIDATION_ERROR", "export_formats"),
        ({"text": "Hi.", "return_format": "opus"}, 400, "UNSUPPORTED_FORMAT", "return_format"),
        ({"text": "Hi.", "exaggeration": 2.1}, 400, "VALIDATION_ERROR", "exaggeration"),
        ({"text": "Hi.", "temperature": -0.1}, 400, "VALIDATION_ERROR", "temperature"),
        ({"text": "Hi.", "temperature": "warm"}, 400, "VALIDATION_ERROR", "temperature"),
        ({"text": "Hi.", "cfg_weight": 3.5}, 400, "VALIDATION_ERROR", "cfg_weight"),
        ({"text": "Hi.", "seed": -1}, 400, "VALIDATION_ERROR", "seed"),
        ({"text": "Hi.", "seed": 10**200}, 400, "VALIDATION_ERROR", "seed"),
        ({"text": "Hi.", "seed": 1.5}, 400, "VALIDATION_ERROR", "seed"),
        ({"text": "Hi.", "speed_factor": 0.4}, 400, "VALIDATION_ERROR", "speed_factor"),
        ({"text": "Hi.", "speed_factor_library": "x"}, 400, "VALIDATION_ERROR", "speed_factor_l"),
        ({"text": "Hi.", "trim_threshold_ms": 49}, 400, "VALIDATION_ERROR", "trim_threshold_ms"),
        ({"text": "Hi.", "normalize_method": "loud"}, 400, "VALIDATION_ERROR", "normalize_method"),
        ({"text": "Hi.", "language": "xx"}, 400, "VALIDATION_ERROR", "en, de"),
        ({"text": "Hi.", "response_mode": "fax"}, 400, "VALIDATION_ERROR", "response_mode"),
        ({"text": "Hi.", "project": "../up"}, 400, "VALIDATION_ERROR", "project"),
        ({"text": "Hi.", "project": "a", "folder": "b"}, 400, "VALIDATION_ERROR", "folder"),
        ({"text": "Hi.", "sound_words_field": "=>x"}, 400, "VALIDATION_ERROR", "sound_words"),
        (
            {"text": "a " * 3000, "sound_words_field": "a=>bcd efgh"},
            400,
            "TEXT_TOO_LONG",
            "characters",
        ),
        (
            {"text": "a", "sound_words_field": "a=>" + "b" * 201},
            400,
            "VALIDATION_ERROR",
            "sound_words_field",
        ),
        ({"text": "Hi.", "reference_audio_filename": "no"}, 404, "VOICE_NOT_FOUND", "no"),
    ],
)
def test_bad_requests(api: RunningApi, body: dict, status: int, code: str, mention: str) -> None:
    assert_error(api.client.post("/api/v1/tts", json=body), status, code, mention)
    assert api.files() == []


def test_a_validation_error_says_which_field_and_why(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", json={"text": "Hi.", "temperature": 9, "seed": -1})
    assert_error(response, 400, "VALIDATION_ERROR", "temperature", "less than or equal to 2")
    assert len(response.json()["detail"]) == 2


@pytest.mark.parametrize("body", [b"{", b'{"text": ', b"[]", b'"text"', b"\xff\xfe", b""])
def test_a_body_that_is_no_json_object(api: RunningApi, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.client.post("/api/v1/tts", content=body, headers=headers)
    assert response.status_code == 400
    assert set(response.json()) == MEMBERS


@pytest.mark.parametrize("mode", ["stream", "url"])
@pytest.mark.parametrize(
    "body",
    [
        '{"text": "hi", "\\ud800": 1}',
        '{"text": "hi \\ud800 there"}',
        '{"text": "\\ud800"}',
        '{"text": "\\u0000\\u0001 a"}',
        '{"text": "hi", "language": "\\ud800"}',
        '{"text": "hi", "reference_audio_filename": "\\ud800"}',
        '{"text": "hi", "export_formats": ["\\ud800"]}',
        '{"text": "hi", "export_formats": {"a": 1}}',
        '{"text": "hi", "project": "a\\u0000b"}',
        '{"text": "hi", "x\\r\\nSet-Cookie: a": 1}',
        '{"text": "hi", "temperature": NaN}',
        '{"text": "hi", "seed": 1e400}',
        '{"text": "' + "(" * 9_999 + '"}',
        '{"text": "' + "a." * 5_000 + '"}',
        '{"text": "' + "\u0301" * 9_000 + 'a"}',
        "null",
    ],
)
def test_hostile_bodies_are_spoken_or_refused(api: RunningApi, body: str, mode: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.client.post(
        "/api/v1/tts", params={"response_mode": mode}, content=body.encode(), headers=headers
    )
    assert response.status_code in (200, 400, 404), response.text
    assert "set-cookie" not in response.headers


def test_broken_json_says_where_it_breaks(api: RunningApi) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.client.post("/api/v1/tts", content=b'{"text": "hi', headers=headers)
    assert_error(response, 400, "VALIDATION_ERROR", "body, character 9: not valid JSON")


def test_a_form_is_told_to_be_json(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", data={"text": "Hi."})
    assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type: application/json")


@pytest.mark.parametrize("declared", [True, False], ids=["with a length", "chunked"])
def test_a_body_over_the_limit(api: RunningApi, declared: bool) -> None:
    body = b'{"text": "' + b"a" * 1_100_000 + b'"}'
    content = body if declared else iter([body[:600_000], body[600_000:]])
    headers = {"Content-Type": "application/json"}
    response = api.client.post("/api/v1/tts", content=content, headers=headers)
    assert_error(response, 413, "FILE_TOO_LARGE")


def test_unknown_routes_and_methods(api: RunningApi) -> None:
    assert_error(api.client.get("/api/v1/nothing"), 404, "RESOURCE_NOT_FOUND", "/api/v1/nothing")
    assert_error(api.client.get("/api/v1/tts"), 405, "METHOD_NOT_ALLOWED", "GET")
    assert api.client.get("/api/v1/tts").headers["allow"] == "POST"


def test_the_text_limit_is_a_setting(tmp_path) -> None:
    settings = settings_in(tmp_path, limits={"max_text_chars": 20})
    with running_api(FakeEngine(), tmp_path, settings) as api:
        assert api.client.post("/api/v1/tts", json={"text": "a" * 20}).status_code == 200
        response = api.client.post("/api/v1/tts", json={"text": "a" * 21})
        assert_error(response, 400, "TEXT_TOO_LONG", "20")


def test_an_insane_request_id_is_replaced(api: RunningApi) -> None:
    for insane in ("x" * 129, "a b", "<script>", ""):
        response = api.client.get("/livez", headers={"X-Request-ID": insane})
        assert response.headers["x-request-id"] != insane
        assert len(response.headers["x-request-id"]) == 32


def test_every_error_of_the_tree_has_its_place_in_the_table() -> None:
    abstract = {SpeechServiceError, errors.Unavailable}
    tree = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, SpeechServiceError)
    }
    assert tree - abstract == set(STATUS_AND_CODE)


@pytest.mark.parametrize("path", ["/api/v1/tts", "/v1/audio/speech"])
def test_what_nobody_expected_can_be_reported_and_read_by_pages(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def broken(*_: object) -> NoReturn:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(speaking, "find_voice", broken)
    response = api.client.post(
        path, json={"text": "Hi.", "input": "Hi."}, headers={"Origin": "http://localhost:3000"}
    )
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"]
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"


@pytest.mark.parametrize("path", ["/api/v1/tts", "/v1/audio/speech"])
def test_what_no_header_or_body_can_carry_is_no_fault_of_ours(api: RunningApi, path: str) -> None:
    deep: object = []
    for _ in range(400):
        deep = [deep]
    body = {"text": "Hi.", "input": "Hi.", "deep": deep, **{f"field{n}": n for n in range(5000)}}
    response = api.client.post(path, json=body)
    assert response.status_code == 200
    assert len(response.headers["x-ignored-parameters"]) < 4000
    bad = api.client.post(
        path,
        content=b'{"text": "Hi.", "input": "Hi.", "model": "\\ud800", "language": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )
    assert 400 <= bad.status_code < 500
