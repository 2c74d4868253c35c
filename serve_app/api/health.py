"""Is it alive, can it serve, what can it do."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from serve_app import __version__
from serve_app.api.services import InjectedServices
from serve_app.api.tts_models import SpeechBody
from serve_app.domain.errors import ModelNotLoaded
from serve_app.domain.types import AudioFormat, Capabilities

router = APIRouter(tags=["service"])


@router.get("/health", include_in_schema=False)
@router.get("/api/v1/health", summary="Whether the service can serve")
async def health(services: InjectedServices) -> Response:
    """200 when a speech replica runs, degraded otherwise."""
    status = await services.speech.status()
    uptime = time.time() - services.started_at
    answer = {
        "status": "healthy" if status.running else "degraded",
        "models_loaded": {"tts": status.running > 0, "vc": False},
        "version": __version__,
        "uptime_seconds": round(uptime, 1),
        "uptime": str(timedelta(seconds=int(uptime))),
        "replicas": {"tts": {"running": status.running, "starting": status.starting}},
        "warnings": [status.failure] if status.failure else [],
    }
    return JSONResponse(answer, 200 if status.running else 503)


@router.get("/livez", summary="Whether this process answers")
async def livez() -> PlainTextResponse:
    """Always 200: for a liveness probe."""
    return PlainTextResponse("ok")


@router.get("/readyz", summary="Whether a speech replica is warm")
async def readyz(services: InjectedServices) -> PlainTextResponse:
    """503 until a replica has loaded its model: for a readiness probe."""
    status = await services.speech.status()
    if not status.running:
        reason = status.failure or "The first one is loading its model."
        raise ModelNotLoaded("No speech replica is ready.", reason)
    return PlainTextResponse("ok")


@router.get("/api/v1/config", summary="What the service can do")
async def config(services: InjectedServices) -> dict[str, Any]:
    """Defaults, formats, limits and what the running engine can do."""
    limits = services.settings.limits
    return {
        "tts_defaults": _defaults(services.settings.speech.export_formats),
        "vc_defaults": {},
        "supported_formats": list(AudioFormat),
        "api_limits": {
            "max_text_length": limits.max_text_chars,
            "max_body_bytes": limits.max_body_bytes,
            "first_chunk_timeout_seconds": limits.first_chunk_timeout_s,
        },
        "engines": {"tts": _engine(services.speech.capabilities)},
    }


def _defaults(formats: tuple[AudioFormat, ...]) -> dict[str, Any]:
    """Each field of the tts body that has a default, and it."""
    defaults = SpeechBody(text="").model_dump(mode="json", exclude={"text", "folder"})
    return {**defaults, "export_formats": list(formats), "response_mode": "stream"}


def _engine(capabilities: Capabilities) -> dict[str, Any]:
    return {
        "name": capabilities.name,
        "sample_rate": capabilities.sample_rate,
        "languages": list(capabilities.languages),
        "voices": list(capabilities.voices),
        "controls": sorted(capabilities.controls),
        "native_speed": capabilities.native_speed,
    }
