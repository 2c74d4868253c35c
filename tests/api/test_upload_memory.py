"""An upload of any size is taken in with the memory of a few pieces of it."""

from __future__ import annotations

import subprocess
import tracemalloc
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve_app.api.intake import CHUNK_BYTES
from tests.support.direct import RunningApi


@pytest.mark.parametrize("seconds", [30, 300])
def test_memory_stays_under_three_pieces(
    api: RunningApi, tmp_path: Path, need_program: Callable[[str], str], seconds: int
) -> None:
    curl = need_program("curl")  # a process of its own: what the client holds does not count
    for length in (1, seconds):  # the first is for what is loaded once
        _write_noise(tmp_path / "noise.wav", length)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        status = _upload(curl, tmp_path / "noise.wav", f"{api.url}/api/v1/vc_input")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert status == "200"
    assert (tmp_path / "noise.wav").stat().st_size > 5 * CHUNK_BYTES
    assert peak - before < 3 * CHUNK_BYTES


def _upload(curl: str, file: Path, url: str) -> str:
    form = ["-F", f"vc_input_file=@{file}", "-F", "overwrite=true"]
    command = [curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", *form, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def _write_noise(path: Path, seconds: int, rate: int = 44_100) -> None:
    random = np.random.default_rng(1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        for _ in range(seconds):
            file.writeframes((3000 * random.standard_normal(2 * rate)).astype("<i2").tobytes())
