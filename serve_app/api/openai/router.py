"""The routes below /v1."""

from __future__ import annotations

from fastapi import APIRouter

from serve_app.api.openai import models, speech, voices

router = APIRouter(prefix="/v1", tags=["OpenAI"])
router.include_router(speech.router)
router.include_router(models.router)
router.include_router(voices.router)
