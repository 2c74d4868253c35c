"""One socket: messages are read while an utterance is spoken, so that nothing waits to be seen.

A task of its own speaks. Serve's proxy does not say that a client has left while we send; only
reading tells, so we always read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from asyncio import Task, TaskGroup
from collections.abc import MutableMapping
from typing import Any

from starlette.websockets import WebSocket

from serve_app.api.services import Services
from serve_app.api.websocket.messages import (
    Cancel,
    ClientMessage,
    End,
    Flush,
    Start,
    Text,
    parse_message,
)
from serve_app.api.websocket.peer import Ends, Peer, SocketClosed
from serve_app.api.websocket.utterance import Utterance
from serve_app.domain.errors import InvalidRequest, TextTooLong

IDLE = 4408
"""The code with which a socket is closed that nobody uses."""

TOO_BIG = 1009
"""RFC 6455, 7.4.1: a message is larger than it may be."""


class Session:
    """What goes on over one socket that was accepted."""

    def __init__(self, services: Services, websocket: WebSocket, request_id: str) -> None:
        self._services = services
        self._websocket = websocket
        self._request_id = request_id
        self._peer = Peer(websocket)
        self._idle_timeout = services.settings.websocket.idle_timeout_s
        self._heard_at = time.monotonic()
        self._utterance: Utterance | None = None  # the last one
        self._speaking: Task[None] | None = None

    async def run(self) -> None:
        """Serve the client until one of us leaves; then nothing of it is under way any more."""
        try:
            async with TaskGroup() as group:
                while True:
                    await self._obey(await self._receive(), group)
        except* SocketClosed as closed:
            await self._close(closed)

    async def _close(self, closed: ExceptionGroup[SocketClosed]) -> None:
        for ending in closed.exceptions:
            if isinstance(ending, SocketClosed) and ending.code is not None:
                await self._peer.close(ending.code, ending.reason)

    async def _receive(self) -> MutableMapping[str, Any]:
        """What the client sends next.

        Raises:
            SocketClosed: the client has left, or does nothing.
        """
        await asyncio.sleep(0)  # frames that are there already would be read in one go
        while (patience := self._patience()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    frame = await self._websocket.receive()
                    self._heard_at = time.monotonic()
                    return frame
        raise SocketClosed(IDLE, f"Idle for {self._idle_timeout:g} seconds.")

    def _patience(self) -> float:
        """Seconds until the socket has been idle for too long, if nothing happens."""
        utterance = self._utterance
        if utterance is not None and not utterance.is_idle:
            return self._idle_timeout
        played = utterance.played_at if utterance is not None else 0.0
        active = max(self._heard_at, self._peer.told_at, played)
        return active + self._idle_timeout - time.monotonic()

    async def _obey(self, frame: MutableMapping[str, Any], group: TaskGroup) -> None:
        if frame["type"] == "websocket.disconnect":
            raise SocketClosed
        try:
            await self._do(parse_message(self._text_of(frame)), group)
        except InvalidRequest as failure:
            await self._peer.failure(failure, Ends.NOTHING)

    def _text_of(self, frame: MutableMapping[str, Any]) -> str:
        text: str | None = frame.get("text")
        if text is None:
            raise InvalidRequest("A binary frame was sent.", "Send JSON in text frames.")
        if len(text) > self._services.settings.limits.max_body_bytes:
            raise SocketClosed(TOO_BIG, "The message is too large.")
        return text

    async def _do(self, message: ClientMessage, group: TaskGroup) -> None:
        match message:
            case Start():
                await self._start(message, group)
            case Cancel():
                await self._cancel()
            case Text() | Flush() | End():
                if not (utterance := self._addressed()).is_broken:
                    await self._write(utterance, message)

    async def _start(self, message: Start, group: TaskGroup) -> None:
        if self._utterance is not None and not self._utterance.is_over:
            failure = InvalidRequest(
                "Another utterance is under way.", "Start one after the other's done, or cancel it."
            )
            await self._peer.failure(failure, Ends.NOTHING, message.id)
            return
        self._utterance = Utterance(self._services, self._peer, message, self._request_id)
        self._speaking = group.create_task(self._utterance.run())

    def _addressed(self) -> Utterance:
        """The utterance that a message is about.

        Raises:
            InvalidRequest: there is none.
        """
        if self._utterance is None or (self._utterance.is_over and not self._utterance.is_broken):
            raise InvalidRequest("There is no utterance under way.", "Send start first.")
        return self._utterance

    async def _write(self, utterance: Utterance, message: Text | Flush | End) -> None:
        match message:
            case Text():
                try:
                    utterance.script.write(message.text)
                except TextTooLong as failure:
                    await self._stop()
                    await utterance.fail(failure)
            case Flush():
                utterance.script.flush()
            case End():
                utterance.script.end()

    async def _cancel(self) -> None:
        """What is not under way any more has been told already."""
        await self._stop()
        if self._utterance is not None and not self._utterance.is_over:
            await self._utterance.tell_done(cancelled=True)

    async def _stop(self) -> None:
        if self._speaking is not None and self._utterance is not None:
            if not self._utterance.is_over:
                self._speaking.cancel()
            await asyncio.wait({self._speaking})
