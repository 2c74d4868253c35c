"""Clients that are called alike, and servers that answer as none should."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from io import BufferedRWPair
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from serve_app.client import AsyncClient, Client
from tests.support.web import reply

Connect = Callable[..., AbstractContextManager[Client]]
"""Connects a client: `Client` itself, or one for asyncio that is called like it."""


class Blocking:
    """A part of the asynchronous client, called like its twin for threads."""

    def __init__(self, portal: BlockingPortal, part: Any) -> None:
        self._portal = portal
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return self._plain(getattr(self._part, name))

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._plain(self._portal.call(lambda: self._part(*args, **named)))

    def _plain(self, found: Any) -> Any:
        return Blocking(self._portal, found) if _is_asynchronous(found) else found

    def __enter__(self) -> Any:
        self._entered = self._portal.wrap_async_context_manager(self._part)
        return self._plain(self._entered.__enter__())

    def __exit__(self, *error: Any) -> bool | None:
        return self._entered.__exit__(*error)

    def __iter__(self) -> Iterator[Any]:
        pieces = self._part.__aiter__()
        try:
            while True:
                yield self._portal.call(pieces.__anext__)
        except StopAsyncIteration:
            return


def _is_asynchronous(found: Any) -> bool:
    return (
        callable(found)
        or hasattr(found, "__aiter__")
        or isinstance(found, AbstractAsyncContextManager)
        or type(found).__name__ in ("AsyncVoices", "AsyncOutputs")
    )


@contextlib.contextmanager
def connected_by_asyncio(*args: Any, **named: Any) -> Generator[Any]:
    """An `AsyncClient` that is called like a `Client`."""
    with start_blocking_portal() as portal:
        client = portal.call(lambda: AsyncClient(*args, **named))
        with Blocking(portal, client) as blocking:
            yield blocking


class OddServer:
    """Sends each of `replies` on a connection of its own, and keeps what it was asked."""

    def __init__(self, *replies: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self._replies = replies
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> OddServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()
        assert len(self.requests) == len(self._replies)

    def _serve(self) -> None:
        for sent in self._replies:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rwb") as stream:
                self.requests.append(_read_request(stream))
                stream.write(sent)


def _read_request(stream: BufferedRWPair) -> bytes:
    head = b"".join(iter(stream.readline, b"\r\n"))
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return head + stream.read(int(length[1]) if length else 0)


def busy(seconds: str) -> bytes:
    """The answer of a server that wants to be asked again in so many seconds."""
    return reply(b"", 503, ["Content-Length: 0", f"Retry-After: {seconds}", "Connection: close"])
