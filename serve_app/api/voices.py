"""The voices of the library: /api/v1/voice and /api/v1/voices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from serve_app.api import listing
from serve_app.api.content_type import json_only
from serve_app.api.fields import as_list
from serve_app.api.forms import form_schema, json_field, read_form, validated
from serve_app.api.listing import FolderQuery, Names, PageNumber, PageSize, same_folder
from serve_app.api.services import InjectedServices
from serve_app.api.tts_models import SpeechBody
from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.library.entries import Description, Entry, Filter
from serve_app.library.paths import checked_path, safe_segment
from serve_app.library.sidecar import metadata

router = APIRouter(prefix="/api/v1", tags=["voices"])

_NOT_DEFAULTS = frozenset(
    {
        "text",
        "reference_audio_filename",
        "response_mode",
        "return_format",
        "stream_format",
        "timestamps",
    }
)


def _parameters(value: Any) -> Any:
    """JSON as text is JSON too; an empty text is nothing."""
    if isinstance(value, str):
        return json_field("default_parameters", value) if value.strip() else None
    return value


Tags = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]],
    BeforeValidator(as_list),
    Field(max_length=50),
]
Parameters = Annotated[dict[str, Any], BeforeValidator(_parameters)]


class VoiceFields(BaseModel):
    """What is said of a voice; a field that is left out stays as it is."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = Field(default=None, max_length=200, description="What to call it.")
    description: str | None = Field(default=None, max_length=10_000)
    tags: Tags | None = Field(default=None, description="A comma string or a JSON list.")
    default_parameters: Parameters | None = Field(
        default=None, description="Fields of POST /api/v1/tts for requests that leave them out."
    )
    folder_path: str | None = Field(default=None, description="A folder below reference_audio/.")
    folder: str | None = Field(default=None, description="Alias of folder_path.")
    project: str | None = Field(default=None, description="Alias of folder_path.")

    def applied_to(self, before: Description) -> Description:
        """The description with the given fields changed."""
        return replace(
            before,
            name=before.name if self.name is None else self.name,
            description=before.description if self.description is None else self.description,
            tags=before.tags if self.tags is None else tuple(dict.fromkeys(self.tags)),
            default_parameters=before.default_parameters
            if self.default_parameters is None
            else checked_parameters(self.default_parameters),
        )


class VoiceForm(VoiceFields):
    """The text fields of an upload."""

    overwrite: bool = False


@router.post(
    "/voice",
    summary="Upload a voice",
    openapi_extra=form_schema(VoiceForm, ("voice_file", "audio_file", "metadata"), ("voice_file",)),
)
async def upload(request: Request, services: InjectedServices) -> dict[str, Any]:
    """A recording of 0.1 s to 10 minutes: WAV, MP3, FLAC, Ogg or M4A, told by its content.

    It is kept as WAV, 24 kHz, mono. The text fields may also come as one JSON field `metadata`.
    """
    async with read_form(request) as form:
        file = form.required_file("voice_file", "audio_file")
        told = json_field("metadata", form.fields.get("metadata", "{}"))
        if not isinstance(told, dict):
            raise InvalidRequest("a JSON object is expected.", field="metadata")
        fields = validated(VoiceForm, {**told, **form.fields})
        folder = same_folder(fields.folder_path, fields.folder, fields.project)
        path = library_path(folder, file.filename or "")
        description = fields.applied_to(Description(name=PurePosixPath(path).stem))
        shelf = services.library.voices
        async with services.intake.upload(
            file, services.intake.voice_bounds(), shelf.scratch
        ) as plain:
            entry = await shelf.add(path, plain.file, plain.facts, description, fields.overwrite)
    return _answer(entry, f"The voice {entry.filename} was stored.")


@router.get("/voices", summary="List voices")
async def voices(
    services: InjectedServices,
    folder: FolderQuery,
    page: PageNumber = 1,
    page_size: PageSize = 50,
    search: str = "",
    tag: str = "",
    sort_by: str = "name",
    sort_order: str = "asc",
) -> dict[str, Any]:
    """Those that were uploaded and those that were put into the folder by hand."""
    wanted = listing.page_request(page, page_size, sort_by, sort_order)
    found = await services.library.voices.page(Filter(search, folder, tag), wanted)
    return listing.listing(found, [metadata(entry) for entry in found.entries], "voices")


@router.get("/voices/folders", summary="List the folders of voices")
async def folders(services: InjectedServices) -> dict[str, Any]:
    """Each folder that holds voices, with its subfolders."""
    return listing.folders(await services.library.voices.folders(), "voice")


@router.put(
    "/voice/{filename:path}/metadata",
    summary="Change what is said of a voice",
    dependencies=[Depends(json_only)],
)
async def describe(
    filename: str, fields: VoiceFields, services: InjectedServices
) -> dict[str, Any]:
    """Fields that are left out stay as they are. Another folder moves the voice there."""
    fields.applied_to(Description())  # what cannot be said is refused before anything is moved
    shelf = services.library.voices
    entry = await shelf.find(filename)
    folder = [
        value for value in (fields.folder_path, fields.folder, fields.project) if value is not None
    ]
    if folder and (wanted := same_folder(*folder)) != entry.folder:
        entry = await shelf.move(entry.path, _below(wanted, entry.filename))
    entry = await shelf.describe(entry.path, fields.applied_to)
    return _answer(entry, f"The voice {entry.filename} was updated.")


@router.delete(
    "/voice/{filename:path}", summary="Delete a voice", dependencies=[listing.confirmed()]
)
async def delete(filename: str, services: InjectedServices) -> dict[str, Any]:
    """The recording and the JSON file beside it."""
    entry = await services.library.voices.delete(filename)
    return listing.deleted([entry.path], single=True)


@router.delete(
    "/voices",
    summary="Delete voices",
    dependencies=[listing.confirmed("search", "tag", "filenames")],
)
async def delete_matching(
    services: InjectedServices,
    folder: FolderQuery,
    search: str = "",
    tag: str = "",
    filenames: Names = "",
) -> dict[str, Any]:
    """All that match every filter that is given; all voices when none is."""
    shelf = services.library.voices
    which = Filter(search, folder, tag, listing.names_of(filenames))
    if not (paths := await shelf.delete_matching(which)):
        raise NotFound("No voice matches.", "GET /api/v1/voices lists them.")
    return listing.deleted(paths)


def library_path(folder: str, filename: str) -> str:
    """Where an uploaded file is kept: its own name, as .wav because that is what it becomes.

    Raises:
        InvalidRequest: it, or its folder, has no name that a file may have.
    """
    name = safe_segment(filename)
    stem = PurePosixPath(name).stem if PurePosixPath(name).suffix else name
    return checked_path(_below(folder, f"{stem}.wav"))


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def checked_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """A voice's default parameters, if a request could have them.

    Raises:
        InvalidRequest: one is unknown or out of range.
    """
    known = set(SpeechBody.model_fields) - _NOT_DEFAULTS
    if unknown := set(parameters) - known:
        raise InvalidRequest(
            f"{', '.join(sorted(unknown))} cannot be set by a voice.",
            f"These can: {', '.join(sorted(known))}.",
            field="default_parameters",
        )
    try:
        SpeechBody.model_validate({"text": "", **parameters})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        raise InvalidRequest(f"{problem['msg']}.", field=f"default_parameters.{name}") from None
    return parameters


def _answer(entry: Entry, message: str) -> dict[str, Any]:
    facts = metadata(entry)
    return {
        "success": True,
        "message": message,
        "filename": entry.filename,
        "voice_metadata": facts,
        "voice_info": facts,
        "timestamp": listing.now(),
    }
