"""POST /concat and /concat/mixed: contract section 7."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, Samples
from serve_app.engines.fake import FakeEngine
from tests.audio_tools import decode
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.parts import PLAIN, TEXTS, A, B, C, assert_within, with_parts
from tests.support.uploads import (
    RATE,
    accepted,
    assert_refused,
    samples_in,
    speak_files,
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with a.wav, b.wav and c.wav among its outputs."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("concat")) as api:
        yield with_parts(api)


def concat(api: RunningApi, *files: str, **body: Any) -> httpx.Response:
    return api.client.post("/api/v1/concat", json={"files": files, **body})


def joined(api: RunningApi, *files: str, **body: Any) -> Samples:
    response = concat(api, *files, **{**PLAIN, **body})
    assert response.status_code == 200, response.text
    return samples_in(response.content)


def test_files_follow_each_other(parts: RunningApi) -> None:
    whole = joined(parts, "a.wav", "b.wav", "c.wav")
    assert len(whole) == len(A) + len(B) + len(C)
    assert_within(whole, A, 0)
    assert_within(whole, B, len(A))
    assert_within(whole, C, len(A) + len(B))


def test_a_file_may_come_twice(parts: RunningApi) -> None:
    assert len(joined(parts, "a.wav", "a.wav")) == 2 * len(A)


@pytest.mark.parametrize("prefix", ["", "outputs/", "/outputs/"])
def test_files_may_be_named_as_the_answers_name_them(parts: RunningApi, prefix: str) -> None:
    assert len(joined(parts, f"{prefix}a.wav", f"{prefix}b.wav")) == len(A) + len(B)


@pytest.mark.parametrize("token", ["(500ms)", "(0.5s)", "( 500 ms )", "(500MS)"])
def test_a_silence_lies_between(parts: RunningApi, token: str) -> None:
    whole = joined(parts, "a.wav", token, "b.wav")
    assert len(whole) == len(A) + RATE // 2 + len(B)
    assert not whole[len(A) : len(A) + RATE // 2].any()
    assert_within(whole, B, len(A) + RATE // 2)


@pytest.mark.parametrize("files", [("a.wav", "(1.5s)"), ("(1.5s)", "a.wav")])
def test_one_file_and_a_silence_are_enough(parts: RunningApi, files: tuple[str, ...]) -> None:
    assert len(joined(parts, *files)) == len(A) + 3 * RATE // 2


@pytest.mark.parametrize(("token", "ms"), [("(50ms)", 50), ("(10s)", 10_000)])
def test_bounds_of_a_silence(parts: RunningApi, token: str, ms: int) -> None:
    assert len(joined(parts, "a.wav", token)) == len(A) + ms * RATE // 1000


def test_a_pause_lies_between_files(parts: RunningApi) -> None:
    whole = joined(parts, "a.wav", "b.wav", "c.wav", pause_duration_ms=300, pause_variation_ms=0)
    pause = 300 * RATE // 1000
    assert len(whole) == len(A) + len(B) + len(C) + 2 * pause
    assert not whole[len(A) : len(A) + pause].any()


def test_no_pause_is_added_to_a_silence(parts: RunningApi) -> None:
    whole = joined(parts, "a.wav", "(200ms)", "b.wav", pause_duration_ms=900, pause_variation_ms=0)
    assert len(whole) == len(A) + 200 * RATE // 1000 + len(B)


def test_pauses_vary_within_their_bounds(parts: RunningApi) -> None:
    pauses = {
        len(joined(parts, "a.wav", "b.wav", pause_duration_ms=500, pause_variation_ms=300))
        - len(A) - len(B)
        for _ in range(6)
    }  # fmt: skip
    assert len(pauses) > 1
    assert min(pauses) >= 200 * RATE // 1000
    assert max(pauses) <= 800 * RATE // 1000


def test_variation_without_a_pause_does_nothing(parts: RunningApi) -> None:
    assert len(joined(parts, "a.wav", "b.wav", pause_variation_ms=500)) == len(A) + len(B)


def test_a_crossfade_overlaps_neighbours(parts: RunningApi) -> None:
    whole = joined(parts, "a.wav", "b.wav", crossfade_ms=100)
    overlap = RATE // 10
    assert len(whole) == len(A) + len(B) - overlap
    np.testing.assert_array_equal(whole[: len(A) - overlap], A[:-overlap])
    np.testing.assert_array_equal(whole[len(A) :], B[overlap:])


def test_a_crossfade_is_no_longer_than_the_files(parts: RunningApi) -> None:
    whole = joined(parts, "a.wav", "b.wav", crossfade_ms=5000)
    assert max(len(A), len(B)) <= len(whole) < len(A) + len(B)


def test_wav_is_the_default_and_nothing_else(parts: RunningApi) -> None:
    response = concat(parts, "a.wav", "b.wav")
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["transfer-encoding"] == "chunked"
    assert "x-alternative-formats" not in response.headers
    assert re.match(
        r'attachment; filename="concat_\d{4}-\d\d-\d\d_\d{6}_\d{6}_[^"]*\.wav"',
        response.headers["content-disposition"],
    )


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_format(parts: RunningApi, audio_format: AudioFormat) -> None:
    response = concat(parts, "a.wav", "b.wav", export_formats=[audio_format])
    samples, rate = decode(response.content, audio_format, 8000 if "law" in audio_format else RATE)
    assert len(samples) / rate == pytest.approx((len(A) + len(B)) / RATE, abs=0.08)


def test_outputs_of_other_formats_are_joined_from_their_lossless_copy(api: RunningApi) -> None:
    files = [speak_files(api, text, export_formats=["mp3"])[0]["path"] for text in TEXTS[:2]]
    whole = joined(api, *files)
    assert len(whole) == len(A) + len(B)
    assert_within(whole, A, 0)
    assert_within(whole, B, len(A))


def test_json_mode(parts: RunningApi) -> None:
    body = {"response_mode": "url", "export_formats": ["wav", "mp3"], **PLAIN}
    answer = accepted(concat(parts, "a.wav", "(1s)", "b.wav", **body))
    seconds = (len(A) + len(B)) / RATE + 1
    assert answer["total_duration_seconds"] == pytest.approx(seconds, abs=0.001)
    assert answer["duration_seconds"] == answer["total_duration_seconds"]
    assert answer["file_count"] == 2
    assert isinstance(answer["metadata"], dict)
    assert {"message", "processing_time_seconds", "timestamp", "request_id"} <= set(answer)
    assert [file["format"] for file in answer["output_files"]] == ["wav", "mp3"]
    content = httpx.get(answer["output_files"][0]["url"]).content
    assert len(samples_in(content)) == len(A) + len(B) + RATE


def test_the_listing_says_what_was_joined(api: RunningApi) -> None:
    with_parts(api)
    assert concat(api, "a.wav", "(1s)", "b.wav").status_code == 200
    query = {"generation_type": "concat"}
    (file,) = accepted(api.client.get("/api/v1/outputs", params=query))["files"]
    assert file["source_files"] == ["a.wav", "b.wav"]


def test_output_filename(parts: RunningApi) -> None:
    body = {"response_mode": "url", "export_formats": ["wav", "flac"], "project": "books"}
    answer = accepted(concat(parts, "a.wav", "b.wav", output_filename="Chapter 1", **body))
    names = [file["filename"] for file in answer["output_files"]]
    assert names == ["Chapter 1.wav", "Chapter 1.flac"]
    for file in answer["output_files"]:
        assert httpx.get(file["url"]).status_code == 200
    again = concat(parts, "b.wav", "c.wav", output_filename="Chapter 1", **body)
    assert_refused(again, 409, "FILE_EXISTS")
    first = httpx.get(answer["output_files"][0]["url"]).content
    assert len(samples_in(first)) == len(A) + len(B)


def test_output_filename_in_the_stream(parts: RunningApi) -> None:
    response = concat(parts, "a.wav", "b.wav", output_filename="streamed")
    assert response.headers["content-disposition"] == 'attachment; filename="streamed.wav"'
    assert parts.client.get("/outputs/streamed.wav").status_code == 200
    again = concat(parts, "a.wav", "b.wav", output_filename="streamed")
    assert_refused(again, 409, "FILE_EXISTS")


@pytest.mark.parametrize(
    "files",
    [(), ("a.wav",), ("(1s)",), ("(1s)", "(1s)"), ("a.wav", "(40ms)"), ("a.wav", "(11s)"),
     ("a.wav", "(0ms)"), ("a.wav", ""), ("a.wav",) * 500],
    ids=lambda files: str(files)[:40],
)  # fmt: skip
def test_lists_that_cannot_be_joined(parts: RunningApi, files: tuple[str, ...]) -> None:
    assert_refused(concat(parts, *files), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("name", ["none.wav", "a", "(banana)", "parts/none.wav", "a.mp3", "parts"])
def test_files_that_are_not_there(parts: RunningApi, name: str) -> None:
    assert_refused(concat(parts, "a.wav", name), 404, "RESOURCE_NOT_FOUND")


def test_no_files_at_all(parts: RunningApi) -> None:
    response = parts.client.post("/api/v1/concat", json={})
    assert_refused(response, 400, "MISSING_REQUIRED_FIELD")


@pytest.mark.parametrize(
    "body",
    [
        {"crossfade_ms": -1}, {"crossfade_ms": 5001}, {"pause_duration_ms": 3001},
        {"pause_duration_ms": -1}, {"pause_variation_ms": 501}, {"pause_variation_ms": -1},
        {"trim_threshold_ms": 49}, {"trim_threshold_ms": 1001}, {"normalize_levels": "loud"},
        {"output_filename": "../up"}, {"output_filename": "a/b"}, {"output_filename": ".hidden"},
        {"project": "../up"}, {"project": "a", "folder": "b"}, {"response_mode": "fax"},
        {"files": "a.wav"}, {"files": [1, 2]},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_bounds_are_refused(parts: RunningApi, body: dict) -> None:
    response = parts.client.post("/api/v1/concat", json={"files": ["a.wav", "b.wav"], **body})
    assert_refused(response, 400, "VALIDATION_ERROR")


def test_formats_we_do_not_make(parts: RunningApi) -> None:
    response = concat(parts, "a.wav", "b.wav", export_formats=["midi"])
    assert_refused(response, 400, "UNSUPPORTED_FORMAT")


def test_leaving_leaves_no_file(api: RunningApi) -> None:
    with_parts(api)
    before = files_below(api.outputs)
    body = {"files": ["a.wav", "(10s)"] * 90}
    with api.client.stream("POST", "/api/v1/concat", json=body) as response:
        stream = response.iter_raw()
        next(stream)
    wait_until(lambda: files_below(api.outputs) == before)
