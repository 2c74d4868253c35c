"""Calls over HTTP: what is sent, what is waited for, and which errors come of it.

`Transport` and `AsyncTransport` are the only places that send anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import ValidationError

from serve_app.client.answers import Answer
from serve_app.client.calls import Call
from serve_app.client.errors import (
    CannotBeSent,
    ServerUnreachable,
    UnexpectedAnswer,
    reason_of,
    refused,
    retry_after,
)
from serve_app.client.streams import unbroken

AnswerType = TypeVar("AnswerType", bound=Answer)

_CONNECT_SECONDS = 10.0
_NO_LIMITS = httpx.Limits()
"""Whoever opens many streams wants them at once; by default HTTPX lets a hundred through."""


@dataclass(frozen=True, slots=True)
class Server:
    """Which server, and how patient to be with it."""

    url: str  # without a slash at its end
    api_key: str | None
    timeout: float  # seconds of silence
    max_wait: float  # seconds to wait before the one retry of an overloaded server

    def __post_init__(self) -> None:
        """An error of HTTPX would repeat a secret that cannot be sent."""
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise CannotBeSent("api_key: it has characters that cannot be sent in a header.")
        if "@" in self.url:
            raise CannotBeSent("url: it has no place for a user and a password; use an API key.")


class Transport:
    """Sends calls, from any thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        with _reaching(server.url):
            self._http = httpx.Client(
                base_url=server.url,
                timeout=_timeout(server),
                auth=_KeyForServer(server),
                limits=_NO_LIMITS,
            )

    def ask(self, call: Call, answer: type[AnswerType]) -> AnswerType:
        """The answer to a call.

        Raises:
            ServerUnreachable, RequestRefused, UnexpectedAnswer, StreamBroken
        """
        with self.opened(call) as response:
            with unbroken():
                content = response.read()
            return _understood(response, content, answer)

    @contextmanager
    def opened(self, call: Call) -> Generator[httpx.Response]:
        """An answer whose head has arrived; leaving the block closes its connection.

        Raises:
            ServerUnreachable, RequestRefused, StreamBroken
        """
        response = self._sent(call)
        try:
            if response.status_code not in call.answers:
                with unbroken():
                    response.read()
                raise _refusal(response)
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def _sent(self, call: Call) -> httpx.Response:
        response = self._sent_once(call)
        wait = _wait_before_retry(response, self._server.max_wait)
        if wait is None:
            return response
        response.close()
        time.sleep(wait)
        return self._sent_once(call)

    def _sent_once(self, call: Call) -> httpx.Response:
        with _reaching(self._server.url), ExitStack() as files:
            return self._http.send(_request(self._http, call, files), stream=True)


class AsyncTransport:
    """As `Transport`, for asyncio."""

    def __init__(self, server: Server) -> None:
        self._server = server
        with _reaching(server.url):
            self._http = httpx.AsyncClient(
                base_url=server.url,
                timeout=_timeout(server),
                auth=_KeyForServer(server),
                limits=_NO_LIMITS,
            )

    async def ask(self, call: Call, answer: type[AnswerType]) -> AnswerType:
        """As `Transport.ask`."""
        async with self.opened(call) as response:
            with unbroken():
                content = await response.aread()
            return _understood(response, content, answer)

    @asynccontextmanager
    async def opened(self, call: Call) -> AsyncGenerator[httpx.Response]:
        """As `Transport.opened`."""
        response = await self._sent(call)
        try:
            if response.status_code not in call.answers:
                with unbroken():
                    await response.aread()
                raise _refusal(response)
            yield response
        finally:
            await response.aclose()

    async def close(self) -> None:
        """As `Transport.close`."""
        await self._http.aclose()

    async def _sent(self, call: Call) -> httpx.Response:
        response = await self._sent_once(call)
        wait = _wait_before_retry(response, self._server.max_wait)
        if wait is None:
            return response
        await response.aclose()
        await asyncio.sleep(wait)
        return await self._sent_once(call)

    async def _sent_once(self, call: Call) -> httpx.Response:
        with _reaching(self._server.url), ExitStack() as files:
            return await self._http.send(_request(self._http, call, files), stream=True)


class _KeyForServer(httpx.Auth):
    """Shows the API key to the server, and not to another whose URL is fetched."""

    def __init__(self, server: Server) -> None:
        self._origin = _origin(httpx.URL(server.url))
        self._key = server.api_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        if self._key is not None and _origin(request.url) == self._origin:
            request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _timeout(server: Server) -> httpx.Timeout:
    return httpx.Timeout(server.timeout, connect=min(server.timeout, _CONNECT_SECONDS))


@contextmanager
def _reaching(url: str) -> Generator[None]:
    """Until the head of an answer: what goes wrong is that there is none."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServerUnreachable(url, reason_of(error)) from None


def _request(http: httpx.Client | httpx.AsyncClient, call: Call, files: ExitStack) -> httpx.Request:
    """The request of a call, with its uploads open until `files` is closed.

    Raises:
        CannotBeSent: a value is not UTF-8, or nothing that JSON can say.
    """
    uploads = {
        name: (path.name, files.enter_context(path.open("rb")))
        for name, path in call.uploads.items()
    }
    try:
        return http.build_request(
            call.method,
            call.path,
            params=_given(call.query),
            json=call.json,
            data=_given(call.form),
            files=uploads or None,
        )
    except (ValueError, RecursionError) as error:
        raise CannotBeSent(f"The request cannot be sent: {reason_of(error)}.") from None


def _given(fields: Mapping[str, str]) -> dict[str, str] | None:
    return dict(fields) or None


def _wait_before_retry(response: httpx.Response, longest: float) -> float | None:
    """Seconds after which an overloaded server is asked once more; None to leave it."""
    wait = retry_after(response.headers)
    return wait if response.status_code == 503 and wait is not None and wait <= longest else None


def _refusal(response: httpx.Response) -> Exception:
    return refused(response.status_code, response.headers, response.content)


def _understood(response: httpx.Response, content: bytes, answer: type[AnswerType]) -> AnswerType:
    """The answer in a body.

    Raises:
        RequestRefused: it is none, and its status is an error.
        UnexpectedAnswer: it is none.
    """
    try:
        return answer.model_validate_json(content)
    except ValidationError as error:
        if response.is_error:
            raise _refusal(response) from None
        raise UnexpectedAnswer(str(response.url), reason_of(error)) from None
