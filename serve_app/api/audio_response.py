"""A response that streams audio while it is being made."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serve_app.api.generation import Generation


class AudioResponse(StreamingResponse):
    """Streams a generation and closes it, whatever way the response ends.

    A plain StreamingResponse leaves closing to the garbage collector when the client goes away, and
    with it the synthesis that runs behind the body.
    """

    def __init__(
        self,
        generation: Generation,
        media_type: str,
        headers: dict[str, str],
        body: AsyncIterable[bytes] | None = None,
    ) -> None:
        """`body` is what is sent in place of the generation's own bytes, and iterates it."""
        super().__init__(generation if body is None else body, headers=headers)
        self.headers["content-type"] = media_type  # as the contract has it: no charset
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then each piece as it comes."""
        async with aclosing(self._generation):
            await super().__call__(scope, receive, send)
