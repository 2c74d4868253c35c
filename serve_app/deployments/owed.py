"""How much audio a replica still owes, which is what it is scaled by.

A count of requests says little: one may want a word, another ten minutes. What a text will come to
is estimated from its length before the engine knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from serve_app.domain.types import SpeechRequest

CHARS_PER_SECOND = 15.0
"""Characters that are spoken in a second; English prose read aloud has 13 to 17."""


def expected_seconds(request: SpeechRequest) -> float:
    """What a request will come to, in seconds of audio."""
    return sum(map(len, request.chunks)) / CHARS_PER_SECOND / request.speed


class Debt:
    """What one request is still owed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def pay(self, seconds: float) -> None:
        """Count audio that was delivered; the estimate may have been too low."""
        self.seconds = max(0.0, self.seconds - seconds)


class Owed:
    """The debts of all requests of a replica."""

    def __init__(self) -> None:
        self._debts: set[Debt] = set()

    @property
    def seconds(self) -> float:
        """Seconds of audio that are owed now."""
        return sum(debt.seconds for debt in self._debts)

    @contextlib.contextmanager
    def request(self, request: SpeechRequest) -> Generator[Debt]:
        """Owe what a request will come to until the block is left."""
        debt = Debt(expected_seconds(request))
        self._debts.add(debt)
        try:
            yield debt
        finally:
            self._debts.discard(debt)
