"""GET /: the page on which people speak, convert and listen; its parts are at /page/NAME.

It is self-contained: nothing of it comes from another host, and its policy forbids that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response

from serve_app.domain.errors import NotFound

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parents[1] / "web"
_INDEX = "index.html"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for again: a new version is seen at once
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of the page."""

    content: bytes
    media_type: str
    e_tag: str


@router.head("/")
@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _answer(request, _INDEX)


@router.head("/page/{name}")
@router.get("/page/{name}")
async def part(name: str, request: Request) -> Response:
    """One of its style sheets, modules and images."""
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    if (found := _parts().get(name)) is None:
        raise NotFound(f"The page has no part {name!r}.")
    headers = {**_HEADERS, "ETag": found.e_tag}
    if request.headers.get("if-none-match") == found.e_tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


@cache
def _parts() -> dict[str, _Part]:
    """Every part by its name."""
    return {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}


def _read(path: Path) -> _Part:
    content = path.read_bytes()
    e_tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _Part(content, _MEDIA_TYPES[path.suffix], e_tag)
