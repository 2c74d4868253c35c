"""The stored outputs: one lossless master per stream, other formats made from it when first asked.

A stream reserves its name with a hidden manifest, created exclusively so that no two machines can
hold the same name, writes a scratch file beside it, and moves that to its place when it is whole:

    .NAME.json    the formats that were promised        (from the first moment)
    .NAME.part    the master while it is being written  (never served)
    NAME.wav      the master, or .NAME.wav where the client did not ask for wav
    NAME.mp3 ...  made from the master at the first GET, then kept

See docs/adr/0006-one-lossless-master.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from serve_app.domain.errors import InvalidRequest, NotFound
from serve_app.domain.types import AudioFormat

Transcode = Callable[[Path, AudioFormat, Path], None]
_POLL_S = 0.05
_PROJECT_SEGMENT = re.compile(r"[\w-][\w .-]{0,99}")


@dataclass(frozen=True, slots=True)
class OutputDraft:
    """What a new output is to be called and which formats are promised."""

    kind: str  # tts, vc or concat
    parameters: tuple[str, ...]  # parts of the name, such as "temp0.75"
    formats: tuple[AudioFormat, ...]
    project: str | None = None  # a folder below the root


@dataclass(frozen=True, slots=True)
class PendingOutput:
    """A reserved output whose master is being written to `scratch`."""

    folder: Path
    name: str  # without extension
    formats: tuple[AudioFormat, ...]
    url_folder: str  # "/outputs" or "/outputs/PROJECT"

    @property
    def scratch(self) -> Path:
        """Where the master is written until it is whole."""
        return self.folder / f".{self.name}.part"

    def filename(self, audio_format: AudioFormat) -> str:
        """The name of the file in one format."""
        return f"{self.name}.{audio_format.value}"

    def url_path(self, audio_format: AudioFormat) -> str:
        """Where the file is served, relative to the service."""
        return f"{self.url_folder}/{self.filename(audio_format)}"

    def commit(self) -> None:
        """Publish the master; from now on every promised format can be fetched."""
        os.replace(self.scratch, _master(self.folder, self.name, self.formats))

    def discard(self) -> None:
        """Leave nothing behind."""
        self.scratch.unlink(missing_ok=True)
        _manifest(self.folder, self.name).unlink(missing_ok=True)


class OutputLibrary:
    """Outputs in a local folder."""

    def __init__(self, root: Path, transcode: Transcode, wait_s: float) -> None:
        self._root = root.absolute()
        self._transcode = transcode
        self._wait_s = wait_s
        self._making: dict[Path, asyncio.Lock] = {}

    def reserve(self, draft: OutputDraft) -> PendingOutput:
        """Take a name nobody else has.

        Raises:
            InvalidRequest: the project is not a plain relative folder.
        """
        project = _project_path(draft.project)
        folder = self._root / project
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.now(UTC)
        while not _claim(folder, name := _name(draft, moment), draft.formats):
            moment += timedelta(microseconds=1)
        url_folder = (PurePosixPath("/outputs") / project).as_posix()
        return PendingOutput(folder, name, draft.formats, url_folder)

    async def find(self, path: str) -> Path:
        """The complete file of `path` (below the root), waiting for one that is being made.

        Raises:
            NotFound: there is none, its stream failed, or it did not end in time.
        """
        target = self._root / _safe_path(path)
        if target.is_file():
            return target
        master = await self._whole_master(target)
        try:
            async with self._making.setdefault(target, asyncio.Lock()):
                if not target.is_file():
                    await asyncio.to_thread(self._make, master, target)
        finally:
            self._making.pop(target, None)
        return target

    async def _whole_master(self, target: Path) -> Path:
        formats = _promised(target)
        if target.suffix[1:] not in formats:
            raise _not_found()
        master = _master(target.parent, target.stem, formats)
        deadline = time.monotonic() + self._wait_s
        while not master.is_file():
            if time.monotonic() > deadline or not self._is_pending(target):
                raise _not_found()
            await asyncio.sleep(_POLL_S)
        return master

    def _is_pending(self, target: Path) -> bool:
        """Is somebody writing? A scratch file untouched for long belongs to a crashed process."""
        manifest = _manifest(target.parent, target.stem)
        scratch = target.parent / f".{target.stem}.part"
        for path in (scratch, manifest):
            if path.exists():
                return time.time() - path.stat().st_mtime < self._wait_s
        return False

    def _make(self, master: Path, target: Path) -> None:
        scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            self._transcode(master, AudioFormat(target.suffix[1:]), scratch)
            os.replace(scratch, target)
        finally:
            scratch.unlink(missing_ok=True)


def _name(draft: OutputDraft, moment: datetime) -> str:
    return "_".join((draft.kind, f"{moment:%Y-%m-%d_%H%M%S_%f}", *draft.parameters))


def _claim(folder: Path, name: str, formats: tuple[AudioFormat, ...]) -> bool:
    """Create the manifest unless the name is taken."""
    try:
        with _manifest(folder, name).open("x") as file:
            json.dump({"formats": formats}, file)
    except FileExistsError:
        return False
    return True


def _promised(target: Path) -> tuple[AudioFormat, ...]:
    try:
        manifest = json.loads(_manifest(target.parent, target.stem).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found() from None
    return tuple(AudioFormat(value) for value in manifest["formats"])


def _manifest(folder: Path, name: str) -> Path:
    return folder / f".{name}.json"


def _master(folder: Path, name: str, formats: tuple[AudioFormat, ...]) -> Path:
    hidden = "" if AudioFormat.WAV in formats else "."
    return folder / f"{hidden}{name}.wav"


def _project_path(project: str | None) -> PurePosixPath:
    if not project:
        return PurePosixPath()
    segments = project.strip("/").split("/")
    if len(segments) > 8 or not all(_PROJECT_SEGMENT.fullmatch(segment) for segment in segments):
        raise InvalidRequest(
            "project: must be a folder name such as 'books/alice'.",
            "Letters, digits, space, dot, dash and underscore; no segment begins with a dot.",
        )
    return PurePosixPath(*segments)


def _safe_path(path: str) -> PurePosixPath:
    """`path` if it can only lie below the root and is no hidden file."""
    segments = path.split("/")
    if "\0" in path or len(path) > 1000 or not all(map(_is_plain, segments)):
        raise _not_found()
    return PurePosixPath(*segments)


def _is_plain(segment: str) -> bool:
    """Could this be the name of a file or folder that we show?"""
    return bool(segment) and not segment.startswith(".") and len(segment.encode()) < 200


def _not_found() -> NotFound:
    return NotFound("There is no such output.", "It may have been removed, or its stream failed.")
