"""The values that travel between the catalogue and whoever changes files under its claims.

`Doomed` and `Reservation` are claims: they are renewed as long as somebody holds the object, and
run out by themselves when an error made it drop them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from serve_app.domain.types import Shelf


class State(StrEnum):
    """What a row of the catalogue stands for."""

    PENDING = "pending"  # reserved: an upload or an output in the making; readers do not see it
    PRESENT = "present"
    DOOMED = "doomed"  # its blob is being deleted; readers do not see it


@dataclass(frozen=True, slots=True)
class Known:
    """What the sweep needs to know of one row, whatever its state."""

    path: str
    revision: int  # grows with each save
    e_tag: str
    sidecar_e_tag: str
    master: str
    state: State
    claimed: bool  # somebody is changing this path now


@dataclass(frozen=True, slots=True)
class DoomedFile:
    """One file whose blob is to be deleted."""

    path: str
    master: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Doomed:
    """Files that readers no longer see, claimed until `Catalogue.remove`."""

    token: str
    shelf: Shelf
    entries: tuple[DoomedFile, ...]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Reservation:
    """Paths of outputs in the making, claimed until `publish` or `withdraw`."""

    token: str
    shelf: Shelf
    paths: tuple[str, ...]
