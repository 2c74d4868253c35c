"""Listings and deletions: the queries and answers that voices, inputs and outputs share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from serve_app.domain.errors import InvalidRequest, NotConfirmed
from serve_app.library.entries import Folder, Page, PageRequest, SortKey

_SORT_KEYS = {
    "name": SortKey.NAME,
    "filename": SortKey.NAME,
    "created_date": SortKey.CREATED,
    "date": SortKey.CREATED,
    "duration": SortKey.DURATION,
    "duration_seconds": SortKey.DURATION,
    "file_size": SortKey.SIZE,
    "file_size_bytes": SortKey.SIZE,
    "size": SortKey.SIZE,
    "usage_count": SortKey.USAGE,
}
_ORDERS = {"asc": False, "desc": True}


def page_request(page: int, page_size: int, sort_by: str, sort_order: str) -> PageRequest:
    """Which part of a listing the query asks for.

    Raises:
        InvalidRequest: it cannot be sorted like that.
    """
    if sort_by not in _SORT_KEYS:
        raise InvalidRequest(f"{sort_by!r} is not one of {', '.join(_SORT_KEYS)}.", field="sort_by")
    if sort_order not in _ORDERS:
        raise InvalidRequest(f"{sort_order!r} is not asc or desc.", field="sort_order")
    return PageRequest(page, page_size, _SORT_KEYS[sort_by], _ORDERS[sort_order])


PageNumber = Annotated[int, Query(ge=1, le=1_000_000_000)]
PageSize = Annotated[int, Query(ge=1, le=100)]


def folder_query(
    folder: Annotated[str, Query(description="A folder and those below it.")] = "",
    project: Annotated[str, Query(description="Alias of folder.")] = "",
    folder_path: Annotated[str, Query(include_in_schema=False)] = "",
) -> str:
    """The folder a query means.

    Raises:
        InvalidRequest: the aliases differ.
    """
    return same_folder(folder, project, folder_path)


def same_folder(*aliases: str | None) -> str:
    """The one folder that is named by several aliases, "" by none.

    Raises:
        InvalidRequest: they differ.
    """
    given = {alias.strip("/") for alias in aliases if alias and alias.strip("/")}
    if len(given) > 1:
        raise InvalidRequest(
            "folder_path, folder and project are aliases, but differ in this request."
        )
    return given.pop() if given else ""


_FOLDER_ALIASES = ("folder", "project", "folder_path")
FolderQuery = Annotated[str, Depends(folder_query)]
Names = Annotated[str, Query(description="File names, separated by commas.")]


def names_of(filenames: str) -> tuple[str, ...]:
    """The names in a comma string."""
    return tuple(name.strip() for name in filenames.split(",") if name.strip())


def listing(page: Page, items: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """A page of files under their `name`; both members of each pair that clients look for."""
    size, number = page.request.page_size, page.request.page
    pages = math.ceil(page.total / size)
    facts = {
        "total_pages": pages,
        "has_next": number < pages,
        "has_previous": number > 1,
    }
    total = f"total_{name}"
    return {
        "success": True,
        name: items,
        "files": items,
        "count": len(items),
        "total": page.total,
        total: page.total,
        "page": number,
        "page_size": size,
        **facts,
        "pagination": {"current_page": number, "page_size": size, total: page.total, **facts},
        "timestamp": now(),
    }


def folders(found: Sequence[Folder], kind: str) -> dict[str, Any]:
    """The folders of a shelf; `kind` is what lies in them, in the singular."""
    paths = [folder.path for folder in found]
    return {
        "success": True,
        "folders": [
            {
                "path": folder.path,
                f"{kind}_count": folder.files,
                "file_count": folder.files,
                "size_bytes": folder.size_bytes,
                "subfolders": [path for path in paths if _parent(path) == folder.path],
            }
            for folder in found
        ],
        "total_folders": len(found),
        f"total_{kind}s": sum(folder.files for folder in found),
        "timestamp": now(),
    }


def _parent(path: str) -> str | None:
    return path.rpartition("/")[0] if path else None


def deleted(paths: Sequence[str], single: bool = False) -> dict[str, Any]:
    """What was deleted."""
    count = len(paths)
    answer = {
        "success": True,
        "message": f"{count} file{'' if count == 1 else 's'} deleted.",
        "deleted_files": list(paths),
        "deleted_count": count,
        "timestamp": now(),
    }
    return {**answer, "deleted_file": paths[0]} if single else answer


def confirmed(*filters: str) -> Any:
    """A dependency that refuses a deletion which the client is not sure of, or meant to be of less.

    A filter that the route does not know, or that came out empty, would delete everything. The
    aliases of folder are filters of every route that has any.
    """
    known = {"confirm", *filters, *(_FOLDER_ALIASES if filters else ())}

    def check(
        request: Request,
        confirm: Annotated[bool, Query(description="Must be true: a deletion is final.")] = False,
    ) -> None:
        if not confirm:
            raise NotConfirmed("This deletes files for good.", "Add ?confirm=true to do it.")
        given = {name: text for name, text in request.query_params.items() if name != "confirm"}
        if unknown := sorted(set(given) - known):
            raise InvalidRequest(
                f"{', '.join(unknown)}: no filter of this deletion.",
                f"It knows {', '.join(sorted(known))}.",
            )
        if given and not any(text.strip(" ,/") for text in given.values()):
            raise InvalidRequest(
                f"{', '.join(given)}: an empty filter would delete everything.",
                "Leave it out if that is what you want.",
            )

    return Depends(check)


def now() -> str:
    """The time of an answer."""
    return datetime.now(UTC).isoformat()


def moment(value: datetime | None) -> str | None:
    """A point in time as clients get it."""
    return value.isoformat() if value else None
