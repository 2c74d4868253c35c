"""Fetching by URL: what is public and small enough, whole, and nothing of our own network."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.domain.errors import (
    DownloadFailed,
    FileTooLarge,
    UrlNotAllowed,
)
from serve_app.library.download import Downloader, DownloadRules
from tests.support.web import (
    AUDIO,
    LOOPBACK,
    OPEN,
    PUBLIC,
    Server,
    StandIn,
    certificate,
    chunked,
    downloader_of,
    redirect,
    refused,
    reply,
    resolving,
    running,
)


@pytest.fixture
async def server() -> AsyncGenerator[Server, None]:
    async with running() as server:
        server.replies["/voice.wav"] = reply(AUDIO)
        yield server


async def test_what_is_there_is_fetched_as_it_is(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "voice"
    await downloader_of(LOOPBACK).fetch(server.url(), file)
    assert file.read_bytes() == AUDIO


async def test_the_request_gives_nothing_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the environment, nor of who asks."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    server.replies["/a?b=[c]&d"] = reply(AUDIO)
    await downloader_of(LOOPBACK).fetch(server.url("/a?b=[c]&d#fragment"), tmp_path / "voice")
    assert server.requests[0].decode().split("\r\n") == [
        "GET /a?b=[c]&d HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "User-Agent: serve-app",
        "Accept: */*", "Accept-Encoding: identity", "Connection: close", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/voice.wav", "voice.wav", "//b.example/voice.wav", "?v"])
async def test_redirects_are_followed(
    server: Server, tmp_path: Path, status: int, location: str
) -> None:
    server.replies["/first"] = redirect(location, status)
    server.replies["/first?v"] = reply(AUDIO)
    downloader = downloader_of(OPEN, resolving([PUBLIC]), StandIn(server))
    await downloader.fetch("http://a.example/first", tmp_path / "voice")
    assert (tmp_path / "voice").read_bytes() == AUDIO


@pytest.mark.parametrize(("hops", "followed"), [(3, True), (4, False)])
async def test_redirects_are_bounded(
    server: Server, tmp_path: Path, hops: int, followed: bool
) -> None:
    for hop in range(hops):
        server.replies[f"/{hop}"] = redirect(f"/{hop + 1}" if hop < hops - 1 else "/voice.wav")
    fetch = downloader_of(LOOPBACK).fetch(server.url("/0"), tmp_path / "voice")
    if followed:
        await fetch
    else:
        await refused(fetch, tmp_path / "voice", DownloadFailed)
    assert server.connections == 4


@pytest.mark.parametrize("status", [204, 206, 300, 304, 400, 403, 404, 500, 503])
async def test_another_status_is_named(server: Server, tmp_path: Path, status: int) -> None:
    server.replies["/voice.wav"] = reply(b"", status)
    fetch = downloader_of(LOOPBACK).fetch(server.url(), tmp_path / "voice")
    error = await refused(fetch, tmp_path / "voice", DownloadFailed)
    assert error.message == f"127.0.0.1 answered with status {status}."


BROKEN = {
    "no location": reply(b"", 302),
    "truncated": reply(AUDIO[:1000], headers=[f"Content-Length: {len(AUDIO)}"]),
    "truncated chunk": chunked(AUDIO)[:-1000],
    "missing end": chunked(AUDIO)[:-5],
    "nothing": b"",
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
    "two lengths": reply(AUDIO, headers=["Content-Length: 5", "Content-Length: 6"]),
    "negative length": reply(AUDIO, headers=["Content-Length: -5"]),
    "gzip": reply(gzip.compress(AUDIO), headers=["Content-Encoding: gzip"]),
    "br": reply(b"x", headers=["Content-Encoding: identity", "Content-Encoding: br"]),
    "two encodings": reply(b"x", headers=["Content-Encoding: deflate, gzip"]),
    "transfer gzip": reply(gzip.compress(AUDIO), headers=["Transfer-Encoding: gzip, chunked"]),
    "switching": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_answer_leaves_no_file(server: Server, tmp_path: Path, kind: str) -> None:
    server.replies["/voice.wav"] = BROKEN[kind]
    fetch = downloader_of(LOOPBACK).fetch(server.url(), tmp_path / "voice")
    error = await refused(fetch, tmp_path / "voice", DownloadFailed)
    assert error.message.startswith("127.0.0.1 ")


WHOLE = {
    "with its length": reply(AUDIO),
    "chunked": chunked(AUDIO),
    "until the end": reply(AUDIO, headers=[]),
    "identity": reply(AUDIO, headers=["Content-Encoding: identity"]),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("room", [-1, 0])
async def test_a_file_may_be_as_large_as_the_limit(
    server: Server, tmp_path: Path, kind: str, room: int
) -> None:
    server.replies["/voice.wav"] = WHOLE[kind]
    rules = DownloadRules(True, len(AUDIO) + room, allowed_networks=("127.0.0.0/8",))
    fetch = downloader_of(rules).fetch(server.url(), tmp_path / "voice")
    if room == 0:
        await fetch
        assert (tmp_path / "voice").read_bytes() == AUDIO
    else:
        error = await refused(fetch, tmp_path / "voice", FileTooLarge)
        assert str(len(AUDIO) - 1) in error.detail


async def test_a_length_beyond_the_limit_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.replies["/voice.wav"] = reply(b"", headers=["Content-Length: 999999999999"])
    server.stays_open = True
    fetch = downloader_of(LOOPBACK).fetch(server.url(), tmp_path / "voice")
    await refused(fetch, tmp_path / "voice", FileTooLarge)


SLOW = {
    "silent": b"",
    "in the head": b"HTTP/1.1 200 OK\r\n",
    "in the body": reply(AUDIO[:1000], headers=[f"Content-Length: {len(AUDIO)}"]),
}


@pytest.mark.parametrize("kind", SLOW)
async def test_the_whole_transfer_has_a_deadline(server: Server, tmp_path: Path, kind: str) -> None:
    server.replies["/voice.wav"] = SLOW[kind]
    server.stays_open = True
    rules = DownloadRules(True, len(AUDIO), 0.2, allowed_networks=("127.0.0.0/8",))
    fetch = downloader_of(rules).fetch(server.url(), tmp_path / "voice")
    error = await refused(fetch, tmp_path / "voice", DownloadFailed)
    assert error.detail == "A transfer may take 0.2 seconds."
    await until(lambda: server.clients_gone == 1)


async def test_a_drip_does_not_extend_the_deadline(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"", headers=["Content-Length: 100000"]))
        while not (reader.at_eof() or writer.is_closing()):
            writer.write(b"x")
            await asyncio.sleep(0.01)
        writer.close()
        ended.set()

    rules = DownloadRules(True, len(AUDIO), 0.3, allowed_networks=("127.0.0.0/8",))
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        fetch = downloader_of(rules).fetch(f"http://127.0.0.1:{port}/", tmp_path / "voice")
        error = await refused(fetch, tmp_path / "voice", DownloadFailed)
        await until(ended.is_set)
    assert error.message == "127.0.0.1 was too slow."


async def test_a_cancelled_transfer_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.replies["/voice.wav"] = SLOW["in the body"]
    server.stays_open = True
    file = tmp_path / "voice"
    task = asyncio.create_task(downloader_of(LOOPBACK).fetch(server.url(), file))
    await until(file.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not file.exists()
    await until(lambda: server.clients_gone == 1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_who_cannot_be_reached_is_named_and_nothing_more(tmp_path: Path) -> None:
    async def unknown(_: str, __: int) -> list[str]:
        raise OSError("resolver 10.0.0.53 says no")

    async with running() as server:
        closed = server.url()
    for downloader, url in (
        (downloader_of(LOOPBACK), closed),
        (downloader_of(OPEN, unknown), "http://a.example/"),
        (downloader_of(OPEN, resolving([])), "http://a.example/"),
    ):
        error = await refused(downloader.fetch(url, tmp_path / "f"), tmp_path / "f", DownloadFailed)
        assert error.message.endswith(" could not be reached.")
        assert "10.0.0.53" not in error.message + error.detail


@pytest.mark.parametrize(
    ("host", "trusted", "fetched"),
    [
        ("a.example", True, True),
        ("a.example.", True, True),
        ("b.example", True, False),
        (PUBLIC, True, False),
        ("a.example", False, False),
    ],
)
async def test_with_https_a_server_must_prove_its_name(
    tmp_path: Path, host: str, trusted: bool, fetched: bool
) -> None:
    """The name in the URL, not the address that is connected to."""
    pem = certificate(tmp_path, "a.example")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(pem)
    ours = ssl.create_default_context(cafile=pem) if trusted else None
    async with running(theirs) as server:
        server.replies["/voice.wav"] = reply(AUDIO)
        downloader = Downloader(OPEN, resolving([PUBLIC]), StandIn(server), ours)
        fetch = downloader.fetch(f"https://{host}/voice.wav", tmp_path / "voice")
        if fetched:
            await fetch
            assert (tmp_path / "voice").read_bytes() == AUDIO
        else:
            await refused(fetch, tmp_path / "voice", DownloadFailed)
            assert server.requests == []


async def test_a_handshake_that_never_ends_is_closed(server: Server, tmp_path: Path) -> None:
    rules = DownloadRules(True, len(AUDIO), 0.2)
    downloader = downloader_of(rules, resolving([PUBLIC]), StandIn(server))
    fetch = downloader.fetch("https://a.example/", tmp_path / "voice")
    await refused(fetch, tmp_path / "voice", DownloadFailed)
    await until(lambda: server.clients_gone == 1)


async def test_an_existing_file_is_replaced(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "voice"
    file.write_bytes(b"x" * 2 * len(AUDIO))
    await downloader_of(LOOPBACK).fetch(server.url(), file)
    assert file.read_bytes() == AUDIO


@pytest.mark.parametrize("network", ["nonsense", "127.0.0.1/8", ""])
def test_networks_that_are_none_are_found_at_the_start(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        downloader_of(DownloadRules(True, 1, allowed_networks=(network,)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.sampled_from("htps:/[]@.%\\#?0127fx\t\r\n aeé１-"), max_size=40))
async def test_no_text_is_more_than_refused(tmp_path: Path, text: str) -> None:
    """In a world where no name is known."""

    async def unknown(_: str, __: int) -> list[str]:
        raise OSError

    downloader = downloader_of(OPEN, unknown)
    for url in (text, f"http://{text}", f"http://a.example{text}"):
        with pytest.raises((UrlNotAllowed, DownloadFailed)):
            await downloader.fetch(url, tmp_path / "voice")
