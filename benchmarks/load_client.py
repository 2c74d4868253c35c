"""Closed-loop clients in a process of their own.

`python -m benchmarks.load_client --port 8000 --workload paragraph --clients 8 --requests 2`

All clients start together, or `--stagger` seconds one after the other; each asks again as soon as
it has heard its stream to the end, until it has made its requests. The texts depend only on the
workload and the numbers of client and request, so every server speaks the same ones. Prints one
JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.streaming import Playback, StreamError, StreamFormat, speak
from benchmarks.texts import Workload, make_text


@dataclass(frozen=True)
class Load:
    """What the clients do."""

    workload: Workload
    clients: int
    requests: int  # of each client
    stream_format: StreamFormat = "wav"
    stagger: float = 0.0  # seconds between the starts of two clients
    hang_up_after: float | None = None  # seconds; None listens to the end

    @property
    def name(self) -> str:
        """As figures name it, such as 32_paragraph_wav."""
        return f"{self.clients}_{self.workload}_{self.stream_format}"


@dataclass(frozen=True)
class LoadResult:
    """What the clients saw. Times in seconds."""

    first_audio: list[float]  # of each stream, from asking
    least_in_hand: list[float]  # of each stream; below zero its listener ran dry
    longest_gap: float
    audio_seconds: float
    wall_seconds: float
    errors: dict[str, int]

    @property
    def audio_rate(self) -> float:
        """Seconds of audio per second, all clients together."""
        return self.audio_seconds / self.wall_seconds

    @property
    def underruns(self) -> int:
        """Streams whose listener ran dry."""
        return sum(in_hand < 0 for in_hand in self.least_in_hand)

    def first_audio_ms(self, percentile: float) -> float:
        """A percentile of the time to the first byte of audio, in milliseconds."""
        return float(np.percentile(self.first_audio, percentile)) * 1000


def run_load(load: Load, port: int) -> LoadResult:
    """Run the clients in another process and wait for them.

    Raises:
        RuntimeError: no stream succeeded.
    """
    command = [sys.executable, "-m", "benchmarks.load_client", "--port", str(port)]
    command += ["--workload", load.workload, "--clients", str(load.clients)]
    command += ["--requests", str(load.requests), "--format", load.stream_format]
    command += ["--stagger", str(load.stagger)]
    if load.hang_up_after is not None:
        command += ["--hang-up-after", str(load.hang_up_after)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = LoadResult(**json.loads(done.stdout))
    if not result.first_audio:
        raise RuntimeError(f"every stream of {load.name} failed: {result.errors}")
    return result


async def drive(load: Load, port: int) -> LoadResult:
    """Run the clients here."""
    heard: list[Playback] = []
    errors: collections.Counter[str] = collections.Counter()

    async def client(number: int) -> None:
        await asyncio.sleep(number * load.stagger)
        for request in range(load.requests):
            index = number * load.requests + request
            text = make_text(load.workload, index)
            try:
                heard.append(
                    await speak(port, text, load.stream_format, index + 1, load.hang_up_after)
                )
            except (StreamError, OSError) as error:
                errors[f"{type(error).__name__}: {error}"] += 1

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(load.clients)))
    return _summary(heard, errors, time.perf_counter() - started)


def _summary(heard: list[Playback], errors: dict[str, int], wall: float) -> LoadResult:
    started = [(playback, playback.started_at) for playback in heard if playback.started_at]
    return LoadResult(
        first_audio=[at - playback.asked_at for playback, at in started],
        least_in_hand=[min(playback.least_in_hand, playback.seconds) for playback in heard],
        longest_gap=max((playback.longest_gap for playback in heard), default=0.0),
        audio_seconds=sum(playback.seconds for playback in heard),
        wall_seconds=wall,
        errors=dict(errors),
    )


def main() -> None:
    """Run one load against a port of the loopback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workload", type=Workload, choices=list(Workload), required=True)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--format", choices=["wav", "mp3"], default="wav")
    parser.add_argument("--stagger", type=float, default=0.0)
    parser.add_argument("--hang-up-after", type=float)
    options = parser.parse_args()
    load = Load(
        options.workload,
        options.clients,
        options.requests,
        options.format,
        options.stagger,
        options.hang_up_after,
    )
    print(json.dumps(asdict(asyncio.run(drive(load, options.port)))))


if __name__ == "__main__":
    main()
