"""The outputs: /outputs/... serves them, /api/v1/outputs lists and deletes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from serve_app.api import listing
from serve_app.api.blob_response import BlobResponse
from serve_app.api.listing import FolderQuery, Names, PageNumber, PageSize
from serve_app.api.services import InjectedServices
from serve_app.api.urls import base_url
from serve_app.audio.encode import media_type
from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.domain.types import AudioFormat
from serve_app.library.entries import Entry, Filter

router = APIRouter(tags=["outputs"])


class GenerationType(StrEnum):
    """What made an output."""

    TTS = "tts"
    VC = "vc"
    CONCAT = "concat"


@router.head("/outputs/{path:path}", include_in_schema=False)
@router.get("/outputs/{path:path}", summary="Fetch an output")
async def fetch(path: str, services: InjectedServices) -> Response:
    """The whole file; a request that comes while it is being made waits for it."""
    shelf = services.library.outputs
    found = await shelf.find(path)
    entry = found.entry
    return BlobResponse(
        size=found.info.size,
        e_tag=found.info.e_tag,
        modified=found.info.modified,
        media_type=media_type(AudioFormat(entry.audio.format), entry.audio.sample_rate),
        read=lambda start, end: shelf.read(found, start, end),
        filename=entry.filename,
    )


@router.get("/api/v1/outputs", summary="List outputs")
async def outputs(
    request: Request,
    services: InjectedServices,
    folder: FolderQuery,
    page: PageNumber = 1,
    page_size: PageSize = 50,
    generation_type: GenerationType | None = None,
    search: str = "",
    filenames: Names = "",
    date_from: Annotated[str, Query(description="A date or time, ISO 8601.")] = "",
    date_to: Annotated[str, Query(description="A date (with all of its day) or time.")] = "",
    sort_by: str = "created_date",
    sort_order: str = "desc",
) -> dict[str, Any]:
    """Newest first, unless told otherwise."""
    which = _filter(folder, generation_type, search, filenames, date_from, date_to)
    wanted = listing.page_request(page, page_size, sort_by, sort_order)
    found = await services.library.outputs.page(which, wanted)
    base = base_url(request, services.settings.http.trusted_proxies)
    return listing.listing(found, [_metadata(entry, base) for entry in found.entries], "files")


@router.get("/api/v1/outputs/folders", summary="List the folders of outputs")
async def folders(services: InjectedServices) -> dict[str, Any]:
    """Each folder that holds outputs, with its subfolders."""
    return listing.folders(await services.library.outputs.folders(), "file")


@router.delete(
    "/api/v1/output/{filename:path}",
    summary="Delete an output",
    dependencies=[listing.confirmed()],
)
async def delete(filename: str, services: InjectedServices) -> dict[str, Any]:
    """One file; the same audio in other formats stays."""
    entry = await services.library.outputs.delete(filename)
    return listing.deleted([entry.path], single=True)


@router.delete(
    "/api/v1/outputs",
    summary="Delete outputs",
    dependencies=[
        listing.confirmed("generation_type", "search", "filenames", "date_from", "date_to")
    ],
)
async def delete_matching(
    services: InjectedServices,
    folder: FolderQuery,
    generation_type: GenerationType | None = None,
    search: str = "",
    filenames: Names = "",
    date_from: str = "",
    date_to: str = "",
) -> dict[str, Any]:
    """All that match every filter that is given; all outputs when none is."""
    which = _filter(folder, generation_type, search, filenames, date_from, date_to)
    if not (paths := await services.library.outputs.delete_matching(which)):
        raise NotFound("No output matches.", "GET /api/v1/outputs lists them.")
    return listing.deleted(paths)


def _filter(
    folder: str,
    generation_type: GenerationType | None,
    search: str,
    filenames: str,
    date_from: str,
    date_to: str,
) -> Filter:
    return Filter(
        search=search,
        folder=folder,
        paths=listing.names_of(filenames),
        generation_type=generation_type.value if generation_type else "",
        created_from=_moment("date_from", date_from, time.min),
        created_to=_moment("date_to", date_to, time.max),
    )


def _moment(name: str, text: str, of_day: time) -> datetime | None:
    """A point in time; a date alone is its beginning or its end. Without a zone it is UTC."""
    if not text:
        return None
    try:
        if len(text) == len("2025-06-22"):
            return datetime.combine(date.fromisoformat(text), of_day, UTC)
        parsed = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not a date like 2025-06-22 or a time.", field=name
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _metadata(entry: Entry, base: str) -> dict[str, Any]:
    origin = entry.origin
    return {
        "filename": entry.filename,
        "generation_type": origin.generation_type if origin else None,
        "created_date": listing.moment(entry.created_at),
        "file_size_bytes": entry.audio.size_bytes,
        "duration_seconds": round(entry.audio.seconds, 3),
        "format": entry.audio.format,
        "parameters": origin.parameters if origin else {},
        "source_files": list(origin.source_files) if origin else [],
        "folder_path": entry.folder,
        "path": quote(f"/outputs/{entry.path}"),
        "url": base + quote(f"/outputs/{entry.path}"),
    }
