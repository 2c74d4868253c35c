"""Everything that can go wrong for a client, as a tree.

    SpeechServiceError
    ├── InvalidRequest              the request says something we cannot do
    │   ├── TextTooLong
    │   ├── UnsupportedFormat
    │   ├── InvalidAudio            what was sent is not audio that can be used
    │   ├── FileTooLarge
    │   ├── NotConfirmed            a deletion without confirm=true
    │   └── UrlNotAllowed           an address we do not fetch from
    ├── AlreadyExists               there is a file under that name
    ├── DownloadFailed              another server did not give us its file
    ├── NotFound
    │   └── VoiceNotFound
    ├── GenerationFailed            an engine broke while it spoke
    │   ├── GenerationTimedOut
    │   └── EngineBroken            ... and cannot go on: its replica is to be replaced
    └── Unavailable                 try again later; carries `retry_after` seconds
        ├── Overloaded
        ├── ModelNotLoaded
        └── StorageUnavailable      the database or the store does not answer

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
    """The request cannot be served as it is written. Where one field is to blame, it says which."""

    def __init__(self, message: str, detail: str = "", field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message, detail)
        self.field = field
        self.sentence = message


class TextTooLong(InvalidRequest):
    """The text exceeds the configured limit."""


class UnsupportedFormat(InvalidRequest):
    """An audio format we do not produce was asked for."""


class InvalidAudio(InvalidRequest):
    """What was sent is not audio, is damaged, or is not audio that we accept."""


class FileTooLarge(InvalidRequest):
    """A file exceeds the configured limit."""


class NotConfirmed(InvalidRequest):
    """Something would be deleted, and the client did not say that it is sure."""


class UrlNotAllowed(InvalidRequest):
    """The address is not one that this service fetches from."""


class AlreadyExists(SpeechServiceError):
    """There is already a file under that name."""


class DownloadFailed(SpeechServiceError):
    """Another server did not give us the file it was asked for."""


class NotFound(SpeechServiceError):
    """Nothing is stored under that name."""


class VoiceNotFound(NotFound):
    """No voice has that name."""


class GenerationFailed(SpeechServiceError):
    """An engine failed while it was speaking."""


class GenerationTimedOut(GenerationFailed):
    """An engine produced no audio for longer than the configured time."""


class EngineBroken(GenerationFailed):
    """An engine cannot go on; whoever runs it has to start another."""


class Unavailable(SpeechServiceError):
    """The service cannot take the request now."""

    def __init__(self, message: str, detail: str = "", retry_after: int = 1) -> None:
        super().__init__(message, detail)
        self.retry_after = retry_after


class Overloaded(Unavailable):
    """Every queue is full."""


class ModelNotLoaded(Unavailable):
    """No replica has its model loaded."""


class StorageUnavailable(Unavailable):
    """The database or the store does not answer, or a file is in use for too long."""
