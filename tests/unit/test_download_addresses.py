"""Where a URL must not lead: nowhere inside our own network, by no name, number or redirect."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from serve_app.domain.errors import (
    UrlNotAllowed,
)
from serve_app.library.download import DownloadRules
from tests.support.web import (
    AUDIO,
    LOOPBACK,
    OPEN,
    PUBLIC,
    PUBLIC_6,
    Server,
    StandIn,
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


async def test_nothing_is_fetched_unless_it_is_allowed(server: Server, tmp_path: Path) -> None:
    rules = DownloadRules(False, len(AUDIO), allowed_networks=("127.0.0.0/8",))
    await refused(downloader_of(rules).fetch(server.url(), tmp_path / "voice"), tmp_path / "voice")
    assert server.connections == 0


ATTEMPTS = [
    "http://127.0.0.1:{port}/", "http://127.0.0.2:{port}/", "http://localhost:{port}/",
    "http://LOCALHOST:{port}/", "http://localhost.:{port}/", "http://127.0.0.1.:{port}/",
    "http://0.0.0.0:{port}/", "http://0:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/",
    "http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0x7f.1:{port}/",
    "http://0X7F.0.0.1:{port}/", "http://0177.0.0.1:{port}/", "http://017700000001:{port}/",
    "http://127.0.0.01:{port}/", "http://127.0.0.0x1:{port}/", "http://4294967297:{port}/",
    "http://[::1]:{port}/", "http://[::]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/", "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/", "http://[::1%25lo]:{port}/", "http://[fe80::1%lo]:{port}/",
    "http://127.0.0.1.nip.io:{port}/", "http://anything.example:{port}/", "http://intranet:{port}/",
    "http://example.com@127.0.0.1:{port}/", "http://example.com:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.com/", "http://@127.0.0.1:{port}/",
    "http://example.com%40127.0.0.1:{port}/", "http://example.com%2f@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.com/", "http:\\\\127.0.0.1:{port}\\",
    "http://127.0.0.1:{port}#@example.com/", "http://127.0.0.1:{port}?@example.com/",
    "http://example.com\\@127.0.0.1:{port}/", "http://%31%32%37.0.0.1:{port}/",
    "http://１２７.0.0.1:{port}/", "http://①②⑦.0.0.1:{port}/", "http://127。0。0。1:{port}/",
    "http://ⓛocalhost:{port}/", "http://loca\u00adlhost:{port}/", "http\u017f://localhost:{port}/",
    "http://127.0.0.1\t:{port}/", "http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1:{port}/\n",
    "\thttp://127.0.0.1:{port}/", " http://127.0.0.1:{port}/", "http://127.0.0.1:{port}/a b",
    "http://127.0.0.1:{port} /", "ht\ntp://127.0.0.1:{port}/", "http://127.0.0.1\0.x:{port}/",
    "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}", "//127.0.0.1:{port}/", "127.0.0.1:{port}",
    "http:///127.0.0.1:{port}/", "http://:{port}/", "http://", "", "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/", "http://127.0.0.1:/", "http://127.0.0.1:0/", "http://a..b:{port}/",
    "ftp://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_GET%20/",
    "data:audio/wav;base64,AAAA", "unix:///run/secret.sock", "ws://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/", "HTTPS://localhost:{port}/", "http+unix://%2Frun/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest/meta-data/",
    "http://" + "a" * 64 + ".example:{port}/", "http://127.0.0.1:{port}/" + "a" * 5000,
]  # fmt: skip


async def test_no_url_leads_into_our_own_network(server: Server, tmp_path: Path) -> None:
    """In a world where every name is the name of this machine."""
    resolved: set[str] = set()

    async def resolve(host: str, _: int) -> list[str]:
        resolved.add(host)
        return ["127.0.0.1" if re.fullmatch("[a-z].*|.*[a-z]", host) else host]

    downloader = downloader_of(OPEN, resolve)
    for attempt in ATTEMPTS:
        url = attempt.replace("{port}", str(server.port))
        with pytest.raises(UrlNotAllowed):
            await downloader.fetch(url, tmp_path / "voice")
    assert server.connections == 0
    assert list(tmp_path.iterdir()) == []
    names = {host for host in resolved if not is_address(host)}
    assert names == {"localhost", "127.0.0.1.nip.io", "anything.example", "intranet"}


def is_address(host: str) -> bool:
    """Written in the one way that every resolver understands alike?"""
    with suppress(ValueError):
        return str(ip_address(host)) == host
    return False


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.0.0.1."])
async def test_the_systems_resolver_is_not_believed_either(
    server: Server, tmp_path: Path, name: str
) -> None:
    error = await refused(
        downloader_of(OPEN).fetch(server.url(host=name), tmp_path / "voice"), tmp_path / "voice"
    )
    assert error.detail == "This service does not fetch from addresses inside its own network."
    assert "127.0.0.1" not in error.message
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p@a.example/", "http://a.example\\x", "http://a.example/a b", "http://ä.example/",
        "http://a.example/\t", "http://a.example/\n", "http://a.example:0/", "ftp://a.example/",
        "http://a.example:65536/", "http://a.example/ä", "http://a.example/" + "a" * 4096,
        "http://0x5db8d822/", "http://1572395042/", "http://93.184.8748/", "http://0135.184.216.34/",
    ],
)  # fmt: skip
async def test_what_is_not_plainly_a_url_is_refused_wherever_it_leads(
    server: Server, tmp_path: Path, url: str
) -> None:
    network = StandIn(server)
    fetch = downloader_of(OPEN, resolving([PUBLIC]), network).fetch(url, tmp_path / "f")
    await refused(fetch, tmp_path / "f")
    assert network.asked_for == []


@pytest.mark.parametrize(
    ("rest", "target"), [("", "/"), ("?a=/b", "/?a=/b"), ("/a%20b#c", "/a%20b"), ("#c", "/")]
)
async def test_the_target_is_path_and_query(
    server: Server, tmp_path: Path, rest: str, target: str
) -> None:
    server.replies[target] = reply(AUDIO)
    await downloader_of(LOOPBACK).fetch(server.url(rest), tmp_path / "voice")
    assert (tmp_path / "voice").read_bytes() == AUDIO


NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1",
    "2002:c0a8:101::", "2001:0:7f00:1::", "2001:0:808:808::f7f7:f7f7",
    "2001:0:5db8:d822::80ff:fffe", "fe80::1", "fe80::1%lo",
    "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1", "100::1",
    "2001:db8::1", "3fff::1", "5f00::1", "4000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
@pytest.mark.parametrize("others", [0, 1])
async def test_a_name_may_have_public_addresses_only(
    server: Server, tmp_path: Path, address: str, others: int
) -> None:
    """One address among good ones is enough to refuse."""
    network = StandIn(server)
    resolve = resolving([*[PUBLIC, PUBLIC_6][:others], address])
    fetch = downloader_of(OPEN, resolve, network).fetch(
        server.url(host="a.example"), tmp_path / "f"
    )
    error = await refused(fetch, tmp_path / "f")
    assert network.asked_for == []
    assert address not in error.message + error.detail


@pytest.mark.parametrize(
    "address",
    [PUBLIC, PUBLIC_6, "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "1.1.1.1"],
)
async def test_public_addresses_are_connected_to(
    server: Server, tmp_path: Path, address: str
) -> None:
    network = StandIn(server)
    await downloader_of(OPEN, resolving([address]), network).fetch(
        server.url(host="a.example"), tmp_path / "voice"
    )
    assert len(network.asked_for) == 1
    assert (tmp_path / "voice").read_bytes() == AUDIO
    assert b"Host: a.example:" in server.requests[0]


async def test_an_ipv6_address_is_in_brackets_in_the_host_header(
    server: Server, tmp_path: Path
) -> None:
    network = StandIn(server)
    downloader = downloader_of(OPEN, resolving([PUBLIC_6]), network)
    await downloader.fetch(f"http://[{PUBLIC_6}]:8080/voice.wav", tmp_path / "voice")
    assert f"Host: [{PUBLIC_6}]:8080\r\n".encode() in server.requests[0]


async def test_a_name_that_changes_after_the_check_is_not_asked_for_again(
    server: Server, tmp_path: Path
) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    answers: list[str] = []

    async def rebinding(_: str, __: int) -> list[str]:
        answers.append("127.0.0.1" if answers else PUBLIC)
        return answers[-1:]

    network = StandIn(server)
    await downloader_of(OPEN, rebinding, network).fetch(
        server.url(host="a.example"), tmp_path / "voice"
    )
    assert answers == [PUBLIC]
    assert network.asked_for == [PUBLIC]


async def test_a_redirect_to_the_same_name_is_checked_anew(server: Server, tmp_path: Path) -> None:
    server.replies["/first"] = redirect("/voice.wav")
    network = StandIn(server)
    downloader = downloader_of(OPEN, resolving([PUBLIC], ["127.0.0.1"]), network)
    await refused(downloader.fetch("http://a.example/first", tmp_path / "f"), tmp_path / "f")
    assert network.asked_for == [PUBLIC]
    assert len(server.requests) == 1


async def test_the_next_address_is_tried_when_one_is_dead(server: Server, tmp_path: Path) -> None:
    network = StandIn(server, dead=(PUBLIC_6,))
    downloader = downloader_of(OPEN, resolving([PUBLIC_6, PUBLIC]), network)
    await downloader.fetch("http://a.example/voice.wav", tmp_path / "voice")
    assert network.asked_for == [PUBLIC_6, PUBLIC]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/voice.wav", "//127.0.0.1:{port}/voice.wav", "http://[::1]/",
        "http://2130706433:{port}/", "http://0x7f.1/", "file:///etc/passwd", "ftp://a.example/",
        "data:audio/wav;base64,AAAA", "gopher://a.example/", "http://u:p@a.example/voice.wav",
        "http:\\\\127.0.0.1/", "/\\127.0.0.1/", "http://[bad/", "http://[::1%25lo]/", "\xff",
        "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/", "http://a.example:99999/",
        "javascript:1", "http://[x]/", "/voi\tce.wav", "http://a.exam\tple/voice.wav",
    ],
)  # fmt: skip
async def test_no_redirect_leads_there_either(
    server: Server, tmp_path: Path, location: str
) -> None:
    server.replies["/first"] = redirect(location.replace("{port}", str(server.port)))

    async def resolve(host: str, _: int) -> list[str]:
        return [PUBLIC if host == "a.example" else host]

    network = StandIn(server)
    downloader = downloader_of(OPEN, resolve, network)
    await refused(downloader.fetch("http://a.example/first", tmp_path / "f"), tmp_path / "f")
    assert (network.asked_for, server.connections) == ([PUBLIC], 1)
