"""Every request has an id: the client's when it sent a sane one, else a new one."""

from __future__ import annotations

import re
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """The id of the request that `scope` belongs to."""
    return scope["serve_app.request_id"]


class RequestIdMiddleware:
    """Names each request, to the layers within and in the response, once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = MutableHeaders(scope=scope)
        request_id = headers[HEADER] = _chosen(headers.get(HEADER, ""))
        scope["serve_app.request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def _chosen(offered: str) -> str:
    return offered if _SANE.fullmatch(offered) else uuid.uuid4().hex
