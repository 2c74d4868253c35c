"""POST /concat and /concat/mixed: contract section 7."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, Samples
from serve_app.engines.fake import FakeEngine, speech_of
from tests.audio_tools import dbfs, decode
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.recordings import with_ffmpeg
from tests.support.uploads import (
    RATE,
    accepted,
    assert_refused,
    every_file,
    samples_in,
    speak_files,
    spoken,
    wav_of,
)

TEXTS = ("The first part is here.", "And this is the second one.", "So this must be the last.")
A, B, C = (speech_of(text, 1) for text in TEXTS)
PLAIN = {"normalize_levels": False}
EDGE = RATE // 100
"""Samples at each side of a joint that may be faded."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with a.wav, b.wav and c.wav among its outputs."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("concat")) as api:
        yield with_parts(api)


def with_parts(api: RunningApi) -> RunningApi:
    for name, text in zip("abc", TEXTS, strict=True):
        (file,) = speak_files(api, text, export_formats=["wav"], project="parts")
        (api.outputs / file["path"].removeprefix("/outputs/")).rename(api.outputs / f"{name}.wav")
    return api


def concat(api: RunningApi, *files: str, **body: Any) -> httpx.Response:
    return api.client.post("/api/v1/concat", json={"files": files, **body})


def joined(api: RunningApi, *files: str, **body: Any) -> Samples:
    response = concat(api, *files, **{**PLAIN, **body})
    assert response.status_code == 200, response.text
    return samples_in(response.content)


def mixed(
    api: RunningApi, *segments: dict[str, Any], uploads: tuple[bytes, ...] = (), **body: Any
) -> httpx.Response:
    request = {"request_json": json.dumps({"segments": segments, **body})}
    files = [("uploaded_files", (f"{n}.wav", data)) for n, data in enumerate(uploads)]
    return api.client.post("/api/v1/concat/mixed", data=request, files=files or {"none": b""})


def assert_within(whole: Samples, part: Samples, at: int) -> None:
    """Does `part` lie in `whole`, except for the edges of its joints?"""
    lying = whole[at : at + len(part)]
    np.testing.assert_array_equal(lying[EDGE:-EDGE], part[EDGE:-EDGE])


def upload(index: int) -> dict[str, Any]:
    return {"type": "upload", "index": index}


def stored(source: str) -> dict[str, Any]:
    return {"type": "server_file", "source": source}


def silence(source: str) -> dict[str, Any]:
    return {"type": "silence", "source": source}


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


def test_levels_are_brought_together(parts: RunningApi) -> None:
    loud, quiet = spoken(1, 1.0), (spoken(2, 1.0) // 20).astype(np.int16)
    apart = abs(dbfs(loud) - dbfs(quiet))
    assert apart > 20
    for normalize, most in ((True, 3.0), (False, apart + 0.5)):
        segments = (upload(0), silence("(500ms)"), upload(1))
        uploads = (wav_of(loud), wav_of(quiet))
        response = mixed(parts, *segments, uploads=uploads, normalize_levels=normalize)
        whole = samples_in(response.content)
        levels = dbfs(whole[: len(loud)]), dbfs(whole[-len(quiet) :])
        assert abs(levels[0] - levels[1]) <= most
        assert normalize or abs(levels[0] - levels[1]) > 20


def test_levels_are_brought_together_unless_told_otherwise(parts: RunningApi) -> None:
    uploads = (wav_of(spoken(1, 1.0)), wav_of((spoken(2, 1.0) // 20).astype(np.int16)))
    whole = samples_in(mixed(parts, upload(0), upload(1), uploads=uploads).content)
    assert abs(dbfs(whole[:RATE]) - dbfs(whole[RATE:])) < 3


@pytest.mark.parametrize("trim", [True, False])
def test_trim_cuts_silence_at_the_ends_of_each_file(parts: RunningApi, trim: bool) -> None:
    pause = np.zeros(RATE, np.int16)
    padded = wav_of(np.concatenate([pause, A, pause]))
    response = mixed(parts, upload(0), upload(0), uploads=(padded,), trim=trim, **PLAIN)
    length = len(samples_in(response.content))
    if trim:
        assert 2 * len(A) * 0.99 <= length < 2 * (len(A) + RATE)
    else:
        assert length == 2 * (len(A) + 2 * RATE)


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


def test_files_silences_and_uploads_are_mixed(parts: RunningApi) -> None:
    talk, other = spoken(1, 0.7), spoken(2, 0.4)
    response = mixed(
        parts, upload(1), stored("a.wav"), silence("(250ms)"), upload(0), stored("b.wav"),
        uploads=(wav_of(talk), wav_of(other)), **PLAIN,
    )  # fmt: skip
    whole = samples_in(response.content)
    starts = np.cumsum([0, len(other), len(A), RATE // 4, len(talk), len(B)]).tolist()
    assert len(whole) == starts[-1]
    for part, at in ((other, 0), (A, starts[1]), (talk, starts[3]), (B, starts[4])):
        assert_within(whole, part, at)


@pytest.mark.parametrize("field", ["uploaded_files", "uploaded_files[]"])
def test_names_of_the_file_field(parts: RunningApi, field: str) -> None:
    files = [(field, ("x.mp3", with_ffmpeg("mp3", "libmp3lame"))), (field, ("y", wav_of(A)))]
    request = {"request_json": json.dumps({"segments": [upload(1), upload(0)], **PLAIN})}
    response = parts.client.post("/api/v1/concat/mixed", files=files, data=request)
    assert_within(samples_in(response.content), A, 0)


def test_mixed_in_json_mode(parts: RunningApi) -> None:
    response = mixed(parts, stored("a.wav"), upload(0), uploads=(wav_of(B),), response_mode="url")
    answer = accepted(response)
    assert answer["file_count"] == 2
    assert answer["total_duration_seconds"] == pytest.approx((len(A) + len(B)) / RATE, abs=0.001)


@pytest.mark.parametrize(
    "segments",
    [
        [], [upload(0)], [silence("(1s)"), silence("(1s)")], [upload(0), upload(1)],
        [upload(0), upload(-1)], [upload(0), {"type": "upload"}],
        [upload(0), {"type": "server_file"}], [upload(0), {"type": "silence"}],
        [upload(0), silence("(20s)")], [upload(0), silence("1s")],
        [upload(0), {"type": "url", "source": "http://a/b.wav"}], [upload(0), "a.wav"],
        [upload(0), {"type": "upload", "index": "first"}],
    ],
    ids=lambda segments: str(segments)[-60:],
)  # fmt: skip
def test_segments_that_make_no_sense(parts: RunningApi, segments: list) -> None:
    before = every_file(parts)
    response = mixed(parts, *segments, uploads=(wav_of(A),))
    assert_refused(response, 400, "VALIDATION_ERROR")
    assert every_file(parts) == before


def test_a_request_json_that_is_none(parts: RunningApi) -> None:
    files = {"uploaded_files": ("a.wav", wav_of(A))}
    missing = parts.client.post("/api/v1/concat/mixed", files=files)
    assert_refused(missing, 400, "MISSING_REQUIRED_FIELD")
    for text in ("{", "[]", "null", "7"):
        broken = parts.client.post("/api/v1/concat/mixed", files=files, data={"request_json": text})
        assert_refused(broken, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("segment", "content", "body", "status", "code"),
    [
        (upload(0), b"no audio" * 99, {}, 400, "INVALID_AUDIO"),
        (stored("none.wav"), None, {}, 404, "RESOURCE_NOT_FOUND"),
        (upload(0), None, {"project": "a", "folder": "b"}, 400, "VALIDATION_ERROR"),
        (upload(0), None, {"project": "../up"}, 400, "VALIDATION_ERROR"),
        (upload(0), None, {"output_filename": "a"}, 409, "FILE_EXISTS"),
    ],
    ids=str,
)  # fmt: skip
def test_refused_requests_leave_no_file(
    parts: RunningApi, segment: dict, content: bytes | None, body: dict, status: int, code: str
) -> None:
    before = every_file(parts)
    uploads = (content or wav_of(A),)
    response = mixed(parts, upload(0), stored("a.wav"), segment, uploads=uploads, **body)
    assert_refused(response, status, code)
    wait_until(lambda: every_file(parts) == before, seconds=3)


def test_uploads_are_not_kept(parts: RunningApi) -> None:
    before = every_file(parts)
    response = mixed(parts, upload(0), upload(1), uploads=(wav_of(A), wav_of(B)))
    name = response.headers["content-disposition"].split('"')[1]
    wait_until(lambda: every_file(parts) == sorted([*before, f"outputs/{name}"]), seconds=3)


def test_leaving_leaves_no_file(api: RunningApi) -> None:
    with_parts(api)
    before = files_below(api.outputs)
    body = {"files": ["a.wav", "(10s)"] * 90}
    with api.client.stream("POST", "/api/v1/concat", json=body) as response:
        stream = response.iter_raw()
        next(stream)
    wait_until(lambda: files_below(api.outputs) == before)
