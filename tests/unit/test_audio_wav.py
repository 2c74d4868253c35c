"""WAV headers are read by everything that reads WAV."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.audio.wav import UNKNOWN_SIZE, WavWriter, header, pcm_bytes, streaming_header
from serve_app.domain.types import AudioFormat, Samples
from tests.audio_tools import decode, duration, speechlike

RATE = 24_000
SPEECH = speechlike(0.5, RATE)


def read_with_wave(data: bytes) -> tuple[Samples, int]:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(1 << 24), "<i2").astype(np.int16), file.getframerate()


def read_with_soundfile(data: bytes) -> tuple[Samples, int]:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    return samples, rate


def read_with_ffmpeg(data: bytes) -> tuple[Samples, int]:
    return decode(data, AudioFormat.WAV)


READERS = [read_with_wave, read_with_soundfile, read_with_ffmpeg]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("head", [streaming_header(RATE), header(RATE, len(SPEECH))])
def test_every_reader_finds_every_sample(read, head: bytes) -> None:
    samples, rate = read(head + pcm_bytes(SPEECH))
    assert rate == RATE
    assert np.array_equal(samples, SPEECH)


def test_a_header_is_44_bytes_and_counts_what_follows() -> None:
    data = header(RATE, len(SPEECH)) + pcm_bytes(SPEECH)
    assert len(header(RATE, 0)) == len(streaming_header(RATE)) == 44
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert int.from_bytes(data[40:44], "little") == len(data) - 44


def test_a_stream_declares_an_unknown_size_and_shows_its_true_duration() -> None:
    data = streaming_header(RATE) + pcm_bytes(SPEECH)
    assert int.from_bytes(data[4:8], "little") == UNKNOWN_SIZE
    assert int.from_bytes(data[40:44], "little") == UNKNOWN_SIZE
    assert duration(data, AudioFormat.WAV) == pytest.approx(0.5, abs=1e-3)


def test_more_than_riff_can_count_gets_the_streaming_header() -> None:
    assert header(RATE, 1 << 31) == streaming_header(RATE)
    assert header(RATE, (1 << 31) - 100) != streaming_header(RATE)


def test_pcm_is_little_endian_and_exact() -> None:
    assert pcm_bytes(np.array([1, -2, 32767, -32768], np.int16)) == bytes.fromhex(
        "0100feffff7f0080"
    )
    assert pcm_bytes(SPEECH[::2]) == SPEECH[::2].astype("<i2").tobytes()


def test_a_closed_writer_leaves_a_true_header(tmp_path: Path) -> None:
    path = tmp_path / "master.wav"
    with WavWriter(path, RATE) as writer:
        writer.write(SPEECH[:100])
        writer.write(SPEECH[100:])
        assert writer.samples == len(SPEECH)
    writer.close()
    assert path.read_bytes() == header(RATE, len(SPEECH)) + pcm_bytes(SPEECH)


def test_an_interrupted_writer_leaves_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "master.wav"
    writer = WavWriter(path, RATE)
    writer.write(np.tile(SPEECH, 20))
    so_far, _ = read_with_ffmpeg(path.read_bytes())
    assert len(so_far)
    assert np.array_equal(so_far, np.tile(SPEECH, 20)[: len(so_far)])
    writer.close()
