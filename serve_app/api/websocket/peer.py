"""The other end of a socket: what is sent to it."""

from __future__ import annotations

import contextlib
import json
import time
from enum import StrEnum
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from serve_app.api.errors import STATUS_AND_CODE
from serve_app.domain.errors import SpeechServiceError

_MOST_FRAME_BYTES = 1 << 16
"""Clients bound what they accept in one frame; a MiB is common."""


_MOST_ERROR_CHARS = 1000
"""An error may repeat what was sent, which can be long."""


class SocketClosed(Exception):
    """The client has left, or with a code is to be told that we do."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Ends(StrEnum):
    """What an error puts an end to."""

    NOTHING = "nothing"
    UTTERANCE = "utterance"


class Peer:
    """Sends events and audio to one client; whoever calls waits while it does not read."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.told_at = time.monotonic()  # when the last event was sent

    async def event(self, kind: str, **fields: Any) -> None:
        """One JSON object in a text frame.

        Raises:
            SocketClosed: the client has left.
        """
        try:
            await self._websocket.send_text(json.dumps({"type": kind, **fields}))
        except WebSocketDisconnect:
            raise SocketClosed from None
        self.told_at = time.monotonic()

    async def audio(self, data: bytes) -> None:
        """Encoded audio, in binary frames.

        Raises:
            SocketClosed: the client has left.
        """
        try:
            for start in range(0, len(data), _MOST_FRAME_BYTES):
                await self._websocket.send_bytes(data[start : start + _MOST_FRAME_BYTES])
        except WebSocketDisconnect:
            raise SocketClosed from None

    async def failure(self, failure: SpeechServiceError, ends: Ends, utterance: str = "") -> None:
        """Something went wrong, in the words of the native API."""
        code = STATUS_AND_CODE[type(failure)][1]
        await self._error(failure.message, code, failure.detail, ends, utterance)

    async def internal_error(self, utterance: str) -> None:
        """Something went wrong that we did not expect; it ends the utterance."""
        await self._error(
            "Something went wrong on our side.",
            "INTERNAL_ERROR",
            "Report it with the request_id; the log has the rest.",
            Ends.UTTERANCE,
            utterance,
        )

    async def close(self, code: int, reason: str) -> None:
        """Leave; a client that has left already need not be told."""
        with contextlib.suppress(WebSocketDisconnect):
            await self._websocket.close(code, reason)

    async def _error(
        self, message: str, code: str, detail: str, ends: Ends, utterance: str
    ) -> None:
        await self.event(
            "error",
            error=message[:_MOST_ERROR_CHARS],
            error_code=code,
            detail=(detail or message)[:_MOST_ERROR_CHARS],
            ends=ends,
            utterance_id=utterance or None,
        )
