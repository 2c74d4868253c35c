"""The FastAPI application: routers, middleware and the shape of errors."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from serve_app import __version__
from serve_app.api import health, outputs, tts
from serve_app.api.body_limit import BodyLimitMiddleware
from serve_app.api.errors import add_error_handlers
from serve_app.api.request_id import RequestIdMiddleware
from serve_app.api.services import Services

_EXPOSED_HEADERS = (
    "Content-Disposition",
    "Retry-After",
    "X-Alternative-Formats",
    "X-Generation-Seed",
    "X-Ignored-Parameters",
    "X-Normalization",
    "X-Request-ID",
    "X-Sample-Rate",
    "X-Speed-Library",
)


def create_app(services: Services) -> FastAPI:
    """The HTTP API over `services`."""
    app = FastAPI(
        title="serve-app",
        version=__version__,
        description="Text to speech that streams while it synthesises.",
        redirect_slashes=False,
    )
    app.state.services = services
    add_error_handlers(app)
    for router in (tts.router, outputs.router, health.router):
        app.include_router(router)
    app.add_middleware(BodyLimitMiddleware, services.settings.limits.max_body_bytes)
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=services.settings.http.cors_origin_regex,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=_EXPOSED_HEADERS,
    )
    app.add_middleware(RequestIdMiddleware)
    return app
