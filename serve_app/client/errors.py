"""Everything that can go wrong for who uses the client, as a tree.

    ServerError
    ├── ServerUnreachable       nobody answers at the address; carries `url`
    ├── RequestRefused          the server answered with an error: `status`, `code`, `request_id`
    │   ├── Unauthorized        401, 403: the API key is missing, wrong, or not enough
    │   ├── NotFound            404: no voice, file or route has that name
    │   └── Overloaded          429, 503: try again later; carries `retry_after` seconds
    ├── UnexpectedAnswer        whoever answered is no speech server that this client knows
    ├── StreamBroken            the body ended before the audio did
    └── CannotBeSent            a ValueError: what was given fits into no request; nothing was sent

Files that cannot be read or written raise OSError, as `open` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from pydantic import ValidationError
from pydantic_core import from_json


class ServerError(Exception):
    """Base of every error of the client. `str(error)` is a sentence that says what to do."""


class ServerUnreachable(ServerError):
    """Nobody answers at the address, or not in time."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No answer from {url}: {reason}. Is the server running, and is this its address?"
        )
        self.url = url


class UnexpectedAnswer(ServerError):
    """The answer is not one of the speech server's."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"{url} did not answer as a speech server does ({reason}). Check the address, and that "
            "client and server are of the same version."
        )
        self.url = url


class CannotBeSent(ServerError, ValueError):
    """What was given fits into no request: an address, a key, a name, a text. Nothing was sent."""


class StreamBroken(ServerError):
    """The body ended before the audio did: what has arrived is not whole."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The stream is not whole: {reason.rstrip('.')}. Ask for it again.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says when it refuses."""

    status: int
    code: str  # the server's error_code; "HTTP_502" where something before it refused
    message: str
    detail: str  # what was expected, or what to do; "" if that is not said
    request_id: str
    retry_after: float | None  # seconds


class RequestRefused(ServerError):
    """The server answered with an error."""

    def __init__(self, refusal: Refusal) -> None:
        self.status = refusal.status
        self.code = refusal.code
        self.message = refusal.message
        self.detail = refusal.detail
        self.request_id = refusal.request_id
        sentences = " ".join(filter(None, (self.message, self.detail)))
        super().__init__(f"{sentences} ({self.status} {self.code})")


class Unauthorized(RequestRefused):
    """The API key is missing, wrong, or does not allow this."""


class NotFound(RequestRefused):
    """No voice, file or route has that name."""


class Overloaded(RequestRefused):
    """The server cannot take the request now."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.retry_after = refusal.retry_after


_CLASS_OF_STATUS: Mapping[int, type[RequestRefused]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    429: Overloaded,
    503: Overloaded,
}


def refused(status: int, headers: Mapping[str, str], body: bytes) -> RequestRefused:
    """The error of an answer that is no success; `headers` are found in any case."""
    told = _members(body)
    message = told.get("error_message") or _told_by_status(status, headers.get("location"))
    detail = told.get("detail", "")
    return _CLASS_OF_STATUS.get(status, RequestRefused)(
        Refusal(
            status,
            code=told.get("error_code") or f"HTTP_{status}",
            message=message,
            detail="" if detail in message else detail,
            request_id=told.get("request_id") or headers.get("x-request-id", ""),
            retry_after=retry_after(headers),
        )
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next try, if the server says so in seconds."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def reason_of(error: Exception) -> str:
    """Why, in a few words: those of the error, or the name of its class."""
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
    return str(error).strip().rstrip(".") or type(error).__name__


def _members(body: bytes) -> dict[str, str]:
    """The members of an error's body that are text; none if it is no JSON object."""
    try:
        told = from_json(body)
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    members = cast("dict[str, object]", told)
    return {name: value for name, value in members.items() if isinstance(value, str)}


def _told_by_status(status: int, location: str | None) -> str:
    if status // 100 == 3 and location:
        return f"The server is at {location} now; give the address that it has there."
    return f"The server answered {status} {_phrase(status)}."


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "with no reason"
