"""Fetching a file that a client names by URL, without being led into our own network.

The URL is taken apart by a strict grammar (`public_url.py`). The name in it is resolved once, each
of its addresses must be public, and the connection goes to one of exactly these addresses, so that
nothing can change between the check and the connection. Each redirect goes the whole way again.
Nothing of the environment counts: no proxy, no .netrc, no cookies. Any port may be named: what is
public there can be reached without us just as well.

See RFC 9110, section 15.4, for redirects.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urljoin

import httpcore

from serve_app.domain.errors import DownloadFailed, FileTooLarge, UrlNotAllowed
from serve_app.library.public_url import (
    CHARACTERS,
    Address,
    Url,
    embedded,
    is_public,
    not_a_url,
    parse_url,
)

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host (and port), as text, in the order to try them. Raises OSError."""

_CONNECT_S = 5.0  # for each address, and for the TLS handshake
_REDIRECTS = (301, 302, 303, 307, 308)
_REFERENCE = re.compile(rf"{CHARACTERS}(?:#{CHARACTERS})?")


@dataclass(frozen=True, slots=True)
class DownloadRules:
    """What an operator lets clients make us fetch."""

    allowed: bool
    max_bytes: int  # of one file
    timeout_s: float = 20  # for the whole transfer, its redirects included
    max_redirects: int = 3
    allowed_networks: tuple[str, ...] = ()  # not public, and yet allowed, such as "10.1.0.0/16"


async def resolve_host(host: str, port: int) -> list[str]:
    """What the system's resolver says of `host`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(socket_address[0]) for *_, socket_address in found]


class Downloader:
    """Fetches files by URL within the rules.

    `resolve`, `network` and `tls` stand for the system's resolver, its sockets and the certificate
    authorities that are trusted.
    """

    def __init__(
        self,
        rules: DownloadRules,
        resolve: Resolve = resolve_host,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._network = network or cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())
        self._tls = tls or httpcore.default_ssl_context()
        self._exceptions = tuple(map(ip_network, rules.allowed_networks))

    async def fetch(self, url: str, destination: Path) -> None:
        """Write what lies at `url` to `destination`; on error, nothing that came is left there.

        Raises:
            UrlNotAllowed: the rules forbid it, or the URL leads where we do not go.
            FileTooLarge: there is more of it than the rules allow.
            DownloadFailed: the other server did not give us the whole file in time.
        """
        if not self._rules.allowed:
            raise UrlNotAllowed("This service does not fetch from URLs.", "Upload the file first.")
        target = parse_url(url)
        try:
            async with asyncio.timeout(self._rules.timeout_s):
                await self._follow(target, destination)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise DownloadFailed(
                f"{target.host} could not be reached.",
                "Its name must resolve, it must listen there, and with https prove who it is.",
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise DownloadFailed(f"{target.host} broke off its answer, or sent no HTTP.") from error
        except TimeoutError as error:
            allowance = f"A transfer may take {self._rules.timeout_s:g} seconds."
            raise DownloadFailed(f"{target.host} was too slow.", allowance) from error

    async def _follow(self, asked: Url, destination: Path) -> None:
        url = asked
        for _ in range(self._rules.max_redirects + 1):
            async with self._response_to(url) as response:
                if response.status not in _REDIRECTS:
                    _expect_plain_success(response, asked.host)
                    await self._save(response, destination)
                    return
                url = _redirected(url, response, asked.host)
        raise DownloadFailed(
            f"{asked.host} redirects too often.",
            f"{self._rules.max_redirects} redirects are followed.",
        )

    @asynccontextmanager
    async def _response_to(self, url: Url) -> AsyncGenerator[httpcore.Response, None]:
        """The response, over a connection of its own: its addresses are checked anew."""
        network = _CheckedNetwork(self._check, self._resolve, self._network)
        request = _request(url)
        async with (
            aclosing(network),
            httpcore.AsyncHTTPConnection(
                request.url.origin, ssl_context=self._tls, network_backend=network
            ) as connection,
        ):
            response = await connection.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()

    def _check(self, address: Address) -> None:
        if not self._is_allowed(address):
            raise UrlNotAllowed(
                "The URL is not one that this service fetches from.",
                "This service does not fetch from addresses inside its own network.",
            )

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in self._exceptions):
            return True
        inside = embedded(address)
        return all(map(self._is_allowed, inside)) if inside else is_public(address)

    async def _save(self, response: httpcore.Response, destination: Path) -> None:
        room = self._rules.max_bytes
        if any(int(length) > room for length in _header(response, b"content-length")):
            raise self._too_large()
        with _new_file(destination) as file:
            async for piece in response.aiter_stream():
                room -= len(piece)
                if room < 0:
                    raise self._too_large()
                await asyncio.to_thread(file.write, piece)

    def _too_large(self) -> FileTooLarge:
        limit = f"{self._rules.max_bytes} bytes are accepted."
        return FileTooLarge("The file at the URL is too large.", limit)


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only; serves one connection and closes it."""

    def __init__(
        self,
        check: Callable[[Address], None],
        resolve: Resolve,
        network: httpcore.AsyncNetworkBackend,
    ) -> None:
        self._check = check
        self._resolve = resolve
        self._network = network
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers, if all of them are allowed."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in await self._checked_addresses(host, port):
            try:
                self._stream = await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return self._stream
        raise failure

    async def aclose(self) -> None:
        """Close the connection: httpcore leaves it open when a TLS handshake is cancelled."""
        if self._stream is not None:
            await self._stream.aclose()

    async def _checked_addresses(self, host: str, port: int) -> list[Address]:
        try:
            addresses = [ip_address(text) for text in await self._resolve(host, port)]
        except OSError as error:
            raise httpcore.ConnectError("not resolved") from error
        for address in addresses:
            self._check(address)
        return addresses


def _request(url: Url) -> httpcore.Request:
    """A GET for the bytes as they are: compressed ones could expand beyond any limit."""
    where = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
    headers = [
        ("Host", url.authority), ("User-Agent", "serve-app"), ("Accept", "*/*"),
        ("Accept-Encoding", "identity"), ("Connection", "close"),
    ]  # fmt: skip
    timeouts = {"timeout": {"connect": _CONNECT_S}}
    return httpcore.Request("GET", where, headers=headers, extensions=timeouts)


def _redirected(url: Url, response: httpcore.Response, asked: str) -> Url:
    locations = _header(response, b"location")
    if not locations:
        raise DownloadFailed(f"{asked} redirects to nowhere.")
    if not _REFERENCE.fullmatch(locations[0]):  # before urljoin, which would repair it
        raise not_a_url()
    try:
        return parse_url(urljoin(str(url), locations[0]))
    except ValueError:
        raise not_a_url() from None


def _expect_plain_success(response: httpcore.Response, asked: str) -> None:
    if response.status != 200:
        raise DownloadFailed(f"{asked} answered with status {response.status}.")
    encodings = _header(response, b"content-encoding")
    if any(encoding.strip().lower() not in ("", "identity") for encoding in encodings):
        raise DownloadFailed(f"{asked} sent the file compressed, which it was asked not to.")


def _header(response: httpcore.Response, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in response.headers if key.lower() == name]


@contextmanager
def _new_file(path: Path) -> Generator[BinaryIO, None, None]:
    """A file that is removed again when what is done with it fails."""
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise
