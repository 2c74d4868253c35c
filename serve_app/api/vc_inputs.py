"""The inputs of voice conversion: /api/v1/vc_input and /api/v1/vc_inputs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from serve_app.api import listing
from serve_app.api.forms import form_schema, read_form, validated
from serve_app.api.listing import FolderQuery, Names, PageNumber, PageSize, same_folder
from serve_app.api.services import InjectedServices
from serve_app.api.voices import library_path
from serve_app.domain.errors import NotFound
from serve_app.library.entries import Description, Entry, Filter
from serve_app.library.sidecar import metadata

_OF_VOICES = ("name", "description", "tags", "default_parameters")

router = APIRouter(prefix="/api/v1", tags=["inputs of voice conversion"])


class InputForm(BaseModel):
    """The text fields of an upload."""

    model_config = ConfigDict(extra="ignore")

    text: str = Field(default="", max_length=100_000, description="What is said in it.")
    folder_path: str | None = Field(default=None, description="A folder below vc_inputs/.")
    folder: str | None = Field(default=None, description="Alias of folder_path.")
    project: str | None = Field(default=None, description="Alias of folder_path.")
    overwrite: bool = False


@router.post(
    "/vc_input",
    summary="Upload an input of voice conversion",
    openapi_extra=form_schema(InputForm, ("vc_input_file",), ("vc_input_file",)),
)
async def upload(request: Request, services: InjectedServices) -> dict[str, Any]:
    """WAV, MP3, FLAC, Ogg or M4A, told by its content; kept as WAV, 24 kHz, mono."""
    async with read_form(request) as form:
        file = form.required_file("vc_input_file", "audio_file")
        fields = validated(InputForm, form.fields)
        folder = same_folder(fields.folder_path, fields.folder, fields.project)
        path = library_path(folder, file.filename or "")
        shelf = services.library.vc_inputs
        async with services.intake.upload(
            file, services.intake.input_bounds(), shelf.scratch
        ) as plain:
            entry = await shelf.add(
                path, plain.file, plain.facts, Description(text=fields.text), fields.overwrite
            )
    facts = input_metadata(entry)
    return {
        "success": True,
        "message": f"The input {entry.filename} was stored.",
        "filename": entry.filename,
        "vc_input_metadata": facts,
        "vc_input_info": facts,
        "timestamp": listing.now(),
    }


@router.get("/vc_inputs", summary="List inputs of voice conversion")
async def inputs(
    services: InjectedServices,
    folder: FolderQuery,
    page: PageNumber = 1,
    page_size: PageSize = 50,
    search: str = "",
    sort_by: str = "created_date",
    sort_order: str = "desc",
) -> dict[str, Any]:
    """Those that were uploaded and those that were put into the folder by hand."""
    wanted = listing.page_request(page, page_size, sort_by, sort_order)
    found = await services.library.vc_inputs.page(Filter(search, folder), wanted)
    items = [input_metadata(entry) for entry in found.entries]
    return listing.listing(found, items, "vc_inputs")


@router.get("/vc_inputs/folders", summary="List the folders of inputs")
async def folders(services: InjectedServices) -> dict[str, Any]:
    """Each folder that holds inputs, with its subfolders."""
    return listing.folders(await services.library.vc_inputs.folders(), "file")


@router.delete(
    "/vc_input/{filename:path}",
    summary="Delete an input",
    dependencies=[listing.confirmed()],
)
async def delete(filename: str, services: InjectedServices) -> dict[str, Any]:
    """The recording and the JSON file beside it."""
    entry = await services.library.vc_inputs.delete(filename)
    return listing.deleted([entry.path], single=True)


@router.delete(
    "/vc_inputs", summary="Delete inputs", dependencies=[listing.confirmed("search", "filenames")]
)
async def delete_matching(
    services: InjectedServices, folder: FolderQuery, search: str = "", filenames: Names = ""
) -> dict[str, Any]:
    """All that match every filter that is given; all inputs when none is."""
    which = Filter(search, folder, paths=listing.names_of(filenames))
    if not (paths := await services.library.vc_inputs.delete_matching(which)):
        raise NotFound("No input matches.", "GET /api/v1/vc_inputs lists them.")
    return listing.deleted(paths)


def input_metadata(entry: Entry) -> dict[str, Any]:
    """An input as clients get it: as a voice, less what only a voice has."""
    return {name: fact for name, fact in metadata(entry).items() if name not in _OF_VOICES}
