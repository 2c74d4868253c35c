"""Is it alive, can it serve, what can it do."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from serve_app import __version__
from serve_app.api.services import InjectedServices
from serve_app.api.tts_models import SpeechBody
from serve_app.api.vc import ConversionFields
from serve_app.domain.errors import ModelNotLoaded
from serve_app.domain.types import (
    AudioFormat,
    BackendStatus,
    Capabilities,
    ConversionCapabilities,
)

router = APIRouter(tags=["service"])


@router.get("/health", include_in_schema=False)
@router.get("/api/v1/health", summary="Whether the service can serve")
async def health(services: InjectedServices) -> Response:
    """200 when a speech replica runs; healthy when a conversion replica does, too."""
    speech, conversion = await asyncio.gather(
        services.speech.status(), services.conversion.status()
    )
    uptime = time.time() - services.started_at
    answer = {
        "status": "healthy" if speech.running and conversion.running else "degraded",
        "models_loaded": {"tts": speech.running > 0, "vc": conversion.running > 0},
        "version": __version__,
        "uptime_seconds": round(uptime, 1),
        "uptime": str(timedelta(seconds=int(uptime))),
        "replicas": {"tts": _replicas(speech), "vc": _replicas(conversion)},
        "warnings": [status.failure for status in (speech, conversion) if status.failure],
    }
    return JSONResponse(answer, 200 if speech.running else 503)


def _replicas(status: BackendStatus) -> dict[str, int]:
    return {"running": status.running, "starting": status.starting}


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
        "vc_defaults": _vc_defaults(services.settings.vc.export_formats),
        "supported_formats": list(AudioFormat),
        "api_limits": {
            "max_text_length": limits.max_text_chars,
            "max_body_bytes": limits.max_body_bytes,
            "max_upload_bytes": limits.max_upload_bytes,
            "max_voice_seconds": limits.max_voice_seconds,
            "max_input_seconds": limits.max_input_seconds,
            "first_chunk_timeout_seconds": limits.first_chunk_timeout_s,
        },
        "control_ranges": _control_ranges(),
        "presets": [
            {"name": name, **preset.model_dump()}
            for name, preset in services.settings.presets.items()
        ],
        "engines": {
            "tts": _engine(services.speech.capabilities),
            "vc": _conversion_engine(services.conversion.capabilities),
        },
        "url_sources_allowed": services.settings.sources.allow_urls,
    }


def _defaults(formats: tuple[AudioFormat, ...]) -> dict[str, Any]:
    """Each field of the tts body that has a default, and it."""
    defaults = SpeechBody(text="").model_dump(mode="json", exclude={"text", "folder"})
    return {**defaults, "export_formats": list(formats), "response_mode": "stream"}


def _vc_defaults(formats: tuple[AudioFormat, ...]) -> dict[str, Any]:
    """Each field of the vc body that has a default, and it."""
    defaults = ConversionFields().model_dump(mode="json", exclude={"folder"})
    return {**defaults, "export_formats": list(formats), "response_mode": "stream"}


def _control_ranges() -> dict[str, Any]:
    """What the numeric fields of the tts body may be."""
    properties = SpeechBody.model_json_schema()["properties"]
    return {
        name: {**bounds, "default": field.get("default"), "description": field.get("description")}
        for name, field in properties.items()
        if (bounds := _bounds(field))
    }


def _bounds(field: dict[str, Any]) -> dict[str, float]:
    """The bounds of a number in a JSON schema, which an optional one has in its first choice."""
    number = field.get("anyOf", [field])[0]
    lowest = number.get("minimum", number.get("exclusiveMinimum"))
    highest = number.get("maximum", number.get("exclusiveMaximum"))
    return {} if lowest is None or highest is None else {"minimum": lowest, "maximum": highest}


def _conversion_engine(capabilities: ConversionCapabilities) -> dict[str, Any]:
    return {
        "name": capabilities.name,
        "sample_rate": capabilities.sample_rate,
        "shapes": capabilities.shapes,
    }


def _engine(capabilities: Capabilities) -> dict[str, Any]:
    return {
        "name": capabilities.name,
        "sample_rate": capabilities.sample_rate,
        "languages": list(capabilities.languages),
        "voices": list(capabilities.voices),
        "controls": sorted(capabilities.controls),
        "native_speed": capabilities.native_speed,
        "word_timings": capabilities.word_timings,
        "speaks_as_recordings": capabilities.reference is not None,
    }
