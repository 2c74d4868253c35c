"""POST /vc: contract sections 1 and 3."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, Samples
from serve_app.engines.fake import FakeEngine
from serve_app.engines.fake_conversion import FakeConversionEngine, converted_of
from tests.audio_tools import decode
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.recordings import with_ffmpeg
from tests.support.uploads import (
    RATE,
    accepted,
    assert_refused,
    samples_in,
    spoken,
    upload_input,
    upload_voice,
    wav_of,
)

TALK = spoken(11, 2.0)
ALICE, BOB = spoken(1), spoken(2)
BODY = {"input_audio_source": "talk.wav", "target_voice_source": "alice.wav"}
NAME = r"vc_\d{4}-\d\d-\d\d_\d{6}_\d{6}_chunk60_overlap0\.1_voicealice"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with an input and a voice."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("vc")) as running:
        yield stocked(running)


def stocked(api: RunningApi) -> RunningApi:
    accepted(upload_input(api, "talk.wav", wav_of(TALK)))
    accepted(upload_voice(api, "alice.wav", wav_of(ALICE)))
    return api


def convert(api: RunningApi, **body: Any) -> httpx.Response:
    return api.client.post("/api/v1/vc", json={**BODY, **body})


def convert_form(api: RunningApi, files: dict[str, bytes], **fields: str) -> httpx.Response:
    named = {name: (f"{name}.wav", content) for name, content in files.items()}
    return api.client.post("/api/v1/vc", files=named, data=fields)


def assert_converted(response: httpx.Response, target: Samples = ALICE) -> None:
    assert response.status_code == 200, response.text
    np.testing.assert_array_equal(samples_in(response.content), converted_of(TALK, target))


def library_files(api: RunningApi) -> list[str]:
    """What lies below the voices and inputs, hidden files too."""
    return [*files_below(api.voices), *files_below(api.vc_inputs)]


def use(api: RunningApi, listing: str) -> tuple[int, str | None]:
    (file,) = accepted(api.client.get(f"/api/v1/{listing}"))[listing]
    return file["usage_count"], file["last_used"]


def test_json(shared: RunningApi) -> None:
    assert_converted(convert(shared))


def test_headers_of_a_stream(shared: RunningApi) -> None:
    response = convert(shared, export_formats=["wav", "mp3", "flac"])
    name = re.fullmatch(
        rf'attachment; filename="({NAME})\.wav"', response.headers["content-disposition"]
    )
    assert name
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-sample-rate"] == "24000"
    alternatives = response.headers["x-alternative-formats"]
    assert alternatives == f"mp3:/outputs/{name[1]}.mp3|flac:/outputs/{name[1]}.flac"
    for path in re.findall(r"/outputs/[^|]+", alternatives):
        assert shared.client.get(path).status_code == 200


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_format_has_the_length_of_the_input(
    shared: RunningApi, audio_format: AudioFormat
) -> None:
    response = convert(shared, export_formats=[audio_format])
    name = response.headers["content-disposition"].split('"')[1]
    for content in (response.content, shared.client.get(f"/outputs/{name}").content):
        samples, rate = decode(content, audio_format, 8000 if "law" in audio_format else RATE)
        assert len(samples) / rate == pytest.approx(len(TALK) / RATE, abs=0.08)


@pytest.mark.parametrize("seconds", [0.1, 0.37, 1.0, 7.31])
def test_any_length_comes_out_as_long_as_it_went_in(shared: RunningApi, seconds: float) -> None:
    talk = spoken(3, seconds)
    response = convert_form(shared, {"input_audio": wav_of(talk)}, target_voice_source="alice",
                            chunk_sec="1", overlap_sec="0.2", export_formats="wav")  # fmt: skip
    assert len(samples_in(response.content)) == len(talk)


def test_json_mode(shared: RunningApi) -> None:
    answer = accepted(convert(shared, response_mode="url"))
    assert {"message", "processing_time_seconds", "timestamp", "request_id"} <= set(answer)
    assert "generation_seed_used" not in answer
    assert answer["duration_seconds"] == pytest.approx(2.0, abs=0.01)
    assert [file["format"] for file in answer["output_files"]] == ["wav", "mp3"]
    wav = answer["output_files"][0]
    assert set(wav) == {"format", "filename", "url", "path"}
    assert re.fullmatch(rf"{NAME}\.wav", wav["filename"])
    assert_converted(httpx.get(wav["url"]))


@pytest.mark.parametrize("mode", ["stream", "file", "download"])
def test_modes_that_stream(shared: RunningApi, mode: str) -> None:
    response = shared.client.post("/api/v1/vc", params={"response_mode": mode}, json=BODY)
    assert_converted(response)


def test_return_format_chooses_what_is_streamed(shared: RunningApi) -> None:
    response = convert(shared, export_formats=["wav", "flac"], return_format="flac")
    assert response.headers["content-type"] == "audio/flac"
    refused = convert(shared, export_formats=["wav"], return_format="flac")
    assert_refused(refused, 400, "UNSUPPORTED_FORMAT")


def test_a_form_with_the_name_of_a_voice(shared: RunningApi) -> None:
    files = {"input_audio": wav_of(TALK)}
    assert_converted(convert_form(shared, files, target_voice_source="alice"))


def test_a_form_with_both_files(shared: RunningApi) -> None:
    files = {"input_audio": wav_of(TALK), "target_voice": wav_of(BOB)}
    assert_converted(convert_form(shared, files), BOB)


def test_a_form_with_the_name_of_an_input(shared: RunningApi) -> None:
    files = {"target_voice": wav_of(BOB)}
    assert_converted(convert_form(shared, files, input_audio_source="talk.wav"), BOB)


def test_a_form_with_an_mp3(shared: RunningApi) -> None:
    files = {"input_audio": with_ffmpeg("mp3", "libmp3lame")}
    response = convert_form(shared, files, target_voice_source="alice")
    assert len(samples_in(response.content)) / RATE == pytest.approx(1.25, rel=0.01)


@pytest.mark.parametrize("formats", ["flac,wav", '["flac", "wav"]', " flac , wav "])
def test_formats_of_a_form_are_a_comma_string_or_json(shared: RunningApi, formats: str) -> None:
    response = convert_form(shared, {"input_audio": wav_of(TALK)}, target_voice_source="alice",
                            export_formats=formats)  # fmt: skip
    assert response.headers["content-type"] == "audio/flac"
    assert response.headers["x-alternative-formats"].startswith("wav:/outputs/vc_")


@pytest.mark.parametrize("mode", ["stream", "url"])
def test_uploads_that_come_with_the_request_are_not_kept(api: RunningApi, mode: str) -> None:
    files = {"input_audio": wav_of(TALK), "target_voice": wav_of(BOB)}
    assert convert_form(api, files, response_mode=mode).status_code == 200
    wait_until(lambda: library_files(api) == [], seconds=3)
    assert accepted(api.client.get("/api/v1/vc_inputs"))["total"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"target_voice_source": "nobody"}, {"target_voice_source": "alice", "chunk_sec": "0"},
        {"target_voice_source": "alice", "export_formats": "midi"},
        {"target_voice_source": "alice", "project": "../up"},
        {"target_voice_source": "alice", "project": "a", "folder": "b"},
        {"target_voice_source": "alice", "response_mode": "fax"}, {},
    ],
    ids=str,
)  # fmt: skip
def test_uploads_of_refused_requests_are_not_kept(shared: RunningApi, fields: dict) -> None:
    before = library_files(shared)
    response = convert_form(shared, {"input_audio": wav_of(BOB)}, **fields)
    assert response.status_code in (400, 404)
    assert library_files(shared) == before


def test_uploads_are_not_kept_when_the_other_is_no_audio(shared: RunningApi) -> None:
    before = library_files(shared)
    files = {"input_audio": wav_of(BOB), "target_voice": b"no audio" * 100}
    assert_refused(convert_form(shared, files), 400, "INVALID_AUDIO")
    assert library_files(shared) == before


@pytest.mark.parametrize(
    ("body", "mention"),
    [
        ({}, "input_audio_source"),
        ({"input_audio_source": "talk.wav"}, "target_voice_source"),
        ({"target_voice_source": "alice.wav"}, "input_audio_source"),
    ],
)
def test_missing_fields_of_json(shared: RunningApi, body: dict, mention: str) -> None:
    error = assert_refused(
        shared.client.post("/api/v1/vc", json=body), 400, "MISSING_REQUIRED_FIELD"
    )
    assert mention in error["error"]


def test_missing_fields_of_a_form(shared: RunningApi) -> None:
    voiceless = convert_form(shared, {"input_audio": wav_of(TALK)})
    assert_refused(voiceless, 400, "MISSING_REQUIRED_FIELD")
    silent = convert_form(shared, {"target_voice": wav_of(TALK)})
    assert_refused(silent, 400, "MISSING_REQUIRED_FIELD")


@pytest.mark.parametrize(
    "fields",
    [{"chunk_sec": 1}, {"chunk_sec": 300}, {"overlap_sec": 0}, {"overlap_sec": 5}],
    ids=str,
)
def test_bounds_are_within(shared: RunningApi, fields: dict) -> None:
    assert_converted(convert(shared, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"chunk_sec": 0.9}, {"chunk_sec": 301}, {"overlap_sec": -0.1}, {"overlap_sec": 5.1},
        {"chunk_sec": "long"}, {"overlap_sec": None}, {"export_formats": []},
        {"project": "../up"}, {"project": "a", "folder": "b"}, {"response_mode": "fax"},
        {"input_audio_source": ""}, {"target_voice_source": 5},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_bounds_are_refused(shared: RunningApi, fields: dict) -> None:
    used = use(shared, "voices")
    assert_refused(convert(shared, **fields), 400, "VALIDATION_ERROR")
    assert use(shared, "voices") == used


def test_unknown_names(shared: RunningApi) -> None:
    nobody = convert(shared, target_voice_source="nobody.wav")
    assert_refused(nobody, 404, "VOICE_NOT_FOUND")
    nothing = convert(shared, input_audio_source="nothing.wav")
    assert_refused(nothing, 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_other_bodies_are_told_what_to_be(shared: RunningApi, content_type: str) -> None:
    response = shared.client.post(
        "/api/v1/vc", content=b"input_audio_source=talk.wav", headers={"Content-Type": content_type}
    )
    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object(shared: RunningApi, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = shared.client.post("/api/v1/vc", content=body, headers=headers)
    assert_refused(response, 400, "VALIDATION_ERROR")


def test_inputs_and_voices_are_counted_exactly_under_concurrency(api: RunningApi) -> None:
    stocked(api)

    def convert_once(_: int) -> int:
        body = {**BODY, "export_formats": ["wav"]}
        return httpx.post(f"{api.url}/api/v1/vc", json=body, timeout=30).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(convert_once, range(12))) == {200}
    for listing in ("vc_inputs", "voices"):
        count, last_used = use(api, listing)
        assert count == 12
        assert datetime.fromisoformat(last_used or "").tzinfo


def test_project_is_a_folder_below_outputs(shared: RunningApi) -> None:
    answer = accepted(convert(shared, response_mode="url", project="books/one"))
    assert answer["output_files"][0]["path"].startswith("/outputs/books/one/vc_")


def test_the_name_holds_ten_characters_of_the_voice(api: RunningApi) -> None:
    stocked(api)
    accepted(upload_voice(api, "Montgomery the Great.wav"))
    response = convert(api, target_voice_source="Montgomery the Great", chunk_sec=30,
                       overlap_sec=1.5)  # fmt: skip
    assert "_chunk30_overlap1.5_voiceMontgomery.wav" in response.headers["content-disposition"]


def test_what_has_no_effect_is_said(shared: RunningApi) -> None:
    response = convert(shared, pitch_shift=2, disable_watermark=True)
    assert response.headers["x-ignored-parameters"] == "pitch_shift"
    answer = accepted(convert(shared, pitch_shift=2, response_mode="url"))
    assert any("pitch_shift" in warning for warning in answer["warnings"])


def test_audio_leaves_while_the_rest_is_being_converted(tmp_path: Path) -> None:
    """A minute comes in pieces that take 50 ms each."""
    delay = 0.05
    engine = FakeConversionEngine(piece_delay_s=delay)
    with running_api(FakeEngine(), tmp_path, conversion=engine) as api:
        accepted(upload_input(api, "long.wav", wav_of(np.tile(TALK, 30))))
        accepted(upload_voice(api, "alice.wav", wav_of(ALICE)))
        body = {**BODY, "input_audio_source": "long.wav", "chunk_sec": 5}
        with api.client.stream("POST", "/api/v1/vc", json=body) as response:
            arrivals = [(time.monotonic(), len(data)) for data in response.iter_raw()]
    early = sum(size for moment, size in arrivals if moment < arrivals[-1][0] - 3 * delay)
    assert early > 0.3 * sum(size for _, size in arrivals), arrivals


def test_leaving_frees_the_engine_and_leaves_no_file(tmp_path: Path) -> None:
    engine = FakeConversionEngine(piece_delay_s=0.1)
    with running_api(FakeEngine(), tmp_path, conversion=engine) as api:
        stocked(api)
        files = {"input_audio": ("a.wav", wav_of(np.tile(TALK, 30)))}
        fields = {"target_voice_source": "alice", "chunk_sec": "1"}
        with api.client.stream("POST", "/api/v1/vc", files=files, data=fields) as response:
            body = response.iter_raw()
            next(body)
            assert api.conversion.open_streams == 1
        wait_until(lambda: api.conversion.open_streams == 0, seconds=3)
        wait_until(lambda: api.files() == [])
        wait_until(lambda: not [f for f in files_below(api.vc_inputs) if f.startswith(".")])


@pytest.mark.parametrize("mode", ["stream", "url"])
def test_a_failure_before_audio_is_a_status(tmp_path: Path, mode: str) -> None:
    engine = FakeConversionEngine(fail_at_piece=0)
    with running_api(FakeEngine(), tmp_path, conversion=engine) as api:
        response = convert(stocked(api), response_mode=mode)
        assert_refused(response, 500, "GENERATION_FAILED")
        assert api.files() == []


def test_a_failure_after_audio_breaks_the_body(tmp_path: Path) -> None:
    engine = FakeConversionEngine(fail_at_piece=1)
    with running_api(FakeEngine(), tmp_path, conversion=engine) as api:
        stocked(api)
        files = {"input_audio": ("a.wav", wav_of(np.tile(TALK, 3)))}
        fields = {"target_voice_source": "alice", "chunk_sec": "1"}
        with api.client.stream("POST", "/api/v1/vc", files=files, data=fields) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                response.read()
        wait_until(lambda: api.files() == [])
        wait_until(lambda: not [f for f in files_below(api.vc_inputs) if f.startswith(".")])
