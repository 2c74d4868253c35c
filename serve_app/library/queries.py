"""What the catalogue asks of SQL, as statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    RowMapping,
    Select,
    and_,
    case,
    false,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from serve_app.domain.types import Shelf
from serve_app.library.entries import Filter, Folder, PageRequest, SortKey
from serve_app.library.rows import Values, fold, folder_prefix, sort_name, storable
from serve_app.library.states import State
from serve_app.library.tables import UNKNOWN_SIZE, entries, lease_clock, scanned, tags

Condition = ColumnElement[bool]

_SORTED_BY = {
    SortKey.NAME: entries.c.sort_name,
    SortKey.CREATED: entries.c.created_at,
    SortKey.DURATION: entries.c.seconds,
    SortKey.SIZE: entries.c.size_bytes,
    SortKey.USAGE: entries.c.usage_count,
}
_SUM = func.sum(
    case((entries.c.size_bytes == UNKNOWN_SIZE, 0), else_=entries.c.size_bytes), type_=BigInteger
)


def is_free() -> Condition:
    """Nobody alive claims the row."""
    return or_(entries.c.claim.is_(None), entries.c.claim_until < lease_clock())


def is_present(shelf: Shelf) -> Condition:
    """What readers see of a shelf."""
    return and_(entries.c.shelf == shelf, entries.c.state == State.PRESENT)


def is_at(shelf: Shelf, path: str) -> Condition:
    """The row of a path, in any state."""
    return and_(entries.c.shelf == shelf, entries.c.path == path)


def matches(shelf: Shelf, which: Filter) -> Condition:
    """The present files that a filter means."""
    return and_(is_present(shelf), *_given(which))


def _given(which: Filter) -> Iterable[Condition]:
    exact = (which.folder, which.tag, *which.paths, *which.names)
    if any(storable(text) != text for text in exact):
        yield false()  # no row can hold it, and asking PostgreSQL would be an error
    if which.search:
        yield entries.c.search.contains(fold(which.search), autoescape=True)
    if which.folder:
        yield _is_below(which)
    if which.tag:
        yield entries.c.id.in_(select(tags.c.entry).where(tags.c.tag == which.tag))
    if which.paths:
        yield entries.c.path.in_(which.paths)
    if which.names:
        yield entries.c.sort_name.in_([sort_name(name) for name in which.names])
    if which.generation_type:
        yield entries.c.generation_type == which.generation_type
    if which.created_from:
        yield entries.c.created_at >= which.created_from
    if which.created_to:
        yield entries.c.created_at <= which.created_to


def _is_below(which: Filter) -> Condition:
    """The folders that begin with a prefix, as a range of an index ("0" follows "/")."""
    folder = scanned(entries.c.folder) if which.search else entries.c.folder
    return and_(folder >= folder_prefix(which.folder), folder < f"{which.folder}0")


def total_of(shelf: Shelf, which: Filter) -> Select[*tuple[Any, ...]]:
    """How many files match."""
    return select(func.count().label("total")).select_from(entries).where(matches(shelf, which))


def page_of(shelf: Shelf, which: Filter, page: PageRequest, total: int) -> Select[*tuple[Any, ...]]:
    """The rows of a page among `total`: an index finds which they are, only they are read.

    A page of the second half is looked for from the end: the last costs what the first does.
    """
    start = (page.page - 1) * page.page_size
    end = min(start + page.page_size, total)
    from_end = total - end < start
    offset = total - end if from_end else start
    chosen = (
        select(entries.c.id)
        .where(matches(shelf, which))
        .order_by(*_order(page, which, page.descending != from_end))
        .limit(max(0, end - start))
        .offset(offset)
        .subquery("chosen")
    )
    rows = select(entries).join(chosen, chosen.c.id == entries.c.id)
    return rows.order_by(*_order(page, which, page.descending))


def _order(page: PageRequest, which: Filter, descending: bool) -> Sequence[ColumnElement[Any]]:
    key: ColumnElement[Any] = _SORTED_BY[page.sort_by]
    if which.search and page.sort_by is not SortKey.CREATED:
        key = scanned(key)
    return [each.desc() if descending else each.asc() for each in (key, entries.c.id)]


def folder_sums(shelf: Shelf) -> Select[*tuple[Any, ...]]:
    """(folder, files, size_bytes) of the folders that hold files themselves."""
    return (
        select(entries.c.folder, func.count().label("files"), _SUM.label("size_bytes"))
        .where(is_present(shelf))
        .group_by(entries.c.folder)
    )


def with_parents(sums: Sequence[RowMapping]) -> tuple[Folder, ...]:
    """The folders of `folder_sums` and those above them, sorted by path."""
    folders = {
        row["folder"].removesuffix("/"): (row["files"], int(row["size_bytes"])) for row in sums
    }
    for path in tuple(folders):
        while path:
            path = path.rpartition("/")[0]
            folders.setdefault(path, (0, 0))
    return tuple(Folder(path, *folders[path]) for path in sorted(folders))


def doom(condition: Condition, mark: Values) -> ReturningUpdate[*tuple[Any, ...]]:
    """Hide the rows that are free and claim them with `mark`; returns what `DoomedFile` holds."""
    # Locked in one order, two of these cannot each wait for the other.
    chosen = select(entries.c.id).where(condition).order_by(entries.c.id).with_for_update()
    return (
        update(entries)
        .where(entries.c.id.in_(chosen), is_free())
        .values(state=State.DOOMED, **mark)
        .returning(entries.c.path, entries.c.master, entries.c.size_bytes)
    )


def masters_among(masters: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Which of these masters have a row that is not doomed."""
    is_used = entries.c.master.in_(masters) & (entries.c.state != State.DOOMED)
    return select(entries.c.master).where(is_used).distinct()


def known(shelf: Shelf) -> Select[*tuple[Any, ...]]:
    """The columns of `Known`, of all rows of a shelf, sorted by path."""
    return (
        select(
            entries.c.path,
            entries.c.revision,
            entries.c.e_tag,
            entries.c.sidecar_e_tag,
            entries.c.master,
            entries.c.state,
            (~is_free()).label("claimed"),
        )
        .where(entries.c.shelf == shelf)
        .order_by(entries.c.path)
    )


def is_expired(shelf: Shelf, created_before: datetime, read_before: datetime) -> Condition:
    """Old files that nobody read lately."""
    return and_(
        is_present(shelf), entries.c.created_at < created_before, _is_unread_since(read_before)
    )


def _is_unread_since(moment: datetime) -> Condition:
    return or_(entries.c.last_used.is_(None), entries.c.last_used < moment)


def is_beyond(shelf: Shelf, total_bytes: int, read_before: datetime) -> Condition:
    """What does not fit in `total_bytes` after the files read lately and the newer ones."""
    unread = case((_is_unread_since(read_before), literal(1)), else_=literal(0))
    order = (unread, entries.c.created_at.desc(), entries.c.id.desc())
    filled = (
        select(
            entries.c.id,
            unread.label("unread"),
            _SUM.over(order_by=order, rows=(None, 0)).label("filled"),
        )
        .where(is_present(shelf))
        .subquery("filled")
    )
    too_much = select(filled.c.id).where(filled.c.unread == 1, filled.c.filled > total_bytes)
    return and_(is_present(shelf), entries.c.id.in_(too_much))
