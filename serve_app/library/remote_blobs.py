"""A root in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import from_url

from serve_app.domain.errors import NotFound, StorageUnavailable
from serve_app.library.blobs import PIECE_BYTES, BlobInfo
from serve_app.library.paths import is_hidden

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutResult

_log = logging.getLogger(__name__)
_RETRIES: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}
_SCRATCH = Path(tempfile.gettempdir()) / f"serve-app-{os.getuid()}"
_CLIENT_OPTIONS = ("allow_http", "allow_invalid_certificates", "connect_timeout", "timeout")
_RANGE_BYTES = 4 * 1024 * 1024
_PART_BYTES = 8 * 1024 * 1024  # S3 takes 10,000 parts: files up to 80 GB
_PARTS_AT_ONCE = 2


class RemoteBlobs:
    """See `Blobs`.

    Reading goes in ranges of 4 MiB, each a request of its own that insists on the version the
    first one saw: a slow listener holds no connection, and never gets a mixture of two versions.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        client: Any = {key: value for key, value in options.items() if key in _CLIENT_OPTIONS}
        config: Any = {key: value for key, value in options.items() if key not in client}
        try:
            self._store = from_url(url, config=config, client_options=client, retry_config=_RETRIES)
        except BaseError as error:
            raise ValueError(f"{url}: {error}") from error

    async def head(self, key: str) -> BlobInfo | None:
        """See `Blobs.head`."""
        try:
            with _answering():
                return _info(await obstore.head_async(self._store, _checked(key)))
        except NotFound:
            return None

    async def read(
        self, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """See `Blobs.read`."""
        with _answering():
            info = _info(await obstore.head_async(self._store, _checked(key)))
        stop = info.size if end is None else min(end, info.size)
        for position in range(start, stop, _RANGE_BYTES):
            data = await self._range(info, position, min(position + _RANGE_BYTES, stop))
            for offset in range(0, len(data), PIECE_BYTES):
                yield bytes(data[offset : offset + PIECE_BYTES])

    async def read_all(self, key: str, limit: int) -> bytes:
        """See `Blobs.read_all`."""
        return b"".join([piece async for piece in self.read(key, 0, limit)])

    async def put_file(self, key: str, path: Path) -> BlobInfo:
        """See `Blobs.put_file`."""
        size = (await asyncio.to_thread(path.stat)).st_size
        with _answering():
            result = await obstore.put_async(
                self._store,
                _checked(key),
                path,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        await asyncio.to_thread(path.unlink)
        return _stored(key, size, result)

    async def put_bytes(self, key: str, data: bytes) -> BlobInfo:
        """See `Blobs.put_bytes`."""
        with _answering():
            result = await obstore.put_async(self._store, _checked(key), data)
        return _stored(key, len(data), result)

    async def delete(self, keys: Iterable[str]) -> None:
        """See `Blobs.delete`."""
        keys = tuple(filter(_is_key, keys))
        try:
            with _answering():
                await obstore.delete_async(self._store, keys)
        except NotFound:  # not S3, which does not mind; another store has stopped there
            await self._delete_singly(keys)

    async def list(self, prefix: str = "", hidden: bool = False) -> AsyncGenerator[BlobInfo, None]:
        """See `Blobs.list`."""
        # Typed for Arrow batches too, a library that is not installed.
        stream = cast("AsyncIterator[list[ObjectMeta]]", obstore.list(self._store, prefix or None))  # pyright: ignore[reportUnknownMemberType]
        while batch := await _next(stream):
            for meta in batch:
                if hidden or not is_hidden(meta["path"]):
                    yield _info(meta)

    def scratch(self) -> Path:
        """See `Blobs.scratch`: in the folder for temporary files."""
        _SCRATCH.mkdir(exist_ok=True, mode=0o700)
        return _SCRATCH / uuid.uuid4().hex

    async def clear_scratch(self, before: datetime) -> None:
        """See `Blobs.clear_scratch`."""
        await asyncio.to_thread(_clear_scratch, before)

    @asynccontextmanager
    async def local_copy(self, key: str) -> AsyncGenerator[Path, None]:
        """See `Blobs.local_copy`: fetched into the folder for temporary files."""
        copy = self.scratch()
        try:
            with await asyncio.to_thread(copy.open, "wb") as file:
                async for piece in self.read(key):
                    await asyncio.to_thread(file.write, piece)
            yield copy
        finally:
            await asyncio.to_thread(copy.unlink, missing_ok=True)

    async def _range(self, info: BlobInfo, start: int, end: int) -> memoryview:
        with _answering():
            options: Any = {"range": (start, end), "if_match": info.e_tag}
            result = await obstore.get_async(self._store, info.key, options=options)
            return memoryview(await result.bytes_async())

    async def _delete_singly(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            try:
                with _answering():
                    await obstore.delete_async(self._store, key)
            except NotFound:
                continue


def _info(meta: ObjectMeta) -> BlobInfo:
    return BlobInfo(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


def _stored(key: str, size: int, result: PutResult) -> BlobInfo:
    return BlobInfo(key, size, result["e_tag"] or "", datetime.now(UTC))


def _clear_scratch(before: datetime) -> None:
    for path in _SCRATCH.glob("*"):
        if path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)


def _is_key(key: str) -> bool:
    """Does the client library take the key for what it says?"""
    return "\0" not in key and not any(part in ("", ".", "..") for part in key.split("/"))


def _checked(key: str) -> str:
    if not _is_key(key):
        raise NotFound("There is no such file.")
    return key


async def _next(stream: AsyncIterator[list[ObjectMeta]]) -> list[ObjectMeta]:
    with _answering():
        try:
            return await anext(stream)
        except StopAsyncIteration:
            return []


@contextmanager
def _answering() -> Generator[None, None, None]:
    """What the store says, as the errors of the library."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound("There is no such file.") from None
    except PreconditionError:
        raise StorageUnavailable("The file was replaced while it was being read.") from None
    except (BaseError, OSError) as error:
        _log.warning("The object store does not answer: %s", str(error).split("\n")[0])
        raise StorageUnavailable("The store of the files does not answer.") from error
