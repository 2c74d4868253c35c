"""An `Entry` as a row of the catalogue, and back."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping

from serve_app.domain.types import Shelf
from serve_app.library.entries import AudioFacts, Description, Entry, Origin
from serve_app.library.states import Known, State
from serve_app.library.tables import UNKNOWN_SIZE

Values = dict[str, Any]
"""What an INSERT or UPDATE of `entries` sets, by column."""

_SORTED_CHARS = 100
"""Names are sorted by so much of them: an index entry of PostgreSQL must not exceed 2.7 KB."""


def storable(text: str) -> str:
    """`text` without what a database cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def fold(text: str) -> str:
    """`text` as searches compare it."""
    return storable(unicodedata.normalize("NFC", text).casefold())


def folder_prefix(folder: str) -> str:
    """A folder as the rows hold it: "" or "a/b/", so that those below it share the prefix."""
    return f"{folder}/" if folder else ""


def values_of(entry: Entry) -> Values:
    """The columns that hold the facts of an entry."""
    return (
        _place_of(entry)
        | _audio_of(entry.audio)
        | _description_of(entry.description)
        | _origin_of(entry.origin)
        | {
            "created_at": entry.created_at,
            "last_used": entry.last_used,
            "usage_count": entry.usage_count,
            "e_tag": entry.e_tag,
            "sidecar_e_tag": entry.sidecar_e_tag,
            "master": entry.master or None,
        }
    )


def _place_of(entry: Entry) -> Values:
    said = entry.description
    searched = (entry.path, said.name, said.description, said.text, *said.tags)
    return {
        "shelf": entry.shelf,
        "path": entry.path,
        "folder": folder_prefix(entry.folder),
        "sort_name": sort_name(said.name or entry.filename),
        "search": fold("\n".join(searched)),
    }


def sort_name(name: str) -> str:
    """A name as the rows are sorted by it and found by it."""
    return fold(name)[:_SORTED_CHARS]


def size_of(audio: AudioFacts) -> int:
    """The size as the rows hold it."""
    return UNKNOWN_SIZE if audio.size_bytes is None else audio.size_bytes


def _audio_of(audio: AudioFacts) -> Values:
    return {
        "format": audio.format,
        "seconds": audio.seconds,
        "sample_rate": audio.sample_rate,
        "size_bytes": size_of(audio),
        "digest": audio.digest,
        "is_plain": audio.is_plain,
    }


def _description_of(said: Description) -> Values:
    return {
        "description": storable(said.description),
        "text": storable(said.text),
        "name": storable(said.name),
        "tags": [storable(tag) for tag in said.tags],
        "default_parameters": said.default_parameters,
    }


def _origin_of(origin: Origin | None) -> Values:
    if origin is None:
        return {"generation_type": "", "parameters": {}, "source_files": []}
    return {
        "generation_type": origin.generation_type,
        "parameters": origin.parameters,
        "source_files": list(origin.source_files),
    }


def entry_of(row: RowMapping) -> Entry:
    """The entry whose facts a row holds."""
    return Entry(
        shelf=Shelf(row["shelf"]),
        path=row["path"],
        audio=_audio_in(row),
        created_at=row["created_at"],
        description=_description_in(row),
        origin=_origin_in(row),
        last_used=row["last_used"],
        usage_count=row["usage_count"],
        e_tag=row["e_tag"],
        sidecar_e_tag=row["sidecar_e_tag"],
        master=row["master"] or "",
    )


def _audio_in(row: RowMapping) -> AudioFacts:
    return AudioFacts(
        format=row["format"],
        seconds=row["seconds"],
        sample_rate=row["sample_rate"],
        size_bytes=known_size(row["size_bytes"]),
        digest=row["digest"],
        is_plain=row["is_plain"],
    )


def _description_in(row: RowMapping) -> Description:
    return Description(
        description=row["description"],
        text=row["text"],
        name=row["name"],
        tags=tuple(row["tags"]),
        default_parameters=row["default_parameters"],
    )


def _origin_in(row: RowMapping) -> Origin | None:
    if not row["generation_type"]:
        return None
    return Origin(row["generation_type"], row["parameters"], tuple(row["source_files"]))


def known_size(size_bytes: int) -> int | None:
    """The `size_bytes` of a row, None while nobody knows."""
    return None if size_bytes == UNKNOWN_SIZE else size_bytes


def known_of(rows: Sequence[RowMapping]) -> tuple[Known, ...]:
    """What the sweep needs of rows."""
    return tuple(
        Known(
            path=row["path"],
            revision=row["revision"],
            e_tag=row["e_tag"],
            sidecar_e_tag=row["sidecar_e_tag"],
            master=row["master"] or "",
            state=State(row["state"]),
            claimed=bool(row["claimed"]),
        )
        for row in rows
    )
