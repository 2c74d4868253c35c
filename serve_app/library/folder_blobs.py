"""A root in a local folder.

Files are moved into place rather than copied, which an object store's client cannot do, and links
are kept in check: a linked folder is not entered, a linked file counts if it lies in the root too.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import uuid
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from serve_app.domain.errors import InvalidRequest, NotFound, StorageUnavailable
from serve_app.library.blobs import PIECE_BYTES, SCRATCH_FOLDER, BlobInfo
from serve_app.library.paths import is_hidden

_LISTED_AT_ONCE = 1000
_ABSENT = {errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}


class FolderBlobs:
    """See `Blobs`; every blocking call is made in a thread."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = Path(os.path.realpath(root))

    async def head(self, key: str) -> BlobInfo | None:
        """See `Blobs.head`."""
        return await asyncio.to_thread(self._head, key)

    async def read(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See `Blobs.read`."""
        with await asyncio.to_thread(self._open, key) as file:
            file.seek(start)
            left = _size(file) if end is None else end - start
            while left > 0 and (piece := await _read(file, min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece

    async def read_all(self, key: str, limit: int) -> bytes:
        """See `Blobs.read_all`."""
        return b"".join([piece async for piece in self.read(key, 0, limit)])

    async def put_file(self, key: str, path: Path) -> BlobInfo:
        """See `Blobs.put_file`."""
        return await asyncio.to_thread(self._put, key, path)

    async def put_bytes(self, key: str, data: bytes) -> BlobInfo:
        """See `Blobs.put_bytes`."""
        return await asyncio.to_thread(self._put_bytes, key, data)

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        await asyncio.to_thread(self._delete, tuple(keys))

    async def list(self, prefix: str = "", hidden: bool = False) -> AsyncGenerator[BlobInfo, None]:
        """See `Blobs.list`."""
        found = self._walk(prefix, hidden)
        while batch := await asyncio.to_thread(_take, found):
            for info in batch:
                yield info

    def scratch(self) -> Path:
        """See `Blobs.scratch`."""
        folder = self._root / SCRATCH_FOLDER
        folder.mkdir(exist_ok=True)
        return folder / uuid.uuid4().hex

    async def clear_scratch(self, before: datetime) -> None:
        """See `Blobs.clear_scratch`."""
        await asyncio.to_thread(self._clear_scratch, before.timestamp())

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncGenerator[Path, None]:
        """See `Blobs.local_copy`: another name of the file, which outlives its deletion."""
        link = self.scratch()
        try:
            yield await asyncio.to_thread(self._linked, key, link)
        finally:
            await asyncio.to_thread(link.unlink, missing_ok=True)

    def _head(self, key: str) -> BlobInfo | None:
        try:
            with _answering():
                return _info(key, self._existing(key).stat())
        except NotFound:
            return None

    def _open(self, key: str) -> BinaryIO:
        with _answering():
            return self._existing(key).open("rb")

    def _existing(self, key: str) -> Path:
        """The file of `key`, if there is one, and it lies where its name says."""
        with _answering():
            path = self._place(key)
            real = Path(os.path.realpath(path)) if path.is_symlink() else path
            if not real.is_relative_to(self._root) or not stat.S_ISREG(real.stat().st_mode):
                raise _not_found()
            return real

    def _linked(self, key: str, link: Path) -> Path:
        existing = self._existing(key)
        try:
            os.link(existing, link)
        except PermissionError:  # a file system without links
            return existing
        except FileNotFoundError:
            raise _not_found() from None
        return link

    def _clear_scratch(self, before: float) -> None:
        """By the time of the last change, which unlike the last writing counts linking."""
        for path in (self._root / SCRATCH_FOLDER).glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_ctime < before:
                    path.unlink()

    def _place(self, key: str) -> Path:
        """Where `key` is or would be, reached through no linked folder."""
        segments = key.split("/")
        if "\0" in key or any(segment in ("", ".", "..") for segment in segments):
            raise _not_found()
        folder = self._root.joinpath(*segments[:-1])
        if os.path.realpath(folder) != str(folder):
            raise _not_found()
        return folder / segments[-1]

    def _put(self, key: str, path: Path) -> BlobInfo:
        with _writing():
            target = self._place(key)
            target.parent.mkdir(parents=True, exist_ok=True)
            written = self._move(path, target)
            return _info(key, written)

    def _move(self, path: Path, target: Path) -> os.stat_result:
        """Put `path` in the place of `target` in one step, and say what was put there."""
        written = path.stat()
        try:
            os.replace(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copied = Path(shutil.copyfile(path, self.scratch()))
            written = copied.stat()
            os.replace(copied, target)
            path.unlink()
        return written

    def _put_bytes(self, key: str, data: bytes) -> BlobInfo:
        scratch = self.scratch()
        try:
            with _writing():
                scratch.write_bytes(data)
            return self._put(key, scratch)
        finally:
            scratch.unlink(missing_ok=True)

    def _delete(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            try:
                with _answering():
                    self._place(key).unlink()
            except NotFound:
                continue

    def _walk(self, prefix: str, hidden: bool) -> Generator[BlobInfo, None, None]:
        folders = [self._root / prefix]
        while folders:
            for entry in _entries(folders.pop()):
                key = Path(entry.path).relative_to(self._root).as_posix()
                if is_hidden(key) and not hidden:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif info := self._listed(key, entry):
                    yield info

    def _listed(self, key: str, entry: os.DirEntry[str]) -> BlobInfo | None:
        if entry.is_symlink():
            return self._head(key)
        try:
            found = entry.stat()
        except FileNotFoundError:  # deleted since the folder was read
            return None
        return _info(key, found) if stat.S_ISREG(found.st_mode) else None


def _info(key: str, found: os.stat_result) -> BlobInfo:
    e_tag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    modified = datetime.fromtimestamp(found.st_mtime, UTC)
    return BlobInfo(key, found.st_size, e_tag, modified)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in one folder; nothing if it has been removed meanwhile."""
    try:
        with _answering(), os.scandir(folder) as entries:
            return list(entries)
    except NotFound:
        return []


def _take(found: Iterator[BlobInfo]) -> list[BlobInfo]:
    return list(islice(found, _LISTED_AT_ONCE))


async def _read(file: BinaryIO, count: int) -> bytes:
    with _answering():
        return await asyncio.to_thread(file.read, count)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


@contextmanager
def _answering() -> Generator[None, None, None]:
    """What the operating system says, as the errors of the library."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise _not_found() from None
        raise _unavailable() from error


@contextmanager
def _writing() -> Generator[None, None, None]:
    try:
        yield
    except NotFound as error:
        raise InvalidRequest("Nothing can be stored under that name.") from error
    except OSError as error:
        if error.errno in _IN_THE_WAY:
            raise InvalidRequest(
                "Nothing can be stored under that name.",
                "It is too long, or a folder has the name of the file, or a file that of a folder.",
            ) from None
        raise _unavailable() from error


def _not_found() -> NotFound:
    return NotFound("There is no such file.")


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("The folder of the files cannot be used now.")
