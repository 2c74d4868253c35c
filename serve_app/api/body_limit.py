"""Bodies are bounded while they are read, whatever Content-Length says.

A form may be as large as an upload, on the routes that take one; everything else is JSON.

FastAPI's own `max_body_size` answers before the error handlers do, in a shape that is not ours.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Refuses a request whose body is larger than its route may have with 413."""

    def __init__(
        self, app: ASGIApp, max_bytes: int, max_form_bytes: int, form_paths: Collection[str]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_form_bytes = max_form_bytes
        self._form_paths = form_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = _number(headers.get("content-length", "0"))
        limit = self._limit(scope["path"], headers.get("content-type", ""))
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit or declared > limit:
                raise HTTPException(413, f"The body is larger than {limit} bytes.")
            return message

        await self._app(scope, receive_bounded, send)

    def _limit(self, path: str, content_type: str) -> int:
        is_form = content_type.strip().lower().startswith("multipart/form-data")
        if is_form and path in self._form_paths:
            return self._max_form_bytes
        return self._max_bytes


def _number(declared: str) -> int:
    return int(declared) if declared.isdecimal() else 0
