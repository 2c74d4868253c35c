"""A stored file of any format is complete, says how long it is, and sounds like its master."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.audio.encode import ENCODER_DELAY, output_rate
from serve_app.audio.transcode import transcode
from serve_app.audio.wav import WavWriter, pcm_bytes, streaming_header
from serve_app.domain.types import AudioFormat, Samples
from tests.audio_tools import decode, duration, lag, resample, snr, speechlike

SECONDS = 6.0123  # more than one block, no whole number of any codec's frames
EXACT = (AudioFormat.WAV, AudioFormat.PCM, AudioFormat.FLAC)
GAPLESS = (*EXACT, AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.ULAW, AudioFormat.ALAW)
DECLARED = (AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.MP3, AudioFormat.OPUS)


@pytest.fixture(scope="module", params=[24_000, 44_100])
def rate(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def speech(rate: int) -> Samples:
    return speechlike(SECONDS, rate)


@pytest.fixture
def master(tmp_path: Path, rate: int, speech: Samples) -> Path:
    path = tmp_path / "master.wav"
    with WavWriter(path, rate) as writer:
        writer.write(speech)
    return path


@pytest.mark.parametrize("format", list(AudioFormat))
def test_a_file_sounds_like_its_master(
    master: Path, speech: Samples, rate: int, format: AudioFormat
) -> None:
    path = master.with_suffix(f".out.{format}")
    transcode(master, format, path)
    got, got_rate = decode(path, format, output_rate(format, rate))
    got = got if format in GAPLESS else got[ENCODER_DELAY[format] :]
    wanted = resample(speech, rate, got_rate)
    assert len(got) == len(wanted) if format in GAPLESS else len(got) >= len(wanted)
    assert lag(wanted, got) == 0
    assert np.array_equal(got, wanted) if format in EXACT else snr(wanted, got) > 18


@pytest.mark.parametrize("format", DECLARED)
def test_a_file_declares_its_true_duration(
    master: Path, speech: Samples, rate: int, format: AudioFormat
) -> None:
    path = master.with_suffix(f".out.{format}")
    transcode(master, format, path)
    seconds = len(speech) / rate
    # FFmpeg counts the 6.5 ms that opus decoders take away.
    assert duration(path, format) == pytest.approx(seconds, abs=0.007)
    assert soundfile.info(path).duration == pytest.approx(seconds, abs=0.001)


def test_a_master_that_was_interrupted_can_be_read(tmp_path: Path) -> None:
    master, path, samples = tmp_path / "m.wav", tmp_path / "o.flac", speechlike(0.5)
    master.write_bytes(streaming_header(24_000) + pcm_bytes(samples))
    transcode(master, AudioFormat.FLAC, path)
    assert np.array_equal(decode(path, AudioFormat.FLAC)[0], samples)


@pytest.mark.parametrize("format", list(AudioFormat))
def test_an_empty_master_makes_a_file(tmp_path: Path, format: AudioFormat) -> None:
    WavWriter(tmp_path / "m.wav", 24_000).close()
    transcode(tmp_path / "m.wav", format, tmp_path / "out")
    assert (tmp_path / "out").exists()


def test_a_stereo_master_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "m.wav"), "wb") as file:
        file.setparams((2, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(400))
    with pytest.raises(ValueError, match="2 channels"):
        transcode(tmp_path / "m.wav", AudioFormat.FLAC, tmp_path / "out.flac")
    assert not (tmp_path / "out.flac").exists()
