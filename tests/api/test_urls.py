"""Voices and inputs that are named by a URL: contract sections 2 and 3, and where they lead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.engines.fake import FakeEngine, speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.support.direct import RunningApi, files_below, running_api, settings_in
from tests.support.uploads import (
    accepted,
    assert_refused,
    samples_in,
    spoken,
    upload_input,
    upload_voice,
    wav_of,
)

TALK, ALICE = spoken(3, 1.0), spoken(4)

URLS = (
    "http://127.0.0.1:{port}/voice.wav", "HTTP://127.0.0.1:{port}/voice.wav",
    "http://localhost:{port}/voice.wav", "http://[::1]:{port}/voice.wav",
    "http://[::ffff:127.0.0.1]:{port}/voice.wav", "http://127.1:{port}/voice.wav",
    "http://2130706433:{port}/voice.wav", "http://0x7f000001:{port}/voice.wav",
    "http://0177.0.0.1:{port}/voice.wav", "http://0.0.0.0:{port}/voice.wav",
    "http://user:word@127.0.0.1:{port}/voice.wav", "http://127.0.0.1:{port}#@example.org/voice.wav",
    "http://example.org\\@127.0.0.1:{port}/voice.wav", "http://127.0.0.1:{port}/a b.wav",
    "http://127.0.0.1:{port}\t/voice.wav", "http://127.0.0.1:{port}/\r\nX-Evil: 1",
    "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/voice.wav",
    "http://192.168.0.1/voice.wav", "http://172.16.0.1/voice.wav", "http://[fd00::1]/voice.wav",
    "http://[fe80::1]/voice.wav", "http://100.64.0.1/voice.wav", "http://224.0.0.1/voice.wav",
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1:{port}/voice.wav",
    "gopher://127.0.0.1:{port}/_x", "data://text/plain,x", "concat://a|b", "pipe://0",
    "rtsp://127.0.0.1:{port}/x", "s3://bucket/voice.wav", "://127.0.0.1/voice.wav", "http://",
    "http:///voice.wav", "http://127.0.0.1:0/voice.wav", "http://127.0.0.1:99999/voice.wav",
)  # fmt: skip


ROUTES: dict[str, Callable[[str], tuple[str, dict[str, Any]]]] = {
    "voice of speech": lambda url: ("tts", {"text": "Hi.", "reference_audio_filename": url}),
    "input": lambda url: ("vc", {"input_audio_source": url, "target_voice_source": "own.wav"}),
    "target": lambda url: ("vc", {"input_audio_source": "own.wav", "target_voice_source": url}),
}


class Web:
    """Another server on this machine, which counts who comes."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.connections = 0
        web = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                web.connections += 1
                super().setup()

            def do_GET(self) -> None:
                status, headers, content = web.pages.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port

    def serves(self, path: str, content: bytes, status: int = 200, **headers: str) -> str:
        """The URL of a page with this content."""
        self.pages[path] = (status, headers, content)
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    web = Web()
    thread = threading.Thread(target=web.server.serve_forever, args=(0.01,))
    thread.start()
    yield web
    web.server.shutdown()
    web.server.server_close()
    thread.join()


@pytest.fixture
def web(server: Web) -> Web:
    """The other server, with a voice and an input, and nobody who has come yet."""
    server.connections = 0
    server.pages.clear()
    server.serves("/voice.wav", wav_of(ALICE))
    server.serves("/talk.wav", wav_of(TALK))
    return server


def _serving(folder: Path, **sources: Any) -> Iterator[RunningApi]:
    settings = settings_in(folder, sources=sources, limits={"max_upload_bytes": 200_000})
    with running_api(FakeEngine(), folder, settings) as api:
        accepted(upload_voice(api, "own.wav"))
        accepted(upload_input(api, "own.wav"))
        yield api


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service as it is unless told otherwise."""
    yield from _serving(tmp_path_factory.mktemp("closed"))


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service that fetches from public addresses."""
    yield from _serving(tmp_path_factory.mktemp("public"), allow_urls=True)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service that fetches from this machine, too."""
    folder = tmp_path_factory.mktemp("opened")
    yield from _serving(folder, allow_urls=True, allowed_networks=("127.0.0.0/8",))


def ask(api: RunningApi, route: str, url: str) -> httpx.Response:
    path, body = ROUTES[route](url)
    return api.client.post(f"/api/v1/{path}", json=body)


def audio_files(api: RunningApi) -> list[str]:
    """Whatever could hold sound below the voices and inputs, hidden files too."""
    names = [*files_below(api.voices), *files_below(api.vc_inputs)]
    return [name for name in names if not name.endswith(".fake")]


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_urls_are_off_by_default(closed: RunningApi, web: Web, url: str) -> None:
    for route in ROUTES:
        response = ask(closed, route, url.format(port=web.port))
        assert_refused(response, 400, "URL_NOT_ALLOWED")
    assert web.connections == 0


@pytest.mark.parametrize("url", URLS, ids=ascii)
def test_urls_that_lead_inside_are_refused_where_public_ones_are_allowed(
    public: RunningApi, web: Web, url: str
) -> None:
    before = audio_files(public)
    for route in ROUTES:
        response = ask(public, route, url.format(port=web.port))
        assert_refused(response, 400, "URL_NOT_ALLOWED")
    assert web.connections == 0
    assert audio_files(public) == before


def test_a_voice_from_a_url_speaks(opened: RunningApi, web: Web) -> None:
    url = f"http://127.0.0.1:{web.port}/voice.wav"
    body = {"text": "Hi there.", "seed": 1, "reference_audio_filename": url}
    before = audio_files(opened)
    response = opened.client.post("/api/v1/tts", json=body)
    expected = converted_of(speech_of("Hi there.", 1), ALICE)
    np.testing.assert_array_equal(samples_in(response.content), expected)
    assert audio_files(opened) == before


def test_an_input_and_a_target_from_urls(opened: RunningApi, web: Web) -> None:
    base = f"http://127.0.0.1:{web.port}"
    body = {
        "input_audio_source": f"{base}/talk.wav",
        "target_voice_source": f"{base}/voice.wav",
    }
    before = audio_files(opened)
    response = opened.client.post("/api/v1/vc", json=body)
    np.testing.assert_array_equal(samples_in(response.content), converted_of(TALK, ALICE))
    assert audio_files(opened) == before


def test_redirects_are_followed_where_they_may_lead(opened: RunningApi, web: Web) -> None:
    url = web.serves("/moved", b"", 302, Location="/voice.wav")
    assert ask(opened, "voice of speech", url).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "location",
    ["http://169.254.169.254/", "http://10.0.0.1/", "file:///etc/passwd", "http://[::1]/",
     "//10.0.0.1/x", "gopher://127.0.0.1/"],
)  # fmt: skip
def test_redirects_to_other_places_are_refused(
    opened: RunningApi, web: Web, route: str, location: str
) -> None:
    url = web.serves("/away", b"", 302, Location=location)
    assert_refused(ask(opened, route, url), 400, "URL_NOT_ALLOWED")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("page", "status", "code"),
    [
        ((b"", 404, {}), 502, "SOURCE_DOWNLOAD_FAILED"),
        ((b"", 500, {}), 502, "SOURCE_DOWNLOAD_FAILED"),
        ((b"", 302, {"Location": "/page"}), 502, "SOURCE_DOWNLOAD_FAILED"),
        ((wav_of(ALICE), 200, {"Content-Length": "90000"}), 502, "SOURCE_DOWNLOAD_FAILED"),
        ((b"<html>no audio</html>", 200, {}), 400, "INVALID_AUDIO"),
        ((b"", 200, {}), 400, "INVALID_AUDIO"),
        ((bytes(200_001), 200, {}), 413, "FILE_TOO_LARGE"),
        ((b"", 200, {"Content-Length": "200001"}), 413, "FILE_TOO_LARGE"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, tuple) else "",
)
def test_what_other_servers_do_wrong(
    opened: RunningApi, web: Web, route: str, page: tuple, status: int, code: str
) -> None:
    content, page_status, headers = page
    before = audio_files(opened), files_below(opened.outputs)
    response = ask(opened, route, web.serves("/page", content, page_status, **headers))
    assert_refused(response, status, code)
    assert (audio_files(opened), files_below(opened.outputs)) == before


def test_a_server_that_is_not_there(opened: RunningApi) -> None:
    response = ask(opened, "input", "http://127.0.0.1:1/voice.wav")
    assert_refused(response, 502, "SOURCE_DOWNLOAD_FAILED")


@pytest.mark.parametrize("route", ROUTES)
def test_the_listing_does_not_show_what_a_url_was_signed_with(
    opened: RunningApi, web: Web, route: str
) -> None:
    url = web.serves("/voice.wav?token=s3cret", wav_of(ALICE))
    response = ask(opened, route, url)
    assert response.status_code == 200
    assert "s3cret" not in str(response.headers)
    assert "s3cret" not in opened.client.get("/api/v1/outputs").text
