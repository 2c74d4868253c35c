"""No parameter is ignored in silence: what has no effect is named in the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel

HEADER = "X-Ignored-Parameters"
_MOST_NAMED = 50  # proxies refuse long headers

_ASKS_FOR_NOTHING: Mapping[str, Any] = {
    "bypass_whisper_checking": True,
    "use_auto_editor": False,
    "disable_watermark": True,
}
"""Values with which a field wants what happens anyway."""


def ignored_fields(body: BaseModel, powerless: Iterable[str]) -> tuple[str, ...]:
    """Fields the client set that change nothing: `powerless` ones and those nobody knows."""
    unknown = set(body.model_extra or {})
    without_effect = {*powerless, *unknown}
    return tuple(
        name
        for name in (*type(body).model_fields, *sorted(unknown))
        if name in body.model_fields_set and name in without_effect
        if name not in _ASKS_FOR_NOTHING or getattr(body, name) != _ASKS_FOR_NOTHING[name]
    )


def ignored_header(names: Iterable[str]) -> dict[str, str]:
    """The header that names them, the first of very many; none for none."""
    listed = ",".join(map(_header_safe, islice(names, _MOST_NAMED)))
    return {HEADER: listed} if listed else {}


def _header_safe(name: str) -> str:
    """A field name of the client's own making, fit for a header."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "?" for c in name)[:64]
