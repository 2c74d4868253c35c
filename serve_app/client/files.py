"""Audio that is saved: under its name there is a whole file or none.

A symlink stays one, and the file that it means is replaced. A pipe or a device is written to.
"""

from __future__ import annotations

import errno
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
        self._target = Path(os.path.realpath(path))
        self._partial = None if _takes_bytes_only(path) else _beside(self._target)
        self._file = self._partial.open("xb") if self._partial else path.open("wb")
        self._progress = progress
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Append one piece."""
        self._file.write(data)
        self._file.flush()  # whoever reads a pipe hears it now
        self._bytes += len(data)
        if self._progress is not None:
            self._progress(self._bytes)

    def keep(self) -> SavedAudio:
        """Give it its name: all of it is there. A file of that name is replaced."""
        self._file.close()
        if self._partial:
            os.replace(self._partial, self._target)
        return SavedAudio(self._path, self._bytes)

    def close(self) -> None:
        """Remove it, unless it was kept."""
        self._file.close()
        if self._partial:
            self._partial.unlink(missing_ok=True)


@contextmanager
def saving(path: str | os.PathLike[str], progress: Progress | None) -> Generator[FileBeingSaved]:
    """A file to write to; it is gone after the block if it was not kept.

    Raises:
        OSError: there can be no such file; of a folder, `IsADirectoryError`.
    """
    file = FileBeingSaved(Path(path), progress)
    try:
        yield file
    finally:
        file.close()


def _takes_bytes_only(path: Path) -> bool:
    """Whether it is there and no file, so that no file may take its place.

    Raises:
        IsADirectoryError: it takes no bytes.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.exists() and not path.is_file()


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
