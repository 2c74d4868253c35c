"""POST /api/v1/tts: text in, audio out while it is still being spoken."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from serve_app.api import speaking
from serve_app.api.answer import answer
from serve_app.api.content_type import json_only
from serve_app.api.fields import (
    ResponseMode,
    ResponseModeQuery,
    ReturnFormatQuery,
    StreamFormat,
    parse_response_mode,
)
from serve_app.api.request_id import request_id_of
from serve_app.api.services import InjectedServices
from serve_app.api.sse import MEDIA_TYPE as EVENTS
from serve_app.api.tts_models import SpeechBody

router = APIRouter(prefix="/api/v1", tags=["speech"])


@router.post(
    "/tts",
    summary="Speak a text",
    response_class=Response,
    dependencies=[Depends(json_only)],
    responses={200: {"content": {"audio/wav": {}, EVENTS: {}, "application/json": {}}}},
)
async def speak(
    body: SpeechBody,
    request: Request,
    services: InjectedServices,
    response_mode: ResponseModeQuery = None,
    return_format: ReturnFormatQuery = None,
) -> Response:
    """Streams the speech while it is made, or with `response_mode=url` answers with its files.

    With `stream_format` sse the stream consists of server-sent events.
    """
    mode = mode_of(body, response_mode)
    voice = await speaking.find_voice(services, body.reference_audio_filename)
    request_id = request_id_of(request.scope)
    speech = await speaking.decide(services, body, voice, request_id, mode, return_format)
    return await answer(services, request, speaking.job_of(services, speech), mode)


def mode_of(body: SpeechBody, query: str | None) -> ResponseMode:
    """How to answer; the query goes before the body.

    Raises:
        InvalidRequest: there is no such mode.
    """
    mode = parse_response_mode(query or body.response_mode or "stream")
    if mode is ResponseMode.STREAM and body.stream_format is StreamFormat.SSE:
        return ResponseMode.EVENTS
    return mode
