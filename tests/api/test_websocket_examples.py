"""The examples of docs/websocket.md do what they promise."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

from examples.websocket_client import ANSWER
from tests.support.direct import RunningApi

ROOT = Path(__file__).parents[2]


def test_the_client_saves_the_speech_and_prints_its_words(api: RunningApi, tmp_path: Path) -> None:
    saved = tmp_path / "answer.wav"
    example = ROOT / "examples" / "websocket_client.py"
    printed = subprocess.run(
        [sys.executable, example, api.url, saved], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line.split()[-1] for line in printed[:-1]] == ANSWER.split()
    with wave.open(str(saved)) as file:
        seconds = file.getnframes() / file.getframerate()
    assert printed[-1] == f"{seconds:.2f} seconds of audio in {saved}"
    assert float(printed[-2].split()[1]) <= seconds
