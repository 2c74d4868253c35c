"""GET /v1/models: the engine that runs, under its own name and those that clients know."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from serve_app.api.errors import error_response
from serve_app.api.services import InjectedServices, Services

router = APIRouter()

_OPENAI_MODELS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts")
_DATE = re.compile(r"-(\d{4}-\d\d-\d\d|\d{4})")
"""What follows the name of a model in that of its snapshot: tts-1-1106."""


@router.get("/models", summary="List models (OpenAI)")
@router.get("/audio/models", include_in_schema=False)
async def models(services: InjectedServices) -> dict[str, Any]:
    """Clients look for them under `data` or under `models`."""
    listed = [_model(name, services) for name in _names(services)]
    return {"object": "list", "data": listed, "models": listed}


@router.get("/models/{model}", summary="One model (OpenAI)", response_class=JSONResponse)
async def model(model: str, request: Request, services: InjectedServices) -> Response:
    """404 where there is no model of that name."""
    if not is_model(model, services):
        return model_not_found(request, model)
    return JSONResponse(_model(model, services))


def is_model(name: str, services: Services) -> bool:
    """Whether speech can be asked of a model of that name, or of a snapshot of one of OpenAI's."""
    if name in _names(services):
        return True
    return any(_DATE.fullmatch(name.removeprefix(known)) for known in _OPENAI_MODELS)


def model_not_found(request: Request, name: str) -> Response:
    """The error that OpenAI answers, with the names that there are."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    known = f"There are {', '.join(_names(request.app.state.services))}."
    return error_response(request, 404, "MODEL_NOT_FOUND", message, known, param="model")


def _names(services: Services) -> tuple[str, ...]:
    return (services.speech.capabilities.name, *_OPENAI_MODELS)


def _model(name: str, services: Services) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(services.started_at),
        "owned_by": "serve-app",
    }
