"""Where the bytes lie: one root of the library, in a local folder or in an object store.

A blob is there as a whole or not at all: a new one replaces the old one at once, and who is reading
never gets a mixture of both. Keys are relative paths with "/"; those with a segment that
begins with a dot are the library's own and are listed only when asked for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

PIECE_BYTES = 256 * 1024
SCRATCH_FOLDER = ".scratch"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a store says of a blob without reading it."""

    key: str
    size: int  # bytes
    e_tag: str  # another one whenever the content is another one
    modified: datetime  # UTC, aware


class Blobs(Protocol):
    """One root. Every method raises StorageUnavailable where the store does not answer."""

    async def head(self, key: str) -> BlobInfo | None:
        """What is known of a blob; None if there is none."""
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """Bytes `start` up to `end` (exclusive; None is the end) in pieces of at most 256 KiB.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def read_all(self, key: str, limit: int) -> bytes:
        """The whole blob, or its first `limit` bytes.

        Raises:
            NotFound: there is no such blob.
        """
        ...

    async def put_file(self, key: str, path: Path) -> BlobInfo:
        """Store a local file and take it away: moved where the root is a folder, else uploaded.

        Raises:
            InvalidRequest: a folder has that name, or a file the name of one of its folders.
        """
        ...

    async def put_bytes(self, key: str, data: bytes) -> BlobInfo:
        """Store a small blob.

        Raises:
            InvalidRequest: as with `put_file`.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove blobs, in no order; missing ones are fine."""
        ...

    def list(self, prefix: str = "", hidden: bool = False) -> AsyncGenerator[BlobInfo, None]:
        """All blobs below the folder `prefix`, in no order."""
        ...

    def scratch(self) -> Path:
        """A new name for a local file from which `put_file` is cheap; nothing is created."""
        ...

    async def clear_scratch(self, before: datetime) -> None:
        """Remove this machine's scratch files last written to before a moment."""
        ...

    def local_copy(self, key: str) -> AbstractAsyncContextManager[Path]:
        """The blob as a local file, not to be written to, for as long as the block lasts.

        Raises:
            NotFound: there is no such blob.
        """
        ...


def open_blobs(root: str, options: Mapping[str, str] | None = None) -> Blobs:
    """The root at a folder's path, or at a URL such as s3://bucket/prefix (also gs://, az://).

    `options` are those of obstore's store for that URL (endpoint, region, access_key_id,
    allow_http ...); a folder takes none of them. The folder is created.

    Raises:
        ValueError: the URL or an option is not understood.
    """
    # Imported here: a folder needs no object store client, and a store no folder.
    if "://" in root and not root.startswith("file://"):
        from serve_app.library.remote_blobs import RemoteBlobs

        return RemoteBlobs(root, options or {})
    from serve_app.library.folder_blobs import FolderBlobs

    return FolderBlobs(Path(root.removeprefix("file://")))
