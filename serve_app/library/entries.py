"""What the library knows of a file, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from serve_app.domain.types import Shelf


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What was found out of an audio file by decoding it."""

    format: str  # wav, mp3, flac, ogg, m4a; of an output, the name of its AudioFormat
    seconds: float
    sample_rate: int  # Hz, of the file as it lies in the store
    size_bytes: int | None  # None: an output's format that nobody has fetched yet
    digest: str = ""  # SHA-256 of its samples, hexadecimal; "" of an output
    is_plain: bool = True  # 16-bit mono WAV of the library's rate, fit to be a `StoredAudio`


@dataclass(frozen=True, slots=True)
class Description:
    """What people say of a voice or an input; kept in the JSON file beside it."""

    description: str = ""
    text: str = ""  # what is said in it
    name: str = ""  # what to call it; "" is its file name
    tags: tuple[str, ...] = ()
    default_parameters: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Origin:
    """How an output came to be."""

    generation_type: str  # tts, vc or concat
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    source_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the library."""

    shelf: Shelf
    path: str  # below the root of its shelf, with "/"; no segment begins with a dot
    audio: AudioFacts
    created_at: datetime  # UTC, aware
    description: Description = field(default_factory=Description)
    origin: Origin | None = None  # of outputs only
    last_used: datetime | None = None
    usage_count: int = 0
    e_tag: str = ""  # of the blob the facts were read from; "" while there is none
    sidecar_e_tag: str = ""  # of the JSON file the description was read from; "" without one
    master: str = ""  # of outputs: the key of the lossless master this file is made from

    @property
    def filename(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def folder(self) -> str:
        """The folder below the root, "" for the root itself."""
        return "/".join(self.path.split("/")[:-1])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are meant; everything given must hold."""

    search: str = ""  # anywhere in path, name, description, text or tags; case does not count
    folder: str = ""  # this folder and those below it
    tag: str = ""
    paths: tuple[str, ...] = ()  # exactly these; empty means any
    names: tuple[str, ...] = ()  # called one of these, but for case; empty means any
    generation_type: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None


class SortKey(StrEnum):
    """What a listing can be sorted by."""

    NAME = "name"
    CREATED = "created_date"
    DURATION = "duration"
    SIZE = "file_size"
    USAGE = "usage_count"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a listing is wanted."""

    page: int = 1  # from 1
    page_size: int = 50
    sort_by: SortKey = SortKey.CREATED
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, and how much there is in all."""

    entries: tuple[Entry, ...]
    total: int
    request: PageRequest


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds files, itself or below it."""

    path: str  # below the root; "" for the root itself
    files: int  # directly in it
    size_bytes: int
