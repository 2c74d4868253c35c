"""The size of a stored file is known before it is made, to the byte."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serve_app.audio.sizes import stored_size
from serve_app.audio.transcode import transcode
from serve_app.audio.wav import WavWriter
from serve_app.domain.types import AudioFormat

RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
UNKNOWN = (AudioFormat.FLAC, AudioFormat.OPUS)
KNOWN = [format for format in AudioFormat if format not in UNKNOWN]


def size_on_disk(format: AudioFormat, samples: int, rate: int) -> int:
    noise = np.random.default_rng(samples).normal(0, 8000, samples).clip(-32768, 32767)
    with tempfile.TemporaryDirectory() as folder:
        master, stored = Path(folder, "master.wav"), Path(folder, "stored")
        with WavWriter(master, rate) as writer:
            writer.write(noise.astype(np.int16))
        transcode(master, format, stored)
        return stored.stat().st_size


@pytest.mark.parametrize("format", KNOWN)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(samples=st.integers(0, 200_000), rate=st.sampled_from(RATES))
@example(samples=0, rate=24_000)
@example(samples=1, rate=24_000)
@example(samples=100, rate=24_000)
@example(samples=65_537, rate=44_100)  # one more than the block transcode reads
@example(samples=31, rate=11_025)
def test_the_size_is_that_of_the_file(format: AudioFormat, samples: int, rate: int) -> None:
    assert stored_size(format, samples, rate) == size_on_disk(format, samples, rate)


@pytest.mark.parametrize("format", UNKNOWN)
def test_what_depends_on_the_sound_has_no_size_yet(format: AudioFormat) -> None:
    assert stored_size(format, 24_000, 24_000) is None
