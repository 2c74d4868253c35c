"""The raw engine and the encoders, in one process and one thread: what HTTP is measured against.

`python -m benchmarks.engine [--paragraphs 8]` prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from hibari import SAMPLE_RATE, Hibari

from benchmarks.texts import Workload, make_text
from serve_app.audio.encode import StreamEncoder
from serve_app.domain.types import AudioFormat


@dataclass(frozen=True)
class EngineCost:
    """What speech costs without a server. CPU in milliseconds per second of audio."""

    audio_rate: float  # seconds of audio per second
    synthesis_cpu: float
    mp3_cpu: float
    wav_cpu: float


def measure_in_process(paragraphs: int) -> EngineCost:
    """Measure in a fresh process, so that nothing else is in it."""
    command = [sys.executable, "-m", "benchmarks.engine", "--paragraphs", str(paragraphs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return EngineCost(**json.loads(done.stdout))


def measure(paragraphs: int) -> EngineCost:
    """Speak the paragraphs that the clients ask for, then encode them."""
    engine = Hibari(threads=1)
    engine("Warm up.")
    texts = [make_text(Workload.PARAGRAPH, index) for index in range(paragraphs)]
    wall, cpu = time.perf_counter(), time.process_time()
    speech = [list(engine.stream(text, seed=1)) for text in texts]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    seconds = sum(len(sentence) for sentences in speech for sentence in sentences) / SAMPLE_RATE
    pcm = [[_to_int16(sentence) for sentence in sentences] for sentences in speech]
    return EngineCost(
        audio_rate=seconds / wall,
        synthesis_cpu=cpu / seconds * 1000,
        mp3_cpu=_encoding_cpu(AudioFormat.MP3, pcm) / seconds * 1000,
        wav_cpu=_encoding_cpu(AudioFormat.WAV, pcm) / seconds * 1000,
    )


def _to_int16(audio: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return (np.clip(audio, -1, 1) * 32767).astype(np.int16)


def _encoding_cpu(audio_format: AudioFormat, speech: list[list[npt.NDArray[np.int16]]]) -> float:
    started = time.process_time()
    for sentences in speech:
        encoder = StreamEncoder(audio_format, SAMPLE_RATE)
        for sentence in sentences:
            encoder.encode(sentence)
        encoder.finish()
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paragraphs", type=int, default=8)
    print(json.dumps(asdict(measure(parser.parse_args().paragraphs))))


if __name__ == "__main__":
    main()
