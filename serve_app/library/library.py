"""The library as a whole: three shelves, one catalogue, one sweeper."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from serve_app.domain.types import Shelf
from serve_app.library.blobs import open_blobs
from serve_app.library.catalogue import Catalogue
from serve_app.library.outputs import OutputShelf
from serve_app.library.shelf import FileShelf
from serve_app.library.sweep import Retention, Sweeper
from serve_app.library.tools import AudioTools


@dataclass(frozen=True, slots=True)
class LibraryOptions:
    """Where everything lies, and how long it is kept."""

    voices: str  # folder, or URL of an object store
    vc_inputs: str
    outputs: str
    database_url: str  # sqlite:///FILE or postgresql://...
    store_options: Mapping[str, str] = field(default_factory=dict[str, str])
    output_wait_s: float = 60.0  # how long a GET waits for a file that is being made
    max_age_s: float | None = None  # of outputs; None keeps them
    max_total_bytes: int | None = None
    scan_interval_s: float = 5.0  # how long a file dropped by hand may stay unlisted


@dataclass(frozen=True)
class Library:
    """What `open` put together."""

    voices: FileShelf
    vc_inputs: FileShelf
    outputs: OutputShelf
    sweeper: Sweeper  # whoever opens the library runs it: `asyncio.create_task(sweeper.run())`
    catalogue: Catalogue

    @classmethod
    async def open(cls, options: LibraryOptions, tools: AudioTools) -> Self:
        """Connect to the stores, and bring the database up to date.

        Raises:
            ValueError: a URL is not understood.
            StorageUnavailable: the database does not answer.
        """
        roots = (options.voices, options.vc_inputs, options.outputs)
        blobs = await asyncio.to_thread(
            lambda: [open_blobs(root, options.store_options) for root in roots]
        )
        catalogue = await Catalogue.open(options.database_url)
        voices = FileShelf(Shelf.VOICES, blobs[0], catalogue, tools)
        inputs = FileShelf(Shelf.VC_INPUTS, blobs[1], catalogue, tools)
        outputs = OutputShelf(blobs[2], catalogue, tools, options.output_wait_s)
        retention = Retention(options.max_age_s, options.max_total_bytes)
        sweeper = Sweeper(catalogue, (voices, inputs), outputs, retention, options.scan_interval_s)
        return cls(voices, inputs, outputs, sweeper, catalogue)

    async def close(self) -> None:
        """Finish what is being made, write what is still to be written, and disconnect."""
        try:
            await self.outputs.close()
            await self.voices.write_usage()
            await self.vc_inputs.write_usage()
        finally:
            await self.catalogue.close()
