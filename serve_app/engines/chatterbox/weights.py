"""Where the files of a model come from, and getting them here. Nothing here imports torch.

/srv/weights/chatterbox      a folder, used where it is
s3://bucket/prefix           an object store; gs:// and az:// likewise
hub:ResembleAI/chatterbox@5bb1f6ee58e50c3b8d408bc82a6d3740c2db6e18    one commit of the hub
random:english               made on this machine, see `random_weights`
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Self

from serve_app.engines.chatterbox.models import Family, ModelSpec
from serve_app.engines.chatterbox.weight_files import (
    WeightsDamaged,
    WeightsMissing,
    replace_text,
    take_in,
    verify,
)
from serve_app.engines.chatterbox.weight_stores import Bucket, Hub, WeightStore

__all__ = [
    "RELEASES",
    "Kind",
    "WeightsDamaged",
    "WeightsMissing",
    "WeightsSource",
    "cache_folder",
    "ensure_weights",
    "locked",
    "verify",
]

Progress = Callable[[str, int, int], None]
"""Told the name of a file, how many bytes of it are here, and how many it has."""

RELEASES = {
    "ResembleAI/chatterbox": "5bb1f6ee58e50c3b8d408bc82a6d3740c2db6e18",
    "ResembleAI/chatterbox-turbo": "749d1c1a46eb10492095d68fbcf55691ccf137cd",
}
"""The commit of each repository whose files these engines were written for."""

_SOURCE, _LOCK, _INCOMING = ".source", ".lock", ".incoming"
_HUB = re.compile(r"hub:([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_BUCKET = re.compile(r"(s3|gs|az)://.+")


class Kind(StrEnum):
    """What sort of place a source is."""

    FOLDER = "folder"
    BUCKET = "bucket"
    HUB = "hub"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """Where a model's files come from."""

    kind: Kind
    place: str  # a path, a URL, a repository, or the name of a family
    commit: str = ""  # of a repository

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what an operator wrote; see the module for the forms.

        Raises:
            ValueError: it is none of them, or names what may change (a branch, a tag).
        """
        if text.startswith("hub:"):
            return cls(Kind.HUB, *_parse_hub(text))
        if text.startswith("random:"):
            return cls(Kind.RANDOM, Family(text.removeprefix("random:")))
        if _BUCKET.fullmatch(text):
            return cls(Kind.BUCKET, text)
        if not text or "://" in text:
            raise ValueError(
                f"{text!r} is no source of weights: give a folder, a URL of s3, gs or az, or "
                "hub:OWNER/NAME@COMMIT."
            )
        return cls(Kind.FOLDER, text)

    @classmethod
    def released(cls, spec: ModelSpec) -> Self:
        """The release of a model on the hub."""
        return cls(Kind.HUB, spec.repository, RELEASES[spec.repository])

    def __str__(self) -> str:
        """As `parse` reads it."""
        match self.kind:
            case Kind.HUB:
                return f"hub:{self.place}@{self.commit}"
            case Kind.RANDOM:
                return f"random:{self.place}"
            case _:
                return self.place


def cache_folder(source: WeightsSource) -> Path:
    """Where files of a source are kept when the operator names no folder."""
    return Path.home() / ".cache" / "serve-app" / re.sub(r"[^\w.@-]+", "-", str(source))


def ensure_weights(
    source: WeightsSource,
    files: Sequence[str],
    folder: Path,
    options: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """The folder that holds all files, verified: a source that is a folder itself, or else
    `folder`, into which the missing files are fetched.

    Processes that share `folder` wait for each other; a file appears in it whole or not at all.
    `options` are those of an object store.

    Raises:
        WeightsMissing, WeightsDamaged: saying which file, and what to do.
        ValueError: the source has no files, or its options are wrong.
        OSError: `folder` cannot be written.
    """
    if source.kind is Kind.FOLDER:
        folder = Path(source.place)
    else:
        store = _open(source, options or {})
        with locked(folder):
            _claim(folder, source)
            _fetch_missing(store, files, folder, progress)
    verify(folder, files)
    return folder


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Hold a folder alone, among the processes of this machine; it is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _parse_hub(text: str) -> tuple[str, str]:
    match = _HUB.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text} does not name a commit: give hub:OWNER/NAME@ and the 40 hexadecimal digits of "
            "one. What a branch or a tag names can be exchanged for other weights at any time."
        )
    return match[1], match[2]


def _open(source: WeightsSource, options: Mapping[str, str]) -> WeightStore:
    match source.kind:
        case Kind.BUCKET:
            return Bucket(source.place, options)
        case Kind.HUB:
            return Hub(source.place, source.commit)
        case _:
            raise ValueError(f"There is nothing to fetch from {source}.")


def _claim(folder: Path, source: WeightsSource) -> None:
    """Files of two sources must not meet in one folder: they may be of different weights."""
    path = folder / _SOURCE
    if not path.is_file():
        replace_text(path, f"{source}\n")
    elif (other := path.read_text().strip()) != str(source):
        raise WeightsDamaged(
            f"{folder} holds files of {other}, not of {source}.",
            "Name another folder, or remove that one.",
        )


def _fetch_missing(
    store: WeightStore, files: Sequence[str], folder: Path, progress: Progress | None
) -> None:
    incoming = folder / _INCOMING
    for name in files:
        if (folder / name).is_file():
            continue
        shutil.rmtree(incoming, ignore_errors=True)  # of a process that was killed
        incoming.mkdir()
        try:
            report = partial(progress or _say_nothing, name)
            expected = store.fetch(name, incoming / name, report)
            take_in(incoming / name, folder, expected)
        finally:
            shutil.rmtree(incoming)


def _say_nothing(name: str, done: int, total: int) -> None: ...
