"""Audio is sent ahead of its time, but not without limit.

Where a proxy takes whatever it is given, the client's pace is not felt; and what is far ahead is
wasted when the client interrupts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from serve_app.domain.deadline import Stream


class Pacer:
    """Holds a stream back that is more than `most_ahead` seconds ahead of its listener.

    The listener is taken to play from the first audio on, and to begin anew after a silence.
    """

    def __init__(
        self,
        most_ahead: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._most_ahead = most_ahead
        self._clock = clock
        self._sleep = sleep
        self._listener = Stream(None, clock())

    @property
    def played_at(self) -> float:
        """When the listener has heard all that was sent, by the clock; 0 before there is any."""
        listener = self._listener
        return 0.0 if listener.started_at is None else listener.started_at + listener.delivered

    async def sent(self, seconds: float) -> None:
        """So much audio has been sent; returns when more may be."""
        self._listener.hear(seconds, self._clock())
        if (ahead := self.played_at - self._clock()) > self._most_ahead:
            await self._sleep(ahead - self._most_ahead)
