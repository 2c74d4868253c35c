"""POST /api/v1/concat and /concat/mixed: stored files, uploads and silences as one file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from serve_app.api.answer import answer
from serve_app.api.concat_models import (
    MAX_SEGMENTS,
    ConcatBody,
    ConcatFields,
    MixedBody,
    Segment,
    SegmentType,
    check_count,
)
from serve_app.api.content_type import json_only
from serve_app.api.fields import (
    ResponseModeQuery,
    ReturnFormatQuery,
    parse_formats,
    parse_response_mode,
    streamed_format,
)
from serve_app.api.forms import form_schema, json_field, missing, read_form, validated
from serve_app.api.ignored import ignored_fields, ignored_header
from serve_app.api.job import Job
from serve_app.api.services import InjectedServices, Services
from serve_app.audio.concat import Clip, Silence, concatenate
from serve_app.domain.errors import InvalidRequest
from serve_app.domain.types import AudioFormat, PcmChunk
from serve_app.library.outputs import OutputDraft

router = APIRouter(prefix="/api/v1", tags=["concatenation"])

_DEFAULT_FORMATS = (AudioFormat.WAV,)
_UPLOADS = ("uploaded_files", "uploaded_files[]")


@router.post(
    "/concat",
    summary="Join outputs",
    response_class=Response,
    dependencies=[Depends(json_only)],
    responses={200: {"content": {"audio/wav": {}, "application/json": {}}}},
)
async def concat(
    body: ConcatBody,
    request: Request,
    services: InjectedServices,
    response_mode: ResponseModeQuery = None,
    return_format: ReturnFormatQuery = None,
) -> Response:
    """Streams the joined audio, or with `response_mode=url` answers with its files."""
    return await _respond(
        request, services, body, body.segments(), (), response_mode, return_format
    )


@router.post(
    "/concat/mixed",
    summary="Join outputs and uploads",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}, "application/json": {}}}},
    openapi_extra=form_schema(MixedBody, ("uploaded_files",), ()),
)
async def concat_mixed(
    request: Request,
    services: InjectedServices,
    response_mode: ResponseModeQuery = None,
    return_format: ReturnFormatQuery = None,
) -> Response:
    """A form with `request_json` and files; its segments name files by their index."""
    async with read_form(request, MAX_SEGMENTS) as form:
        if "request_json" not in form.fields:
            raise missing("request_json")
        body = validated(MixedBody, json_field("request_json", form.fields["request_json"]))
        uploads = [file for name in _UPLOADS for file in form.files.get(name, ())]
        return await _respond(
            request, services, body, body.segments, uploads, response_mode, return_format
        )


async def _respond(
    request: Request,
    services: Services,
    body: ConcatFields,
    segments: list[Segment],
    uploads: Sequence[UploadFile],
    response_mode: str | None,
    return_format: str | None,
) -> Response:
    mode = parse_response_mode(response_mode or body.response_mode or "stream")
    formats = parse_formats(body.export_formats, _DEFAULT_FORMATS)
    streamed = streamed_format(return_format or body.return_format, formats)
    check_count(segments)
    files = AsyncExitStack()
    try:
        clips = [await _open(services, segment, uploads, files) for segment in segments]
        job = _job(services, body, segments, clips, formats, streamed, files)
    except BaseException:
        await files.aclose()
        raise
    return await answer(services, request, job, mode)


async def _open(
    services: Services,
    segment: Segment,
    uploads: Sequence[UploadFile],
    files: AsyncExitStack,
) -> Clip | Silence:
    """The audio of one segment, at hand until `files` is closed."""
    if segment.type is SegmentType.SILENCE:
        return segment.silence
    if segment.type is SegmentType.FILE:
        path = (segment.source or "").removeprefix("/").removeprefix("outputs/")
        return Clip(await files.enter_async_context(services.library.outputs.master(path)))
    if segment.index is None or segment.index >= len(uploads):
        raise InvalidRequest(f"there is no uploaded file {segment.index}.", field="index")
    upload = services.intake.upload(
        uploads[segment.index], services.intake.input_bounds(), services.library.outputs.scratch
    )
    return Clip((await files.enter_async_context(upload)).file)


def _job(
    services: Services,
    body: ConcatFields,
    segments: list[Segment],
    clips: list[Clip | Silence],
    formats: tuple[AudioFormat, ...],
    streamed: AudioFormat,
    files: AsyncExitStack,
) -> Job:
    rate = services.speech.capabilities.sample_rate
    ignored = ignored_fields(body, ())
    count = sum(isinstance(clip, Clip) for clip in clips)
    options = body.model_dump(include=_OPTIONS)
    return Job(
        draft=_draft(body, segments, count, formats, options),
        streamed=streamed,
        sample_rate=rate,
        chunks=_chunks(services, clips, rate, body),
        message="The files were joined.",
        headers=ignored_header(ignored),
        facts={
            "file_count": count,
            "metadata": {"sample_rate": rate, "segments": _described(segments), **options},
            "warnings": [f"{name} is ignored." for name in ignored],
        },
        duration_names=("duration_seconds", "total_duration_seconds"),
        tidy_up=files.aclose,
    )


_OPTIONS = {
    "normalize_levels",
    "crossfade_ms",
    "pause_duration_ms",
    "pause_variation_ms",
    "trim",
    "trim_threshold_ms",
}


def _draft(
    body: ConcatFields,
    segments: list[Segment],
    count: int,
    formats: tuple[AudioFormat, ...],
    options: dict[str, Any],
) -> OutputDraft:
    parts = [f"{count}files"]
    if body.crossfade_ms:
        parts.append(f"crossfade{body.crossfade_ms}")
    if body.pause_duration_ms:
        parts.append(f"pause{body.pause_duration_ms}")
    if body.trim:
        parts.append("trim")
    sources = tuple(s.source for s in segments if s.type is SegmentType.FILE and s.source)
    name = body.output_filename.removesuffix(".wav") if body.output_filename else None
    return OutputDraft("concat", tuple(parts), formats, body.project_folder, name, options, sources)


def _described(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    return [segment.model_dump(mode="json", exclude_none=True) for segment in segments]


async def _chunks(
    services: Services, clips: Sequence[Clip | Silence], rate: int, body: ConcatFields
) -> AsyncGenerator[PcmChunk, None]:
    """The joined audio, made on the audio threads."""
    joined = concatenate(clips, rate, body.options, random.Random())
    step: asyncio.Future[PcmChunk | None] | None = None
    try:
        while True:
            step = asyncio.ensure_future(services.in_thread(lambda: next(joined, None)))
            if (chunk := await asyncio.shield(step)) is None:
                return
            yield chunk
    finally:
        if step is not None:  # who leaves does not stop the thread that is in it
            await asyncio.wait([step])
        joined.close()
