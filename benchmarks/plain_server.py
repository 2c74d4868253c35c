"""The baseline: what an engineer writes in an afternoon with the same engine, uvicorn and FastAPI.

`python -m benchmarks.plain_server --port 8000 [--synthesis-threads 1]`

A sentence a chunk, as the engine's library yields them, synthesised and encoded off the event loop.
One synthesis thread is the fair counterpart of one TTS replica, which has one too; streams take
turns on it sentence by sentence, in the order in which they ask.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Literal

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from hibari import SAMPLE_RATE, Hibari
from pydantic import BaseModel

from benchmarks.plain_encode import mp3, wav

ENCODERS = {"wav": wav, "mp3": mp3}
MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


class SpeechBody(BaseModel):
    """The part of the service's request body that the benchmark uses."""

    text: str
    export_formats: list[Literal["wav", "mp3"]] = ["wav"]
    seed: int | None = None


def build_app(engine: Hibari, executor: Executor) -> FastAPI:
    """The server; every sentence is one call on the executor."""
    app = FastAPI()

    @app.get("/readyz")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/api/v1/tts")
    async def speak(body: SpeechBody) -> StreamingResponse:
        audio_format = body.export_formats[0]
        sentences = (
            (np.clip(audio, -1, 1) * 32767).astype("<i2")
            for audio in engine.stream(body.text, seed=body.seed)
        )
        encoded = ENCODERS[audio_format](sentences, SAMPLE_RATE)
        return StreamingResponse(
            on_executor(encoded, executor), media_type=MEDIA_TYPES[audio_format]
        )

    return app


async def on_executor(chunks: Iterator[bytes], executor: Executor) -> AsyncIterator[bytes]:
    """Step a blocking iterator on an executor."""
    loop = asyncio.get_running_loop()
    while (chunk := await loop.run_in_executor(executor, next, chunks, None)) is not None:
        yield chunk


def main() -> None:
    """Serve on the loopback until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--synthesis-threads", type=int, default=1)
    arguments = parser.parse_args()
    engine = Hibari(threads=1)
    engine("Warm up.")
    app = build_app(engine, ThreadPoolExecutor(arguments.synthesis_threads))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
