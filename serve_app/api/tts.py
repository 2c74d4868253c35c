"""POST /api/v1/tts: text in, audio out while it is still being spoken."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from serve_app.api.audio_response import AudioResponse
from serve_app.api.content_type import json_only
from serve_app.api.rendering import Finisher, Rendering
from serve_app.api.request_id import request_id_of
from serve_app.api.services import InjectedServices, Services
from serve_app.api.speech_session import SpeechSession
from serve_app.api.tts_models import ResponseMode, SpeechBody, parse_response_mode
from serve_app.api.tts_plan import SpeechPlan, plan_speech
from serve_app.api.urls import base_url
from serve_app.audio.encode import StreamEncoder, media_type, output_rate
from serve_app.audio.loudness import normalize
from serve_app.audio.process import Processor, Stretch, TrimSilence
from serve_app.library.outputs import PendingOutput

router = APIRouter(prefix="/api/v1", tags=["speech"])

_ResponseMode = Annotated[
    str | None, Query(description="stream (default; file and download are aliases) or url.")
]
_ReturnFormat = Annotated[
    str | None, Query(description="The format to stream, of the export_formats.")
]


@router.post(
    "/tts",
    summary="Speak a text",
    response_class=Response,
    dependencies=[Depends(json_only)],
    responses={200: {"content": {"audio/wav": {}, "application/json": {}}}},
)
async def speak(
    body: SpeechBody,
    request: Request,
    services: InjectedServices,
    response_mode: _ResponseMode = None,
    return_format: _ReturnFormat = None,
) -> Response:
    """Streams the speech while it is made, or with `response_mode=url` answers with its files."""
    began = time.perf_counter()
    mode = parse_response_mode(response_mode or body.response_mode or "stream")
    plan = plan_speech(
        body,
        return_format,
        request_id_of(request.scope),
        services.speech.capabilities,
        services.settings,
    )
    streams = mode is ResponseMode.STREAM
    rendering = await services.in_thread(lambda: _start(services, plan, body, streams))
    session = SpeechSession(services, rendering, plan.request)
    if streams:
        await session.begin()
        return _stream(session, rendering, plan, body)
    await session.run_to_end()
    return _json(request, services, rendering, plan, began)


def _start(services: Services, plan: SpeechPlan, body: SpeechBody, streams: bool) -> Rendering:
    rate = services.speech.capabilities.sample_rate
    processors = _processors(plan, body, rate)
    encoder = StreamEncoder(plan.streamed, rate) if streams else None
    return Rendering(
        output=services.outputs.reserve(plan.draft),  # last: what fails before it leaves no name
        sample_rate=rate,
        processors=processors,
        encoder=encoder,
        finisher=_finisher(body, rate),
    )


def _processors(plan: SpeechPlan, body: SpeechBody, rate: int) -> list[Processor]:
    processors: list[Processor] = []
    if plan.stretch != 1.0:
        processors.append(Stretch(rate, plan.stretch))
    if body.trim:
        processors.append(TrimSilence(rate, body.trim_threshold_ms))
    return processors


def _finisher(body: SpeechBody, rate: int) -> Finisher | None:
    """Loudness needs the whole signal, so only the stored files have it."""
    if not body.normalize_audio:
        return None
    return lambda samples: normalize(
        samples,
        rate,
        body.normalize_method.value,
        level=body.normalize_level,
        true_peak=body.normalize_tp,
        loudness_range=body.normalize_lra,
    )


def _stream(
    session: SpeechSession, rendering: Rendering, plan: SpeechPlan, body: SpeechBody
) -> AudioResponse:
    rate = rendering.sample_rate
    headers = {
        "Content-Disposition": f'attachment; filename="{rendering.output.filename(plan.streamed)}"',
        "Cache-Control": "no-store",
        "X-Generation-Seed": str(plan.request.seed),
        "X-Sample-Rate": str(output_rate(plan.streamed, rate)),
    }
    if alternatives := _alternatives(rendering.output, plan):
        headers["X-Alternative-Formats"] = alternatives
    if plan.ignored:
        headers["X-Ignored-Parameters"] = ",".join(_header_safe(name) for name in plan.ignored)
    if body.speed_factor != 1.0:
        headers["X-Speed-Library"] = _speed_library(plan)
    if body.normalize_audio:
        headers["X-Normalization"] = "stored-files-only"
    return AudioResponse(session, media_type(plan.streamed, rate), headers)


def _alternatives(output: PendingOutput, plan: SpeechPlan) -> str:
    others = [f for f in output.formats if f is not plan.streamed]
    return "|".join(f"{other}:{output.url_path(other)}" for other in others)


def _speed_library(plan: SpeechPlan) -> str:
    return "atempo" if plan.stretch != 1.0 else "engine"


def _header_safe(name: str) -> str:
    """A field name of the client's own making, fit for a header."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "?" for c in name)[:64]


def _json(
    request: Request, services: Services, rendering: Rendering, plan: SpeechPlan, began: float
) -> Response:
    output, base = rendering.output, base_url(request, services.settings.http.trusted_proxies)
    answer: dict[str, Any] = {
        "success": True,
        "message": "Speech was generated.",
        "output_files": [
            {
                "format": audio_format.value,
                "filename": output.filename(audio_format),
                "url": base + output.url_path(audio_format),
                "path": output.url_path(audio_format),
            }
            for audio_format in output.formats
        ],
        "generation_seed_used": plan.request.seed,
        "processing_time_seconds": round(time.perf_counter() - began, 4),
        "duration_seconds": round(rendering.seconds, 4),
        "speed_factor_library_used": _speed_library(plan),
        "warnings": list(plan.warnings),
        "request_id": request_id_of(request.scope),
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return JSONResponse(answer)
