"""POST /api/v1/vc: speech in, the same speech in another voice out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from serve_app.api.answer import answer
from serve_app.api.fields import (
    Number,
    OutputFields,
    ResponseModeQuery,
    ReturnFormatQuery,
    parse_formats,
    parse_response_mode,
    streamed_format,
)
from serve_app.api.forms import (
    FORM,
    Form,
    form_schema,
    json_body,
    media_type,
    missing,
    read_form,
    validated,
)
from serve_app.api.ignored import ignored_fields, ignored_header
from serve_app.api.job import Job
from serve_app.api.request_id import request_id_of
from serve_app.api.services import InjectedServices, Services
from serve_app.api.sources import Recording, Sources
from serve_app.domain.types import AudioFormat, ConversionRequest, Joining
from serve_app.library.outputs import OutputDraft

router = APIRouter(prefix="/api/v1", tags=["voice conversion"])

_POWERLESS = ("disable_watermark",)
_VOICE_CHARACTERS = 10
"""Of the voice's name in that of the file."""

Find = Callable[[], Awaitable[Recording]]


class ConversionFields(OutputFields):
    """How to convert, and what to do with the result."""

    model_config = ConfigDict(extra="allow")

    chunk_sec: Number = Field(
        default=60, ge=1, le=300, description="No piece converted at once is longer, in seconds."
    )
    overlap_sec: Number = Field(
        default=0.1, ge=0, le=5, description="Pieces are cross-faded over so many seconds."
    )
    disable_watermark: bool = True


class ConversionForm(ConversionFields):
    """The text fields of a form."""

    target_voice_source: str | None = Field(default=None, description="A voice, or a URL.")
    input_audio_source: str | None = Field(default=None, description="An input, or a URL.")


class ConversionBody(ConversionFields):
    """The JSON body."""

    input_audio_source: str = Field(min_length=1, description="An input of vc_inputs/, or a URL.")
    target_voice_source: str = Field(min_length=1, description="A voice, or a URL.")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A conversion as the client asked for it."""

    fields: ConversionFields
    source: Recording
    target: Recording

    async def tidy_up(self) -> None:
        await self.source.tidy_up()
        await self.target.tidy_up()


def _schema() -> dict[str, Any]:
    """A form or JSON."""
    schema = form_schema(ConversionForm, ("input_audio", "target_voice"), ("input_audio",))
    body = ConversionBody.model_json_schema()
    schema["requestBody"]["content"]["application/json"] = {"schema": body}
    return schema


@router.post(
    "/vc",
    summary="Convert speech to another voice",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}, "application/json": {}}}},
    openapi_extra=_schema(),
)
async def convert(
    request: Request,
    services: InjectedServices,
    response_mode: ResponseModeQuery = None,
    return_format: ReturnFormatQuery = None,
) -> Response:
    """Streams the conversion while it is made, or with `response_mode=url` answers with its files.

    JSON names both recordings. A form brings `input_audio`, and `target_voice` or its name.
    """
    wanted = await _read(request, services)
    try:
        fields = wanted.fields
        mode = parse_response_mode(response_mode or fields.response_mode or "stream")
        job = _job(services, wanted, return_format, request_id_of(request.scope))
        await services.sources.count(wanted.source, wanted.target)
    except BaseException:
        await wanted.tidy_up()
        raise
    return await answer(services, request, job, mode)


async def _read(request: Request, services: Services) -> _Wanted:
    if media_type(request) == FORM:
        async with read_form(request) as form:
            fields = validated(ConversionForm, form.fields)
            return await _wanted(
                fields,
                lambda: _form_source(form, fields, services.sources),
                lambda: _form_target(form, fields, services.sources),
            )
    body = validated(ConversionBody, await json_body(request))
    return await _wanted(
        body,
        lambda: services.sources.recording(body.input_audio_source),
        lambda: services.sources.target(body.target_voice_source),
    )


async def _wanted(fields: ConversionFields, source: Find, target: Find) -> _Wanted:
    """Both recordings; what was fetched for the first is removed if the second is not found."""
    async with AsyncExitStack() as undo:
        found = await source()
        undo.push_async_callback(found.tidy_up)
        wanted = _Wanted(fields, found, await target())
        undo.pop_all()
    return wanted


async def _form_source(form: Form, fields: ConversionForm, sources: Sources) -> Recording:
    if file := form.file("input_audio"):
        return await sources.uploaded_recording(file)
    if fields.input_audio_source:
        return await sources.recording(fields.input_audio_source)
    raise missing("input_audio")


async def _form_target(form: Form, fields: ConversionForm, sources: Sources) -> Recording:
    if file := form.file("target_voice"):
        return await sources.uploaded_target(file)
    if fields.target_voice_source:
        return await sources.target(fields.target_voice_source)
    raise missing("target_voice_source")


def _job(services: Services, wanted: _Wanted, return_format: str | None, request_id: str) -> Job:
    fields = wanted.fields
    formats = parse_formats(fields.export_formats, services.settings.vc.export_formats)
    joining = Joining(fields.chunk_sec, fields.overlap_sec)
    request = ConversionRequest(wanted.source.audio, wanted.target.audio, joining, request_id)
    ignored = ignored_fields(fields, _POWERLESS)
    return Job(
        draft=_draft(wanted, formats),
        streamed=streamed_format(return_format or fields.return_format, formats),
        sample_rate=services.conversion.capabilities.sample_rate,
        chunks=services.conversion.convert(request),
        message="The voice was converted.",
        headers=ignored_header(ignored),
        facts={"warnings": [f"{name} is ignored." for name in ignored]},
        tidy_up=wanted.tidy_up,
    )


def _draft(wanted: _Wanted, formats: tuple[AudioFormat, ...]) -> OutputDraft:
    fields = wanted.fields
    voice = wanted.target.name.rsplit(".", 1)[0]
    label = "".join(c for c in voice if c.isascii() and c.isalnum())[:_VOICE_CHARACTERS]
    parts = [f"chunk{fields.chunk_sec:g}", f"overlap{fields.overlap_sec:g}"]
    if label:
        parts.append(f"voice{label}")
    return OutputDraft(
        "vc",
        tuple(parts),
        formats,
        fields.project_folder,
        facts={"chunk_sec": fields.chunk_sec, "overlap_sec": fields.overlap_sec},
        source_files=(wanted.source.name, wanted.target.name),
    )
