"""How the routes that make audio answer: a stream, or JSON that names the files."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from serve_app.api.audio_response import AudioResponse
from serve_app.api.fields import ResponseMode
from serve_app.api.generation import Generation
from serve_app.api.job import Job
from serve_app.api.request_id import request_id_of
from serve_app.api.services import Services
from serve_app.api.sse import MEDIA_TYPE as EVENTS
from serve_app.api.sse import EventStream, words_json
from serve_app.api.urls import base_url
from serve_app.audio.encode import media_type, output_rate
from serve_app.domain.types import AudioFormat
from serve_app.library.outputs import PendingOutput


async def answer(services: Services, request: Request, job: Job, mode: ResponseMode) -> Response:
    """Make the output of `job` and answer as the client wants it.

    Raises:
        SpeechServiceError: it failed before there was anything to send.
    """
    began = time.perf_counter()
    streams = mode is not ResponseMode.URL
    generation = Generation(services, job, streams)
    if streams:
        await generation.begin()
        headers = _stream_headers(generation, job)
        if mode is ResponseMode.EVENTS:
            events = EventStream(generation, request_id_of(request.scope))
            return AudioResponse(generation, EVENTS, headers, events)
        return AudioResponse(generation, media_type(job.streamed, job.sample_rate), headers)
    await generation.run_to_end()
    return _json(services, request, generation, time.perf_counter() - began)


def _stream_headers(generation: Generation, job: Job) -> dict[str, str]:
    headers = {
        "Content-Disposition": attachment(generation.output.filename(job.streamed)),
        "Cache-Control": "no-store",
        "X-Sample-Rate": str(output_rate(job.streamed, job.sample_rate)),
        **job.headers,
    }
    if alternatives := _alternatives(generation.output, job.streamed):
        headers["X-Alternative-Formats"] = alternatives
    return headers


def url_path(output: PendingOutput, audio_format: AudioFormat) -> str:
    """Where a file is served, relative to the service, fit for a header and a URL."""
    return quote(output.url_path(audio_format))


def attachment(filename: str) -> str:
    """A Content-Disposition; a name beyond ASCII is given twice (RFC 6266, appendix D)."""
    plain = filename.encode("ascii", "replace").decode().replace("?", "_")
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename)}"
    return f'attachment; filename="{plain}"{extended}'


def _alternatives(output: PendingOutput, streamed: AudioFormat) -> str:
    others = [f for f in output.formats if f is not streamed]
    return "|".join(f"{other}:{url_path(output, other)}" for other in others)


def _words(generation: Generation) -> dict[str, Any]:
    if generation.job.words is None:
        return {}
    return {"words": words_json(generation.words) if generation.job.words else None}


def _json(
    services: Services, request: Request, generation: Generation, seconds: float
) -> JSONResponse:
    output = generation.output
    base = base_url(request, services.settings.http.trusted_proxies)
    body: dict[str, Any] = {
        "success": True,
        "message": generation.job.message,
        "output_files": [
            {
                "format": audio_format.value,
                "filename": output.filename(audio_format),
                "url": base + url_path(output, audio_format),
                "path": url_path(output, audio_format),
            }
            for audio_format in output.formats
        ],
        "processing_time_seconds": round(seconds, 4),
        **dict.fromkeys(generation.job.duration_names, round(generation.seconds, 4)),
        **generation.job.facts,
        **_words(generation),
        "request_id": request_id_of(request.scope),
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return JSONResponse(body)
