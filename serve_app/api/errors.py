"""The one table from errors to HTTP, and the two shapes an error can have.

`{success: false, error, error_message, error_code, detail, request_id, timestamp}`, and below /v1/
what clients of OpenAI expect: `{error: {message, type, param, code}}`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.openai.names import openai_name
from serve_app.api.request_id import request_id_of
from serve_app.domain.errors import (
    AlreadyExists,
    DownloadFailed,
    EngineBroken,
    FileTooLarge,
    GenerationFailed,
    GenerationTimedOut,
    InvalidAudio,
    InvalidRequest,
    ModelNotLoaded,
    NotConfirmed,
    NotFound,
    Overloaded,
    SpeechServiceError,
    StorageUnavailable,
    TextTooLong,
    Unavailable,
    UnsupportedFormat,
    UrlNotAllowed,
    VoiceNotFound,
)

logger = logging.getLogger(__name__)

STATUS_AND_CODE: dict[type[SpeechServiceError], tuple[int, str]] = {
    InvalidRequest: (400, "VALIDATION_ERROR"),
    TextTooLong: (400, "TEXT_TOO_LONG"),
    UnsupportedFormat: (400, "UNSUPPORTED_FORMAT"),
    InvalidAudio: (400, "INVALID_AUDIO"),
    FileTooLarge: (413, "FILE_TOO_LARGE"),
    NotConfirmed: (400, "CONFIRMATION_REQUIRED"),
    UrlNotAllowed: (400, "URL_NOT_ALLOWED"),
    AlreadyExists: (409, "FILE_EXISTS"),
    DownloadFailed: (502, "SOURCE_DOWNLOAD_FAILED"),
    NotFound: (404, "RESOURCE_NOT_FOUND"),
    VoiceNotFound: (404, "VOICE_NOT_FOUND"),
    GenerationFailed: (500, "GENERATION_FAILED"),
    GenerationTimedOut: (504, "GENERATION_TIMEOUT"),
    EngineBroken: (500, "GENERATION_FAILED"),
    Overloaded: (503, "SERVICE_OVERLOADED"),
    ModelNotLoaded: (503, "MODEL_LOADING_FAILED"),
    StorageUnavailable: (503, "SERVICE_OVERLOADED"),
}
"""Each error's HTTP status and `error_code`. A class that is missing here is found by a test."""

OPENAI_PREFIX = "/v1/"

_OPENAI_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_ABOUT_THE_VOICE = (VoiceNotFound, UrlNotAllowed, DownloadFailed)

_CODE_OF_STATUS = {
    404: "RESOURCE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "FILE_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def add_error_handlers(app: FastAPI) -> None:
    """Give every error of `app` the one shape."""
    app.add_exception_handler(SpeechServiceError, _on_service_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(UnexpectedErrorMiddleware)


class _ErrorResponse(JSONResponse):
    """JSON in ASCII: an error may repeat what a client sent, even half of a surrogate pair."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode("ascii")


def error_response(
    request: Request,
    status: int,
    code: str,
    message: str,
    detail: Any = "",
    headers: Mapping[str, str] | None = None,
    param: str | None = None,
) -> JSONResponse:
    """One error in the shape of the API that was asked; `param` is the field that is wrong."""
    if _is_openai(request):
        if detail and isinstance(detail, str) and detail != message:
            message = f"{message} {detail}"
        body = {"error": openai_error(status, code, message, param)}
        return _ErrorResponse(body, status, dict(headers or {}))
    body = {
        "success": False,
        "error": message,
        "error_message": message,
        "error_code": code,
        "detail": detail or message,
        "request_id": request_id_of(request.scope),
        "timestamp": datetime.now(UTC).isoformat(),
    }
    return _ErrorResponse(body, status, dict(headers or {}))


def _is_openai(request: Request) -> bool:
    return request.url.path.startswith(OPENAI_PREFIX)


def openai_error(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    kind = _OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"message": message, "type": kind, "param": param, "code": code.lower()}


def failure_as_openai(failure: SpeechServiceError) -> dict[str, Any]:
    """An error of the service as OpenAI's clients read it, with their names of the fields."""
    message, param = failure.message, None
    if isinstance(failure, _ABOUT_THE_VOICE):
        param = "voice"
    elif isinstance(failure, InvalidRequest) and failure.field:
        param = openai_name(failure.field)
        message = f"{param}: {failure.sentence}"
    return openai_error(
        *STATUS_AND_CODE[type(failure)], f"{message} {failure.detail}".rstrip(), param
    )


async def _on_service_error(request: Request, error: Exception) -> JSONResponse:
    failure = cast(SpeechServiceError, error)
    status, code = STATUS_AND_CODE[type(failure)]
    headers: dict[str, str] = {}
    if isinstance(failure, Unavailable):
        headers["Retry-After"] = str(failure.retry_after)
    if _is_openai(request):
        return _ErrorResponse({"error": failure_as_openai(failure)}, status, headers)
    return error_response(request, status, code, failure.message, failure.detail, headers)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    problems = cast(RequestValidationError, error).errors()
    sentences = [f"{_field_of(problem)}: {_reason_of(problem)}" for problem in problems]
    only_missing = all(problem["type"] == "missing" for problem in problems)
    code = "MISSING_REQUIRED_FIELD" if only_missing else "VALIDATION_ERROR"
    param = _field_of(problems[0]) if problems else None
    return error_response(request, 400, code, " ".join(sentences), sentences, param=param)


def _field_of(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "json_invalid":
        return f"body, character {problem['loc'][-1]}"
    names = [str(part) for part in problem["loc"] if part not in ("body", "query", "path")]
    return ".".join(names) or "body"


def _reason_of(problem: Mapping[str, Any]) -> str:
    if problem["type"] == "missing":
        return "this field is required."
    if problem["type"] == "json_invalid":
        return f"not valid JSON ({problem['ctx']['error']})."
    reason = str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{reason}."


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    failure = cast(HTTPException, error)
    code = _CODE_OF_STATUS.get(failure.status_code, "INVALID_PARAMETERS")
    message = failure.detail
    if failure.status_code == 404:
        message = f"There is nothing at {request.url.path}; see /docs."
    if failure.status_code == 405:
        message = f"{request.url.path} does not accept {request.method}; see /docs."
    return error_response(request, failure.status_code, code, message, headers=failure.headers)


class UnexpectedErrorMiddleware:
    """Answers what nobody expected, within the layers that put their headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; one whose answer has begun is broken off."""
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise
            await _on_unexpected(Request(scope), error)(scope, receive, send)


def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("Unexpected error, request %s", request_id_of(request.scope), exc_info=error)
    return error_response(
        request, 500, "INTERNAL_ERROR", "Something went wrong on our side.",
        "Report it with the request_id; the log has the rest.",
    )  # fmt: skip
