"""GET /outputs: complete files only, with ranges, and nothing outside."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serve_app.engines.fake import FakeEngine, speech_of
from tests.support.direct import RunningApi, running_api, settings_in

FOUR = "The first one is here. The second one is here. The third one is here. The last one is here."


def make(api: RunningApi, formats: str = "wav,mp3") -> list[dict]:
    body = {"text": FOUR, "export_formats": formats, "seed": 1}
    answer = api.client.post("/api/v1/tts?response_mode=url", json=body)
    return answer.json()["output_files"]


def test_ranges(api: RunningApi) -> None:
    for file in make(api):
        whole = api.client.get(file["path"])
        assert whole.headers["accept-ranges"] == "bytes"
        part = api.client.get(file["path"], headers={"Range": "bytes=100-199"})
        assert part.status_code == 206
        assert part.content == whole.content[100:200]
        assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
        beyond = api.client.get(file["path"], headers={"Range": "bytes=99999999-"})
        assert beyond.status_code == 416


def test_etags(api: RunningApi) -> None:
    path = make(api)[0]["path"]
    etag = api.client.get(path).headers["etag"]
    again = api.client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_head(api: RunningApi) -> None:
    path = make(api)[1]["path"]
    head, get = api.client.head(path), api.client.get(path)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(get.content))
    assert head.content == b""


def test_only_promised_formats_exist(api: RunningApi) -> None:
    path = make(api, "mp3")[0]["path"]
    for extension in ("wav", "flac", "json", "part", "exe"):
        response = api.client.get(path.replace(".mp3", f".{extension}"))
        assert response.status_code == 404
        assert response.json()["error_code"] == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/outputs/", "/outputs", "/outputs/../pyproject.toml", "/outputs/%2e%2e/secret.wav",
        "/outputs/..%2fsecret.wav", "/outputs/%2e%2e%2fsecret.wav", "/outputs//etc/passwd",
        "/outputs/a%00.wav", "/outputs/.hidden.wav", "/outputs/x/.part", "/outputs/nothing.wav",
        "/outputs/" + "a" * 300 + ".wav", "/outputs/" + "a/" * 600 + "b.wav", "/outputs/..\\x.wav",
    ],
)  # fmt: skip
def test_nothing_outside_or_hidden_is_served(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / ".hidden.wav").write_bytes(b"secret")
    with running_api(FakeEngine(), tmp_path) as api:
        response = httpx.get(api.url + path)
    assert response.status_code == 404
    assert b"secret" not in response.content


def test_a_get_that_comes_early_waits_and_gets_the_whole(slow_api: RunningApi) -> None:
    """Ask for the other format while the stream has just begun."""
    body = {"text": FOUR, "export_formats": ["wav", "flac"], "seed": 1}
    with slow_api.client.stream("POST", "/api/v1/tts", json=body) as stream:
        chunks = stream.iter_raw()
        next(chunks)
        _, path = stream.headers["x-alternative-formats"].split(":")
        with ThreadPoolExecutor() as pool:
            early = pool.submit(httpx.get, slow_api.url + path, timeout=10)
            for _ in chunks:
                pass
        assert early.result().status_code == 200
    assert early.result().content == slow_api.client.get(path).content


def test_a_get_for_a_stream_that_fails_is_not_found(tmp_path: Path) -> None:
    with running_api(FakeEngine(chunk_delay_s=0.2, fail_at_chunk=2), tmp_path) as api:
        body = {"text": FOUR, "export_formats": ["wav", "mp3"]}
        with api.client.stream("POST", "/api/v1/tts", json=body) as stream:
            _, path = stream.headers["x-alternative-formats"].split(":")
            with pytest.raises(httpx.RemoteProtocolError):
                stream.read()
        assert api.client.get(path).status_code == 404


def test_the_wait_is_bounded(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, limits={"output_wait_s": 0.3})
    with running_api(FakeEngine(chunk_delay_s=0.5), tmp_path, settings) as api:
        body = {"text": FOUR, "export_formats": ["wav", "mp3"]}
        with api.client.stream("POST", "/api/v1/tts", json=body) as stream:
            _, path = stream.headers["x-alternative-formats"].split(":")
            began = time.monotonic()
            assert httpx.get(api.url + path).status_code == 404
            assert time.monotonic() - began < 3


def test_many_who_ask_at_once_get_the_same_file(api: RunningApi) -> None:
    path = make(api, "mp3")[0]["path"]
    gate = threading.Barrier(8)

    def fetch(_: int) -> bytes:
        gate.wait()
        return httpx.get(api.url + path).content

    with ThreadPoolExecutor(8) as pool:
        contents = set(pool.map(fetch, range(8)))
    assert len(contents) == 1


def test_requests_at_the_same_moment_do_not_share_a_name(api: RunningApi) -> None:
    def name(_: int) -> str:
        body = {"text": "One short line.", "seed": 1, "export_formats": ["wav"]}
        response = httpx.post(f"{api.url}/api/v1/tts", json=body)
        assert response.content[44:] == speech_of("One short line.", 1).tobytes()
        return response.headers["content-disposition"]

    with ThreadPoolExecutor(16) as pool:
        names = list(pool.map(name, range(48)))
    assert len(set(names)) == 48
