"""Making a promised format from its master, when somebody asks for it first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from serve_app.domain.errors import NotFound
from serve_app.domain.types import AudioFormat, Shelf
from serve_app.library.blobs import BlobInfo, Blobs
from serve_app.library.catalogue import Catalogue
from serve_app.library.entries import Entry
from serve_app.library.tools import AudioTools


class FormatMaker:
    """Makes each file once in a process, however many ask for it.

    Two processes may both make it: their bytes are the same, and the first to finish stores them.
    """

    def __init__(self, blobs: Blobs, catalogue: Catalogue, tools: AudioTools) -> None:
        self._blobs = blobs
        self._catalogue = catalogue
        self._tools = tools
        self._making: dict[str, asyncio.Task[BlobInfo]] = {}

    async def make(self, entry: Entry) -> BlobInfo:
        """Store the file of `entry`. Whoever asked may leave: the work is finished for others.

        Raises:
            NotFound: its master is gone, or it was deleted meanwhile.
        """
        task = self._making.get(entry.path)
        if task is None:
            task = asyncio.create_task(self._make(entry))
            task.add_done_callback(partial(self._forget, entry.path))
            self._making[entry.path] = task
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what is being made."""
        await asyncio.gather(*self._making.values(), return_exceptions=True)

    def _forget(self, path: str, task: asyncio.Task[BlobInfo]) -> None:
        del self._making[path]
        if not task.cancelled():
            task.exception()  # looked at here too: who asked may have left

    async def _make(self, entry: Entry) -> BlobInfo:
        scratch = self._blobs.scratch()
        audio_format = AudioFormat(entry.audio.format)
        try:
            async with self._blobs.local_copy(entry.master) as master:
                await self._tools.run(lambda: self._tools.transcode(master, audio_format, scratch))
            async with self._catalogue.claim(Shelf.OUTPUTS, entry.path) as claim:
                if claim.entry is None:
                    raise NotFound("The output has been deleted.")
                info = await self._blobs.head(entry.path)
                info = info or await self._blobs.put_file(entry.path, scratch)
                sized = replace(claim.entry.audio, size_bytes=info.size)
                await claim.save(replace(claim.entry, audio=sized, e_tag=info.e_tag))
                return info
        finally:
            await asyncio.to_thread(scratch.unlink, missing_ok=True)
