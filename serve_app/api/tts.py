"""POST /api/v1/tts: text in, audio out while it is still being spoken."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError

from serve_app.api.answer import answer
from serve_app.api.content_type import json_only
from serve_app.api.fields import (
    ResponseModeQuery,
    ReturnFormatQuery,
    parse_response_mode,
)
from serve_app.api.ignored import ignored_header
from serve_app.api.job import Finisher, Job
from serve_app.api.request_id import request_id_of
from serve_app.api.services import InjectedServices, Services
from serve_app.api.sources import Voice
from serve_app.api.tts_models import SpeechBody
from serve_app.api.tts_plan import SpeechPlan, plan_speech
from serve_app.audio.loudness import normalize
from serve_app.audio.process import Processor, Stretch, TrimSilence
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import ConversionRequest, PcmChunk

router = APIRouter(prefix="/api/v1", tags=["speech"])


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
    response_mode: ResponseModeQuery = None,
    return_format: ReturnFormatQuery = None,
) -> Response:
    """Streams the speech while it is made, or with `response_mode=url` answers with its files."""
    mode = parse_response_mode(response_mode or body.response_mode or "stream")
    voice = await services.sources.voice(
        body.reference_audio_filename, services.speech.capabilities.voices
    )
    try:
        body = with_defaults(body, voice)
        request_id = request_id_of(request.scope)
        capabilities = services.speech.capabilities
        plan = plan_speech(body, voice, return_format, request_id, capabilities, services.settings)
        await services.sources.count(voice)
    except BaseException:
        await voice.tidy_up()
        raise
    return await answer(services, request, _job(services, plan, body, voice), mode)


def with_defaults(body: SpeechBody, voice: Voice) -> SpeechBody:
    """The body with the voice's own parameters in the fields that the client left out.

    Raises:
        InvalidRequest: the voice's parameters are none that a request could have.
    """
    if not voice.defaults:
        return body
    given = body.model_dump(exclude_unset=True)
    try:
        return SpeechBody.model_validate({**voice.defaults, **given})
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidRequest(
            f"default_parameters of the voice {voice.path!r}: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}."
        ) from None


def _job(services: Services, plan: SpeechPlan, body: SpeechBody, voice: Voice) -> Job:
    rate = services.speech.capabilities.sample_rate
    return Job(
        draft=plan.draft,
        streamed=plan.streamed,
        sample_rate=rate,
        chunks=_chunks(services, plan, voice),
        message="Speech was generated.",
        processors=lambda: _processors(plan, body, rate),
        finisher=_finisher(body, rate),
        headers=_headers(plan, body),
        facts={
            "generation_seed_used": plan.request.seed,
            "speed_factor_library_used": _speed_library(plan),
            "warnings": list(plan.warnings),
        },
        tidy_up=voice.tidy_up,
    )


def _chunks(services: Services, plan: SpeechPlan, voice: Voice) -> AsyncGenerator[PcmChunk, None]:
    """The speech, in the voice of a recording where one was asked for.

    Where the engine speaks in its own voice only, its speech is converted.
    """
    if voice.recording is None:
        return services.speech.speak(plan.request)
    if services.speech.capabilities.reference is not None:
        return services.speech.speak(replace(plan.request, reference=voice.recording))
    request_id = plan.request.request_id
    return services.conversion.convert(
        ConversionRequest(plan.request, voice.recording, request_id=request_id)
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


def _headers(plan: SpeechPlan, body: SpeechBody) -> dict[str, str]:
    headers = {"X-Generation-Seed": str(plan.request.seed), **ignored_header(plan.ignored)}
    if body.speed_factor != 1.0:
        headers["X-Speed-Library"] = _speed_library(plan)
    if body.normalize_audio:
        headers["X-Normalization"] = "stored-files-only"
    return headers


def _speed_library(plan: SpeechPlan) -> str:
    return "atempo" if plan.stretch != 1.0 else "engine"
