"""What goes wrong, as the client tells it; each statement for threads and for asyncio."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.client import (
    CannotBeSent,
    Client,
    NotFound,
    Overloaded,
    RequestRefused,
    ServerUnreachable,
    StreamBroken,
    Unauthorized,
    UnexpectedAnswer,
)
from serve_app.engines.fake import FakeEngine
from tests.support.clients import Connect, OddServer, busy, connected_by_asyncio
from tests.support.direct import RunningApi, files_below, running_api
from tests.support.progress import CHUNKS
from tests.support.web import reply

FOUR = " ".join(CHUNKS)
SECRET = "the-key"


@pytest.fixture(params=[Client, connected_by_asyncio], ids=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a client; both are called alike."""
    return request.param


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for the tests that leave it as it is."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("client")) as running:
        yield running


@pytest.fixture
def client(shared: RunningApi, connect: Connect) -> Iterator[Client]:
    """A client of the shared service."""
    with connect(shared.url) as connected:
        yield connected


def test_a_stream_that_breaks_leaves_no_file(tmp_path: Path, connect: Connect) -> None:
    with (
        running_api(FakeEngine(fail_at_chunk=2), tmp_path / "server") as api,
        connect(api.url) as client,
    ):
        with pytest.raises(StreamBroken, match="Ask for it again"):
            client.save(FOUR, tmp_path / "a.wav")
        with pytest.raises(StreamBroken, match="told to fail"), client.events(FOUR) as events:
            list(events)
    assert not [name for name in files_below(tmp_path) if "a.wav" in name]


def test_a_stream_can_be_read_once(client: Client) -> None:
    with client.stream(FOUR) as speech:
        assert list(speech)
        with pytest.raises(StreamBroken):
            list(speech)


def test_events_without_their_last_are_broken(connect: Connect) -> None:
    cut = reply(
        b'data: {"type": "speech.audio.delta", "audio": "AAAA"}\n\n',
        headers=["X-Sample-Rate: 24000", "Connection: close"],
    )
    with (
        OddServer(cut) as server,
        connect(server.url) as client,
        client.events("Hello.") as events,
        pytest.raises(StreamBroken, match="without its last event"),
    ):
        assert list(events)


def test_health_is_told_even_if_it_is_bad(api: RunningApi, connect: Connect) -> None:
    with connect(api.url) as client:
        assert client.health().status == "healthy"
        api.backend.running = 0
        ill = client.health()
        assert (ill.status, ill.models_loaded.tts) == ("degraded", False)
        assert ill.replicas.tts.starting == 1


def test_a_refusal_says_what_the_server_said(client: Client) -> None:
    with pytest.raises(RequestRefused, match="nothing to say") as caught:
        client.speak(" ")
    assert (caught.value.status, caught.value.code) == (400, "VALIDATION_ERROR")
    assert caught.value.request_id
    with pytest.raises(NotFound, match="GET /api/v1/voices") as caught:
        client.speak("Hello.", voice="nobody")
    assert caught.value.code == "VOICE_NOT_FOUND"
    with pytest.raises(NotFound), client.stream("Hello.", voice="nobody"):
        pytest.fail("there was no audio to stream")


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_key_is_an_error_of_its_own(connect: Connect, status: int) -> None:
    body = b'{"error_message": "An API key is needed.", "error_code": "UNAUTHORIZED"}'
    with (
        OddServer(reply(body, status)) as server,
        connect(server.url) as client,
        pytest.raises(Unauthorized, match=r"^An API key is needed\. \(40\d UNAUTHORIZED\)$"),
    ):
        client.config()


def test_the_key_goes_to_the_server_and_to_nobody_else(connect: Connect, tmp_path: Path) -> None:
    with (
        OddServer(reply(b"audio")) as own,
        OddServer(reply(b"audio")) as other,
        connect(own.url, api_key=SECRET) as client,
    ):
        client.download(f"{own.url}/outputs/a.wav", tmp_path / "a.wav")
        client.download(f"{other.url}/outputs/a.wav", tmp_path / "a.wav")
    assert f"Authorization: Bearer {SECRET}".encode() in own.requests[0]
    assert SECRET.encode() not in other.requests[0]


def test_a_busy_server_is_asked_once_more(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"the recording")
    refusal = reply(b"{}", 409, ["Content-Length: 2", "Connection: close"])
    with (
        OddServer(busy("0"), refusal) as server,
        connect(server.url) as client,
        pytest.raises(RequestRefused, match="409"),
    ):
        client.voices.add(tmp_path / "a.wav")
    assert all(b"the recording" in request for request in server.requests)


@pytest.mark.parametrize(
    ("replies", "retry_after"),
    [((busy("6"),), 6.0), ((busy("0"), busy("0")), 0.0), ((busy("soon"),), None)],
    ids=["for too long", "again", "without a time"],
)
def test_who_stays_busy_is_overloaded(
    connect: Connect, replies: tuple[bytes, ...], retry_after: float | None
) -> None:
    with (
        OddServer(*replies) as server,
        connect(server.url, max_wait=5) as client,
        pytest.raises(Overloaded) as caught,
    ):
        client.config()
    assert caught.value.retry_after == retry_after
    assert caught.value.code == "HTTP_503"


def test_health_of_a_proxy_with_no_server_behind_it(connect: Connect) -> None:
    page = reply(b"<html>No server is available.</html>", 503)
    with (
        OddServer(page) as server,
        connect(server.url) as client,
        pytest.raises(Overloaded, match="503 Service Unavailable"),
    ):
        client.health()


def test_an_address_where_nobody_listens(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with connect(url) as client, pytest.raises(ServerUnreachable, match=url) as caught:
        client.health()
    assert caught.value.url == url


def test_a_server_that_says_nothing(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with connect(url, timeout=0.1) as client, pytest.raises(ServerUnreachable, match=url):
            client.health()


@pytest.mark.parametrize("url", ["127.0.0.1:7860", "http://[::1", "ftp://127.0.0.1", ""])
def test_an_address_that_is_none(connect: Connect, url: str) -> None:
    with pytest.raises(ServerUnreachable), connect(url) as client:
        client.health()


@pytest.mark.parametrize("url", ["http://me:s3cret@127.0.0.1:9", "http://me:s3/cret@127.0.0.1:9"])
def test_a_password_in_the_address_is_refused_and_not_repeated(connect: Connect, url: str) -> None:
    with pytest.raises(CannotBeSent, match="API key") as caught, connect(url):
        pass
    assert "s3" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_server_that_moved_says_where_to(connect: Connect, status: int) -> None:
    moved = reply(b"", status, ["Location: https://speech.test/", "Content-Length: 0"])
    with (
        OddServer(moved) as server,
        connect(server.url) as client,
        pytest.raises(RequestRefused, match=r"The server is at https://speech\.test/ now"),
    ):
        client.config()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../voices", "a/../../voices", "a//b", "/a", "a/", "..\\voices", "\udcff"],
)
def test_a_name_that_no_voice_can_have_reaches_no_server(connect: Connect, name: str) -> None:
    with connect("http://127.0.0.1:9") as client:
        for change in (client.voices.remove, client.voices.update):
            with pytest.raises(CannotBeSent, match=r"voice's name|UTF-8"):
                change(name)


@pytest.mark.parametrize("name", ["%2e%2e", "%2E%2E%2Fvoices", "..%2fvoices", "a?b#c"])
def test_a_name_is_sent_as_it_is(client: Client, name: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        client.voices.remove(name)
    assert refused.value.code != "HTTP_405"
    assert name.rpartition("/")[2] in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\udcff"])
def test_a_value_that_no_request_can_hold_reaches_no_server(connect: Connect, value: Any) -> None:
    with connect("http://127.0.0.1:9") as client:
        with pytest.raises(CannotBeSent, match="cannot be sent"):
            client.speak("Hello.", temperature=value)
        with pytest.raises(ValueError, match="cannot be sent"):
            client.speak("\udcff")


def test_where_no_file_can_be_the_server_is_not_asked(connect: Connect, tmp_path: Path) -> None:
    with connect("http://127.0.0.1:9") as client:
        for folder in (tmp_path, ""):
            with pytest.raises(IsADirectoryError):
                client.save("Hello.", folder)
            with pytest.raises(IsADirectoryError):
                client.download("/outputs/a.wav", folder)
        with pytest.raises(FileNotFoundError):
            client.save("Hello.", tmp_path / "none" / "a.wav")


@pytest.mark.parametrize(
    "header",
    [
        "X-Sample-Rate: abc",
        "X-Sample-Rate: 0",
        "X-Sample-Rate: 24000\r\nX-Generation-Seed: abc",
        "X-Sample-Rate: 24000\r\nX-Alternative-Formats: mp3",
    ],
)
def test_headers_that_make_no_sense_are_another_servers(connect: Connect, header: str) -> None:
    sent = reply(b"", headers=[header, "Content-Length: 0", "Connection: close"])
    with OddServer(sent, sent) as server, connect(server.url) as client:
        for call in (client.stream, client.events):
            with pytest.raises(UnexpectedAnswer, match="header"), call("Hello."):
                pytest.fail("there was no audio to stream")


@pytest.mark.parametrize("key", ["two\nlines", "clé"])
def test_a_key_that_cannot_be_sent_is_not_repeated(connect: Connect, key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught, connect("http://x", api_key=key):
        pass
    assert key not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"{}", b"[]", b""])
def test_another_servers_answers_are_told_apart(connect: Connect, body: bytes) -> None:
    close = [f"Content-Length: {len(body)}", "Connection: close"]
    sent = reply(body, headers=close)
    with OddServer(sent, sent, sent) as server, connect(server.url) as client:
        with pytest.raises(UnexpectedAnswer, match="Check the address"):
            client.config()
        for call in (client.stream, client.events):
            with pytest.raises(UnexpectedAnswer), call("Hello."):
                pytest.fail("there was no audio to stream")


def test_a_body_that_stops_in_its_middle_is_broken(connect: Connect, tmp_path: Path) -> None:
    cut = reply(b"half", headers=["X-Sample-Rate: 24000", "Content-Length: 8"])
    with OddServer(cut, cut, cut) as server, connect(server.url) as client:
        with pytest.raises(StreamBroken):
            client.config()
        with pytest.raises(StreamBroken):
            client.download("/outputs/a.wav", tmp_path / "a.wav")
        with pytest.raises(StreamBroken):
            client.save("Hello.", tmp_path / "a.wav")
    assert files_below(tmp_path) == []
