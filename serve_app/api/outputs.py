"""GET /outputs/...: the stored files, with Range and conditional requests."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse

from serve_app.api.services import InjectedServices
from serve_app.audio.encode import media_type
from serve_app.domain.types import AudioFormat

router = APIRouter(tags=["outputs"])


@router.head("/outputs/{path:path}", include_in_schema=False)
@router.get("/outputs/{path:path}", summary="Fetch an output")
async def fetch(path: str, request: Request, services: InjectedServices) -> Response:
    """The whole file; a request that comes while it is being made waits for it."""
    file = await services.outputs.find(path)
    kind = media_type(AudioFormat(file.suffix[1:]), services.speech.capabilities.sample_rate)
    response = FileResponse(file, stat_result=file.stat())
    response.headers["content-type"] = kind
    if request.headers.get("if-none-match") == response.headers["etag"]:
        return NotModifiedResponse(response.headers)
    return response
