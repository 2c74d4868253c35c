"""POST /v1/audio/speech and /v1/audio/speech/upload: the native speech, asked for OpenAI's way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from serve_app.api import speaking
from serve_app.api.answer import answer
from serve_app.api.content_type import json_only
from serve_app.api.fields import ResponseMode, StreamFormat
from serve_app.api.forms import form_schema, read_form, validated
from serve_app.api.ignored import ignored_header
from serve_app.api.openai.fields import SpeechFields, SpeechJson
from serve_app.api.openai.models import is_model, model_not_found
from serve_app.api.openai.names import openai_name
from serve_app.api.request_id import request_id_of
from serve_app.api.services import InjectedServices, Services
from serve_app.api.sources import Voice
from serve_app.api.tts_models import SpeechBody

router = APIRouter()

WARNINGS_HEADER = "X-Warnings"

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/mpeg": {}, "text/event-stream": {}}}
}


@router.post(
    "/audio/speech",
    summary="Speak a text (OpenAI)",
    response_class=Response,
    dependencies=[Depends(json_only)],
    responses=_ANSWERS,
)
async def speak(body: SpeechJson, request: Request, services: InjectedServices) -> Response:
    """Streams the speech while it is made: audio, or with `stream_format` sse events."""
    if not is_model(body.model, services):
        return model_not_found(request, body.model)
    native = body.native()
    voice = await speaking.find_voice(services, body.voice)
    return await _spoken(services, request, body, native, voice)


@router.post(
    "/audio/speech/upload",
    summary="Speak a text in an uploaded voice",
    response_class=Response,
    responses=_ANSWERS,
    openapi_extra=form_schema(SpeechFields, ("voice_file",), ("voice_file",)),
)
async def speak_as_uploaded(request: Request, services: InjectedServices) -> Response:
    """The same as a form, in the voice of the recording `voice_file`, which is not kept."""
    async with read_form(request) as form:
        file = form.required_file("voice_file")
        fields = validated(SpeechFields, form.fields)
        if not is_model(fields.model, services):
            return model_not_found(request, fields.model)
        native = fields.native()
        voice = Voice(reference=await services.sources.uploaded_target(file))
    return await _spoken(services, request, fields, native, voice)


async def _spoken(
    services: Services, request: Request, fields: SpeechFields, native: SpeechBody, voice: Voice
) -> Response:
    is_events = fields.stream_format is StreamFormat.SSE
    mode = ResponseMode.EVENTS if is_events else ResponseMode.STREAM
    request_id = request_id_of(request.scope)
    speech = await speaking.decide(services, native, voice, request_id, mode)
    job = speaking.job_of(services, speech)
    headers = {**job.headers, **_headers(fields, speech.plan.ignored)}
    return await answer(services, request, replace(job, headers=headers), mode)


def _headers(fields: SpeechFields, ignored: tuple[str, ...]) -> dict[str, str]:
    """What was not done, in the names that the client used."""
    headers = ignored_header([*map(openai_name, ignored), *fields.overruled])
    return {**headers, WARNINGS_HEADER: fields.warning} if fields.warning else headers
