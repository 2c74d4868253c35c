"""GET /api/v1/tts/ws: text in and audio out, over a WebSocket."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from serve_app.api.request_id import request_id_of
from serve_app.api.services import Services
from serve_app.api.websocket.origin import may_connect
from serve_app.api.websocket.session import Session

router = APIRouter(prefix="/api/v1", tags=["speech"])

_NOT_ALLOWED = 1008
"""RFC 6455, 7.4.1: against our policy. Before the socket is accepted it becomes a 403."""


@router.websocket("/tts/ws")
async def speak(websocket: WebSocket) -> None:
    """Speaks utterances, one after the other, while their text comes."""
    services: Services = websocket.app.state.services
    if not may_connect(websocket, services.settings.http.cors_origin_regex):
        await websocket.close(_NOT_ALLOWED)
        return
    await websocket.accept()
    await Session(services, websocket, request_id_of(websocket.scope)).run()
