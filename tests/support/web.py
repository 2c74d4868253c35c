"""A small web server that remembers who connected, and stand-ins for resolver and network."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serve_app.domain.errors import (
    SpeechServiceError,
    UrlNotAllowed,
)
from serve_app.library.download import Downloader, DownloadRules, Resolve, resolve_host

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:21f:cb07::1"


AUDIO = bytes(range(256)) * 1000
OPEN = DownloadRules(allowed=True, max_bytes=len(AUDIO))
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
LOOPBACK = DownloadRules(True, len(AUDIO), allowed_networks=("127.0.0.0/8",))


class Server:
    """A raw HTTP server on loopback that remembers who came; `replies` are sent as they are."""

    def __init__(self) -> None:
        self.replies: dict[str, bytes] = {}
        self.requests: list[bytes] = []
        self.connections = 0
        self.stays_open = False
        self.clients_gone = 0
        self.port = 0
        self.handlers: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.add(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            path = request.split(b" ")[1].decode()
            writer.write(self.replies.get(path, reply(b"", 404)))
            if self.stays_open:
                await reader.read()
                self.clients_gone += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            self.clients_gone += 1
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def url(self, path: str = "/voice.wav", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Server, None]:
    server = Server()
    listener = await asyncio.start_server(server.accept, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server
    await asyncio.gather(*server.handlers)


def reply(body: bytes, status: int = 200, headers: Iterable[str] | None = None) -> bytes:
    lines = [f"Content-Length: {len(body)}"] if headers is None else list(headers)
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "\r\n"]).encode("latin-1") + body


def chunked(body: bytes) -> bytes:
    pieces = (body[begin : begin + 1000] for begin in range(0, len(body), 1000))
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return reply(coded + b"0\r\n\r\n", headers=["Transfer-Encoding: chunked"])


def redirect(location: str, status: int = 302) -> bytes:
    return reply(b"", status, [f"Location: {location}", "Content-Length: 0"])


class StandIn(httpcore.AsyncNetworkBackend):
    """A network in which every address is the one server; remembers where it was to connect to."""

    def __init__(self, server: Server, dead: tuple[str, ...] = ()) -> None:
        self.asked_for: list[str] = []
        self._server = server
        self._dead = dead

    async def connect_tcp(self, host: str, *_: object) -> httpcore.AsyncNetworkStream:
        self.asked_for.append(host)
        if host in self._dead:
            raise httpcore.ConnectError
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._server.port)


def downloader_of(
    rules: DownloadRules,
    resolve: Resolve = resolve_host,
    network: httpcore.AsyncNetworkBackend | None = None,
    tls: ssl.SSLContext = TRUSTS_NOBODY,
) -> Downloader:
    """To load the authorities that are trusted takes longer than most tests."""
    return Downloader(rules, resolve, network, tls)


def resolving(*answers: list[str]) -> Resolve:
    """Gives each answer once, and the last one for ever."""
    left = list(answers)

    async def resolve(_: str, __: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def refused(
    fetch: Awaitable[None], destination: Path, error: type[SpeechServiceError] = UrlNotAllowed
) -> SpeechServiceError:
    with pytest.raises(error) as caught:
        await fetch
    assert not destination.exists()
    return caught.value


def certificate(folder: Path, name: str) -> Path:
    """A certificate for `name` that nobody signed, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "certificate.pem"
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return file
