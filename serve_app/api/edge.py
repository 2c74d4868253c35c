"""What happens to a request before Serve sees it.

Serve reads some headers itself: with them a client could set the time limit of its request, or have
it live on after it has left. It also echoes any X-Request-ID, and beside ours. Serve
takes `middlewares` from RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH and runs them first.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.api.request_id import RequestIdMiddleware

SERVE_CONTROL_HEADERS = (
    "x-request-timeout-seconds",
    "x-request-disconnect-disabled",
    "serve_multiplexed_model_id",
)


def middlewares() -> list[Middleware]:
    """In the order Serve applies them: the last is the outermost."""
    return [Middleware(ControlHeadersMiddleware), Middleware(RequestIdMiddleware)]


class ControlHeadersMiddleware:
    """Takes away the headers that would control Serve from outside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] in ("http", "websocket"):
            headers = MutableHeaders(scope=scope)
            for name in SERVE_CONTROL_HEADERS:
                del headers[name]
        await self._app(scope, receive, send)
