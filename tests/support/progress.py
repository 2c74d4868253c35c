"""Is a stream progressive: does the client hold the first audio before the rest exists?"""

from __future__ import annotations

import time

import httpx

from serve_app.audio.encode import HELD_BACK_MS
from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import SAMPLE_RATE, speech_of

CHUNK_DELAY_S = 0.2
CHUNKS = tuple(f"The {which} one is here." for which in ("first", "second", "third", "last"))


def assert_progressive(client: httpx.Client, audio_format: AudioFormat) -> None:
    """With a fake engine that makes a chunk each 200 ms, the first has arrived, less what the
    encoder may hold back, two and a half chunks' time before the end: before the second was made.
    """
    body = {"text": " ".join(CHUNKS), "seed": 1, "export_formats": [audio_format]}
    with client.stream("POST", "/api/v1/tts", json=body) as response:
        arrivals = [(time.monotonic(), len(data)) for data in response.iter_raw()]
    end = arrivals[-1][0]
    whole = sum(size for _, size in arrivals)
    early = sum(size for when, size in arrivals if when < end - 2.5 * CHUNK_DELAY_S)
    first_ms = 1000 * len(speech_of(CHUNKS[0], 1)) / SAMPLE_RATE
    fair_share = (first_ms - HELD_BACK_MS[audio_format]) / (len(CHUNKS) * first_ms)
    assert early / whole > 0.7 * fair_share, arrivals
