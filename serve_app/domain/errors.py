"""Everything that can go wrong for a client, as a tree.

    SpeechServiceError
    ├── InvalidRequest              the request says something we cannot do
    │   ├── TextTooLong
    │   └── UnsupportedFormat
    ├── NotFound
    │   └── VoiceNotFound
    ├── GenerationFailed            an engine broke while it spoke
    │   └── GenerationTimedOut
    └── Unavailable                 try again later; carries `retry_after` seconds
        ├── Overloaded
        └── ModelNotLoaded

Each carries a sentence for the client (`message`), and optionally `detail`: what was expected, or
what to do. `api/errors.py` holds the one table from these classes to HTTP statuses and codes.
"""

from __future__ import annotations


class SpeechServiceError(Exception):
    """Base of every error that is meant to reach a client."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message, detail)
        self.message = message
        self.detail = detail


class InvalidRequest(SpeechServiceError):
    """The request cannot be served as it is written."""


class TextTooLong(InvalidRequest):
    """The text exceeds the configured limit."""


class UnsupportedFormat(InvalidRequest):
    """An audio format we do not produce was asked for."""


class NotFound(SpeechServiceError):
    """Nothing is stored under that name."""


class VoiceNotFound(NotFound):
    """No voice has that name."""


class GenerationFailed(SpeechServiceError):
    """An engine failed while it was speaking."""


class GenerationTimedOut(GenerationFailed):
    """An engine produced no audio for longer than the configured time."""


class Unavailable(SpeechServiceError):
    """The service cannot take the request now."""

    def __init__(self, message: str, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(message, detail)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """Every queue is full."""


class ModelNotLoaded(Unavailable):
    """No replica has its model loaded."""
