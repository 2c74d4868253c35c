"""What is open while the API runs: the library with its sweeper, and the services over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from serve_app.api.audio_tools import audio_tools
from serve_app.api.services import Services
from serve_app.domain.protocols import ConversionBackend, SpeechBackend
from serve_app.library.library import Library, LibraryOptions
from serve_app.observability.metrics import Recorder
from serve_app.settings import Settings

_SECONDS_PER_HOUR = 3600
_BYTES_PER_MB = 1_000_000


@asynccontextmanager
async def open_services(
    settings: Settings,
    speech: SpeechBackend,
    conversion: ConversionBackend,
    recorder: Recorder | None = None,
) -> AsyncGenerator[Services]:
    """The services of one process, as long as the block lasts."""
    library = await Library.open(library_options(settings), audio_tools(settings.limits))
    sweeping = asyncio.create_task(library.sweeper.run())
    try:
        yield Services(settings, speech, conversion, library, recorder)
    finally:
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await library.close()


def library_options(settings: Settings) -> LibraryOptions:
    """The library's part of the settings."""
    storage = settings.storage
    hours, megabytes = storage.outputs_max_age_hours, storage.outputs_max_total_mb
    return LibraryOptions(
        voices=storage.voices,
        vc_inputs=storage.vc_inputs,
        outputs=storage.outputs,
        database_url=storage.database_url,
        store_options=storage.options,
        output_wait_s=settings.limits.output_wait_s,
        max_age_s=None if hours is None else hours * _SECONDS_PER_HOUR,
        max_total_bytes=None if megabytes is None else round(megabytes * _BYTES_PER_MB),
        scan_interval_s=storage.scan_interval_s,
    )
