"""The text of one utterance: written by the client, read by who speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from serve_app.domain.errors import InvalidRequest, TextTooLong
from serve_app.text.clauses import ClauseBuffer


class Script:
    """Text that waits to be spoken, in the pieces in which it will be."""

    def __init__(self, max_piece_chars: int, max_waiting_chars: int) -> None:
        self.is_waited_for = False  # whether the reader has nothing to do
        self._max_waiting = max_waiting_chars
        self._buffer = ClauseBuffer(max_piece_chars)
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()  # None is the end
        self._waiting = 0  # characters in the pieces
        self._is_complete = False

    def write(self, text: str) -> None:
        """Add text.

        Raises:
            InvalidRequest: the end has been announced.
            TextTooLong: too much is waiting already.
        """
        if self._is_complete:
            raise InvalidRequest("The utterance was ended; start another when it is done.")
        if len(self._buffer) + self._waiting + len(text) > self._max_waiting:
            raise TextTooLong(
                f"more than {self._max_waiting} characters would wait to be spoken.", field="text"
            )
        for piece in self._buffer.add(text):
            self._put(piece)

    def flush(self) -> None:
        """Have read what was written so far, as if a sentence ended there."""
        if rest := self._buffer.flush():
            self._put(rest)

    def end(self) -> None:
        """Nothing more is written."""
        if not self._is_complete:
            self.flush()
            self._is_complete = True
            self._pieces.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Each piece as soon as it is complete."""
        while (piece := await self._next()) is not None:
            self._waiting -= len(piece)
            yield piece

    async def _next(self) -> str | None:
        self.is_waited_for = self._pieces.empty()
        piece = await self._pieces.get()
        self.is_waited_for = False
        return piece

    def _put(self, piece: str) -> None:
        self._waiting += len(piece)
        self._pieces.put_nowait(piece)
