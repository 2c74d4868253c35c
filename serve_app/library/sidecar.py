"""The JSON file beside a voice or an input: NAME.EXT.json, for people and for other programs.

What people may change in it is read back. What it says of the audio is only written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, cast

from serve_app.domain.types import Shelf
from serve_app.library.entries import Description, Entry

MAX_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What was read from one; None is what it does not say, or says in a way we cannot use."""

    description: Description
    created_at: datetime | None = None
    usage_count: int = 0

    def applied_to(self, entry: Entry) -> Entry:
        """`entry` as the sidecar wants it. Uses counted since it was written are not forgotten."""
        return replace(
            entry,
            description=self.description,
            created_at=self.created_at or entry.created_at,
            usage_count=max(self.usage_count, entry.usage_count),
        )


def metadata(entry: Entry) -> dict[str, Any]:
    """What clients and sidecars are told of a voice or an input."""
    described = entry.description
    facts = {
        "filename": entry.filename,
        "name": described.name or PurePosixPath(entry.path).stem,
        "url": entry.path,
        "description": described.description,
        "duration_seconds": round(entry.audio.seconds, 3),
        "sample_rate": entry.audio.sample_rate,
        "file_size_bytes": entry.audio.size_bytes,
        "format": entry.audio.format,
        "default_parameters": described.default_parameters,
        "tags": list(described.tags),
        "created_date": entry.created_at.isoformat(),
        "last_used": entry.last_used.isoformat() if entry.last_used else None,
        "usage_count": entry.usage_count,
        "folder_path": entry.folder,
    }
    return facts | ({"text": described.text} if entry.shelf is Shelf.VC_INPUTS else {})


def dump(entry: Entry) -> bytes:
    """The sidecar of `entry`, in UTF-8."""
    told = metadata(entry) | {"text": entry.description.text}
    return json.dumps(told, ensure_ascii=False, indent=2).encode(errors="replace") + b"\n"


def load(path: str, data: bytes) -> Sidecar | None:
    """What the sidecar of `path` says; None, and a line in the log, if it is damaged.

    A field that is not what it should be counts as absent.
    """
    try:
        told: object = json.loads(data)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or len(data) > MAX_BYTES:
        _log.warning("The file beside %r is not JSON that can be used; it is left alone.", path)
        return None
    return _understood(path, cast("dict[str, object]", told))


def _understood(path: str, told: Mapping[str, object]) -> Sidecar:
    name = _text(told.get("name"))
    count = told.get("usage_count")
    return Sidecar(
        Description(
            description=_text(told.get("description")),
            text=_text(told.get("text")),
            name="" if name in (PurePosixPath(path).name, PurePosixPath(path).stem) else name,
            tags=_tags(told.get("tags")),
            default_parameters=_parameters(told.get("default_parameters")),
        ),
        created_at=_moment(told.get("created_date")),
        usage_count=count if type(count) is int and 0 <= count < 2**31 else 0,
    )


def _text(value: object) -> str:
    """`value` without what SQL cannot store: NUL, and half a surrogate pair."""
    text = value if isinstance(value, str) else ""
    return text.replace("\0", "").encode(errors="replace").decode()


def _tags(value: object) -> tuple[str, ...]:
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list):
        return ()
    tags = (_text(tag).strip() for tag in cast("list[object]", values))
    return tuple(dict.fromkeys(tag for tag in tags if tag))


def _parameters(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
