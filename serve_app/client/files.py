"""Audio that is saved: under its name there is a whole file or none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int], None]
"""Called after each piece with the number of bytes that are saved so far."""


@dataclass(frozen=True, slots=True)
class SavedAudio:
    """A file that was saved."""

    path: Path
    bytes: int


class FileBeingSaved:
    """A file that has not got its name yet."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
        self._file = self._partial.open("xb")
        self._progress = progress
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Append one piece."""
        self._file.write(data)
        self._bytes += len(data)
        if self._progress is not None:
            self._progress(self._bytes)

    def keep(self) -> SavedAudio:
        """Give it its name: all of it is there. A file of that name is replaced."""
        self._file.close()
        os.replace(self._partial, self._path)
        return SavedAudio(self._path, self._bytes)

    def close(self) -> None:
        """Remove it, unless it was kept."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


@contextmanager
def saving(path: str | os.PathLike[str], progress: Progress | None) -> Generator[FileBeingSaved]:
    """A file to write to; it is gone after the block if it was not kept."""
    file = FileBeingSaved(Path(path), progress)
    try:
        yield file
    finally:
        file.close()
