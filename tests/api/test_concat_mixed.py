"""POST /concat/mixed: contract section 7."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.engines.fake import FakeEngine
from tests.audio_tools import dbfs
from tests.support.direct import RunningApi, running_api, wait_until
from tests.support.parts import PLAIN, A, B, assert_within, with_parts
from tests.support.recordings import with_ffmpeg
from tests.support.uploads import (
    RATE,
    accepted,
    assert_refused,
    every_file,
    samples_in,
    spoken,
    wav_of,
)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with a.wav, b.wav and c.wav among its outputs."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("mixed")) as api:
        yield with_parts(api)


def mixed(
    api: RunningApi, *segments: dict[str, Any], uploads: tuple[bytes, ...] = (), **body: Any
) -> httpx.Response:
    request = {"request_json": json.dumps({"segments": segments, **body})}
    files = [("uploaded_files", (f"{n}.wav", data)) for n, data in enumerate(uploads)]
    return api.client.post("/api/v1/concat/mixed", data=request, files=files or {"none": b""})


def upload(index: int) -> dict[str, Any]:
    return {"type": "upload", "index": index}


def stored(source: str) -> dict[str, Any]:
    return {"type": "server_file", "source": source}


def silence(source: str) -> dict[str, Any]:
    return {"type": "silence", "source": source}


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
