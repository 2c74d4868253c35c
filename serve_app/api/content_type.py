"""A JSON route says so when it is sent something else."""

from __future__ import annotations

from fastapi import HTTPException, Request


async def json_only(request: Request) -> None:
    """Refuse a body that does not say it is JSON with 415: `curl -d` alone sends a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(
            415,
            f"The body must be JSON, not {kind or 'untyped'}: "
            "send the header 'Content-Type: application/json'.",
        )
