"""GET /v1/audio/voices: every name that `voice` can be."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from serve_app.api.services import InjectedServices
from serve_app.library.entries import Filter, PageRequest, SortKey
from serve_app.library.sidecar import metadata

router = APIRouter()

_MOST = PageRequest(page_size=1000, sort_by=SortKey.NAME, descending=False)
"""Clients show them in one menu, and do not ask for a second page."""


@router.get("/audio/voices", summary="List voices by name")
@router.get("/voices", include_in_schema=False)
async def voices(services: InjectedServices) -> dict[str, Any]:
    """The presets, the engine's own and the library's; under `data` and under `voices`."""
    uploaded = (await services.library.voices.page(Filter(), _MOST)).entries
    own = (*services.settings.presets, *services.speech.capabilities.voices)
    names = {**{name: name for name in own}, **{e.path: metadata(e)["name"] for e in uploaded}}
    listed = [{"id": key, "object": "audio.voice", "name": n} for key, n in names.items()]
    return {"object": "list", "data": listed, "voices": listed}
