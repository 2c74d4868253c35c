"""POST /api/v1/tts in JSON mode."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import FakeEngine, speech_of
from tests.audio_tools import decode
from tests.support.direct import RunningApi, running_api, settings_in

ONE = "The quick brown fox jumps over the lazy dog."


def speak(api: RunningApi, **body: object) -> httpx.Response:
    return api.client.post("/api/v1/tts", params={"response_mode": "url"}, json=body)


def test_the_answer_names_files_that_can_be_fetched(api: RunningApi) -> None:
    answer = speak(api, text=ONE, seed=9, export_formats=["flac", "wav", "mp3"]).json()
    assert answer["success"] is True
    assert [file["format"] for file in answer["output_files"]] == ["flac", "wav", "mp3"]
    assert answer["generation_seed_used"] == 9
    assert answer["duration_seconds"] == pytest.approx(len(speech_of(ONE, 9)) / 24_000, abs=1e-3)
    for file in answer["output_files"]:
        assert file["url"] == api.url + file["path"]
        assert file["path"] == f"/outputs/{file['filename']}"
        samples, rate = decode(httpx.get(file["url"]).content, AudioFormat(file["format"]))
        assert len(samples) / rate == pytest.approx(answer["duration_seconds"], abs=0.08)


def test_the_answer_has_every_member(api: RunningApi) -> None:
    answer = speak(api, text=ONE).json()
    assert {
        "success", "message", "output_files", "generation_seed_used", "processing_time_seconds",
        "duration_seconds", "timestamp", "request_id", "warnings",
    } <= set(answer)  # fmt: skip


@pytest.mark.parametrize("place", ["query", "body"])
def test_the_mode_is_read_from_query_or_body(api: RunningApi, place: str) -> None:
    body = {"text": ONE, **({"response_mode": "url"} if place == "body" else {})}
    params = {"response_mode": "url"} if place == "query" else {}
    answer = api.client.post("/api/v1/tts", params=params, json=body)
    assert answer.json()["success"] is True


def test_the_query_wins_over_the_body(api: RunningApi) -> None:
    body = {"text": ONE, "response_mode": "url"}
    answer = api.client.post("/api/v1/tts", params={"response_mode": "download"}, json=body)
    assert answer.headers["content-type"] == "audio/wav"


def test_project_is_a_folder_below_outputs(api: RunningApi) -> None:
    answer = speak(api, text=ONE, project="books/alice", export_formats=["wav"]).json()
    (file,) = answer["output_files"]
    assert file["path"].startswith("/outputs/books/alice/tts_")
    assert api.client.get(file["path"]).status_code == 200


def test_what_is_ignored_is_said_in_words(api: RunningApi) -> None:
    warnings = speak(api, text=ONE, cfg_weight=0.3, bypass_whisper_checking=False).json()[
        "warnings"
    ]
    assert any("cfg_weight" in sentence for sentence in warnings)
    assert any("no transcriber" in sentence for sentence in warnings)


def test_loudness_is_normalised_in_every_file(api: RunningApi) -> None:
    answer = speak(
        api, text=ONE, normalize_audio=True, normalize_method="peak", normalize_level=-12,
        export_formats=["wav", "flac"],
    ).json()  # fmt: skip
    for file in answer["output_files"]:
        content = api.client.get(file["path"]).content
        samples, _ = decode(content, AudioFormat(file["format"]))
        peak = np.abs(np.asarray(samples, np.float64)).max()
        scale = 32_768 if peak > 1 else 1
        assert peak / scale == pytest.approx(10 ** (-12 / 20), rel=0.02)


def test_forwarded_headers_count_only_from_trusted_proxies(tmp_path) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "speech.example"}
    trusting = settings_in(tmp_path, http={"trusted_proxies": ("127.0.0.0/8",)})
    for settings, base in (
        (trusting, "https://speech.example"),
        (settings_in(tmp_path), "http://127.0.0.1"),
    ):
        with running_api(FakeEngine(), tmp_path, settings) as api:
            answer = api.client.post(
                "/api/v1/tts?response_mode=url", json={"text": ONE}, headers=headers
            ).json()
        assert answer["output_files"][0]["url"].startswith(base)


def test_a_failure_is_a_status_and_leaves_no_file(tmp_path) -> None:
    with running_api(FakeEngine(fail_at_chunk=1), tmp_path) as api:
        response = speak(api, text="First sentence is here. Second sentence is here.")
        assert response.status_code == 500
        assert api.files() == []
