"""A stored file as a response, with ranges and conditional requests as RFC 9110 has them.

What the RFC leaves open: who asks for several ranges gets the whole file (14.2 lets a server ignore
Range), and so does a Range that is malformed or counts in another unit than bytes. Range is defined
for GET only, so HEAD tells the size of the whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from serve_app.api.errors import error_response
from serve_app.domain.errors import StorageUnavailable

Read = Callable[[int, int], AsyncGenerator[bytes, None]]
"""The bytes of a file from the first position up to, and without, the second, in pieces."""

_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
_ONE_RANGE = re.compile(r"bytes=([0-9]{0,100})-([0-9]{0,100})", re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """There is no byte of the file in the range that was asked for."""


class BlobResponse(Response):
    """Serves the file that `read` reads: 200, 206, 304, 412 or 416.

    What `read` raises before its first piece is raised before the head is sent, so that it can
    become a status; what it raises later breaks the body. It is closed when the client leaves.
    """

    def __init__(
        self,
        size: int,  # bytes
        e_tag: str,  # as a store gives it, in quotes or without; "" if there is none
        modified: datetime,  # aware
        media_type: str,
        read: Read,
        filename: str,  # what a browser calls the file when it is saved
    ) -> None:
        super().__init__()
        self._size = size
        self._read = read
        self._validators = _Validators(_quoted(e_tag), modified.astimezone(UTC))
        self.headers.update(
            {
                "content-type": media_type,  # as the contract has it: no charset
                "content-length": str(size),
                "content-disposition": f"inline; {_filename_parameter(filename)}",
                "accept-ranges": "bytes",
                **self._validators.headers(),
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, then run the background tasks."""
        request = Request(scope, receive, send)
        response = self._without_content(request)
        if response is None:
            await self._send_content(request, send)
        else:
            await response(scope, receive, send)
        if self.background is not None:
            await self.background()

    def _without_content(self, request: Request) -> Response | None:
        """The answer that needs no byte of the file, if there is one. Order: RFC 9110, 13.2.2."""
        if self._validators.forbid(request.headers):
            message = "The file is not, or no longer, the one that If-Match or its like names."
            return error_response(request, 412, "INVALID_PARAMETERS", message)
        if self._validators.unchanged(request.headers):
            return Response(status_code=304, headers=self._validators.headers())
        if request.method == "HEAD":
            return Response(headers=self.headers)
        return None

    def _range(self, headers: Headers) -> tuple[int, int] | None:
        """Start and end (exclusive) of the part to send; None is the whole."""
        if not self._validators.allow_range(headers):
            return None
        return parse_range(headers.get("range", ""), self._size)

    async def _send_content(self, request: Request, send: Send) -> None:
        try:
            part = self._range(request.headers)
        except RangeNotSatisfiable:
            await self._not_satisfiable(request)(request.scope, request.receive, send)
            return
        start, end = part or (0, self._size)
        async with aclosing(self._exactly(start, end)) as pieces:
            first = await anext(pieces)
            async with aclosing(_chained(first, pieces)) as body:
                headers = self._headers_of(part)
                response = StreamingResponse(body, 206 if part else 200, headers)
                await response(request.scope, request.receive, send)

    def _not_satisfiable(self, request: Request) -> Response:
        return error_response(
            request, 416, "INVALID_PARAMETERS", "Range: there is no byte of the file in it.",
            f"The file has {self._size} bytes.", {"Content-Range": f"bytes */{self._size}"},
        )  # fmt: skip

    def _headers_of(self, part: tuple[int, int] | None) -> MutableHeaders:
        headers = MutableHeaders(raw=list(self.raw_headers))
        if part:
            start, end = part
            headers["content-length"] = str(end - start)
            headers["content-range"] = f"bytes {start}-{end - 1}/{self._size}"
        return headers

    async def _exactly(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """What is read, at least one piece, if it is as long as Content-Length says.

        Raises:
            StorageUnavailable: it is not: the file has become another one.
        """
        left = end - start
        if left == 0:
            yield b""
            return
        async with aclosing(self._read(start, end)) as pieces:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left != 0:
            raise StorageUnavailable("The file was changed while it was read.", "Ask again.")


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of the one range in a Range header; None: send all `size` bytes.

    Raises:
        RangeNotSatisfiable: the range is well formed, and no byte is in it.
    """
    found = _ONE_RANGE.fullmatch(header)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size)
    start, end = int(first), int(last) + 1 if last else size
    if last and end <= start:
        return None
    if start >= size:
        raise RangeNotSatisfiable
    return start, min(end, size)


def _suffix(length: int, size: int) -> tuple[int, int] | None:
    if length == 0:
        raise RangeNotSatisfiable
    return (max(size - length, 0), size) if size else None  # Content-Range cannot say "nothing"


@dataclass(frozen=True, slots=True)
class _Validators:
    """What tells one version of a file from another, and the conditions on it (RFC 9110, 13)."""

    e_tag: str  # in quotes, perhaps weak; "" if there is none
    modified: datetime  # UTC

    def headers(self) -> dict[str, str]:
        headers = {"last-modified": format_datetime(self._second, usegmt=True)}
        return {**headers, "etag": self.e_tag} if self.e_tag else headers

    def forbid(self, headers: Headers) -> bool:
        """Does If-Match name another file, or If-Unmodified-Since an older one?"""
        if "if-match" in headers:
            tags = _tags(headers, "if-match")
            return "*" not in tags and not self._is_strongly(tags)
        date = _date(headers.get("if-unmodified-since"))
        return date is not None and self._second > date

    def unchanged(self, headers: Headers) -> bool:
        """Has the client this version, by If-None-Match or else by If-Modified-Since?"""
        if "if-none-match" in headers:
            tags = {tag.removeprefix("W/") for tag in _tags(headers, "if-none-match")}
            return "*" in tags or self.e_tag.removeprefix("W/") in tags
        date = _date(headers.get("if-modified-since"))
        return date is not None and self._second <= date

    def allow_range(self, headers: Headers) -> bool:
        """Is there no If-Range, or one that names exactly this version?"""
        condition = headers.get("if-range")
        if condition is None:
            return True
        if _ENTITY_TAG.fullmatch(condition):
            return self._is_strongly([condition])
        return _date(condition) == self._second

    @property
    def _second(self) -> datetime:
        """HTTP's dates have no fractions."""
        return self.modified.replace(microsecond=0)

    def _is_strongly(self, tags: list[str]) -> bool:
        return not self.e_tag.startswith("W/") and self.e_tag in tags


def _tags(headers: Headers, name: str) -> list[str]:
    """The entity tags of a header that may be repeated, or "*"."""
    value = ", ".join(headers.getlist(name))
    return ["*"] if value.strip() == "*" else _ENTITY_TAG.findall(value)


def _date(header: str | None) -> datetime | None:
    """A date in any of HTTP's three forms; None if it is none, which is to be ignored."""
    try:
        date = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC)


def _quoted(e_tag: str) -> str:
    return e_tag if not e_tag or _ENTITY_TAG.fullmatch(e_tag) else f'"{e_tag}"'


def _filename_parameter(filename: str) -> str:
    """RFC 6266: plain where that is enough, else as percent-encoded UTF-8."""
    encoded = quote(filename)
    return f'filename="{filename}"' if encoded == filename else f"filename*=utf-8''{encoded}"


async def _chained(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for piece in rest:
        yield piece
