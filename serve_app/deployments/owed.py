"""How much audio a replica still owes, which is what it is scaled by.

A count of requests says little: one may want a word, another ten minutes. What a text will come to
is estimated from its length before the engine knows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from serve_app.domain.types import SpeechRequest, StoredAudio

CHARS_PER_SECOND = 15.0
"""Characters that are spoken in a second; English prose read aloud has 13 to 17."""


_FIRST_GUESS = 10.0  # seconds of a request, before there was one
_WEIGHT = 0.05  # of the latest request in the average


def expected_seconds(request: SpeechRequest | StoredAudio) -> float:
    """What a text, or a recording in another voice, will come to, in seconds of audio."""
    if isinstance(request, StoredAudio):
        return request.seconds
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
        self._mean = _FIRST_GUESS

    @property
    def mean_request_seconds(self) -> float:
        """What the latest requests were expected to come to, on average."""
        return self._mean

    @property
    def seconds(self) -> float:
        """Seconds of audio that are owed now."""
        return sum(debt.seconds for debt in self._debts)

    @contextlib.contextmanager
    def request(self, expected: float) -> Generator[Debt]:
        """Owe the seconds that a request is expected to come to, until the block is left."""
        self._mean += _WEIGHT * (expected - self._mean)
        debt = Debt(expected)
        self._debts.add(debt)
        try:
            yield debt
        finally:
            self._debts.discard(debt)
