"""The FastAPI application: routers, middleware and the shape of errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from serve_app import __version__
from serve_app.api import concat, health, outputs, page, tts, vc, vc_inputs, voices
from serve_app.api.body_limit import BodyLimitMiddleware
from serve_app.api.errors import add_error_handlers
from serve_app.api.openai import router as openai
from serve_app.api.request_id import RequestIdMiddleware
from serve_app.api.services import Services
from serve_app.api.websocket import routes as websocket
from serve_app.settings import Settings

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]

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
    "X-Warnings",
)


_FORM_PATHS = (
    "/api/v1/voice",
    "/api/v1/vc_input",
    "/api/v1/vc",
    "/api/v1/concat/mixed",
    "/v1/audio/speech/upload",
)
_FORM_OVERHEAD_BYTES = 2 << 20
"""The text fields of a form, and what is between its parts."""


def create_app(settings: Settings, open_services: OpenServices) -> FastAPI:
    """The HTTP API over the services that are open as long as it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_services() as services:
            app.state.services = services
            yield

    app = FastAPI(
        title="serve-app",
        version=__version__,
        description="Text to speech and voice conversion that stream while they synthesise.",
        redirect_slashes=False,
        lifespan=lifespan,
    )
    add_error_handlers(app)
    for router in (
        tts.router,
        websocket.router,
        vc.router,
        concat.router,
        voices.router,
        vc_inputs.router,
        outputs.router,
        health.router,
        openai.router,
        page.router,
    ):
        app.include_router(router)
    limits = settings.limits
    app.add_middleware(
        BodyLimitMiddleware,
        limits.max_body_bytes,
        limits.max_upload_bytes + _FORM_OVERHEAD_BYTES,
        _FORM_PATHS,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=settings.http.cors_origin_regex,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=_EXPOSED_HEADERS,
    )
    app.add_middleware(RequestIdMiddleware)
    return app
