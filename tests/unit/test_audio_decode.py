"""What people send becomes 16-bit mono at 24 kHz and still sounds like it did."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import numpy as np
import pytest

from serve_app.audio.decode import LIBRARY_RATE, Bounds, Decoded, decode, inspect, normalise
from serve_app.audio.wav import WavWriter, pcm_bytes
from serve_app.domain.errors import FileTooLarge, InvalidAudio
from serve_app.domain.types import Samples
from tests.audio_tools import lag, resample, snr, speechlike
from tests.support.hostile import BOUNDS
from tests.support.recordings import GOOD, GoodFile, plain_wav, speech, with_soundfile


def stored(folder: Path, content: bytes) -> Path:
    path = folder / "no-extension-at-all"
    path.write_bytes(content)
    return path


def samples_of(path: Path) -> Samples:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getframerate() == LIBRARY_RATE
        return np.frombuffer(file.readframes(-1), np.int16)


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_a_file_of_any_kind_becomes_speech_of_the_library(tmp_path: Path, good: GoodFile) -> None:
    source, destination = stored(tmp_path, good.content()), tmp_path / "library.wav"
    facts = normalise(source, destination, BOUNDS)
    got = samples_of(destination)
    wanted = resample(speech(good.sample_rate), good.sample_rate, LIBRARY_RATE)
    late = lag(wanted, got)
    assert 0 <= late <= good.delay
    assert snr(wanted, got[late:]) > good.snr
    assert len(got) == pytest.approx(len(wanted), abs=0.15 * LIBRARY_RATE)
    digest = hashlib.sha256(pcm_bytes(got)).hexdigest()
    size = destination.stat().st_size
    assert facts == Decoded("wav", len(got) / LIBRARY_RATE, LIBRARY_RATE, size, digest, True)


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_the_facts_of_a_file_as_it_lies_there(tmp_path: Path, good: GoodFile) -> None:
    source, destination = stored(tmp_path, good.content()), tmp_path / "library.wav"
    facts = inspect(source, BOUNDS)
    assert (facts.format, facts.sample_rate) == (good.format, good.sample_rate)
    assert facts.size_bytes == len(good.content())
    assert facts.digest == normalise(source, destination, BOUNDS).digest
    assert facts.is_plain == (good.name == "wav plain")


def test_what_was_normalised_is_plain_and_stays_the_same(tmp_path: Path) -> None:
    source = stored(tmp_path, plain_wav(48_000))
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    facts = normalise(source, first, BOUNDS)
    assert inspect(first, BOUNDS) == facts == normalise(first, second, BOUNDS)
    assert first.read_bytes() == second.read_bytes()


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = speechlike(0.5, seed=1), speechlike(0.5, seed=2)
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setparams((2, 2, LIBRARY_RATE, 0, "NONE", ""))
        file.writeframes(np.column_stack([left, right]).tobytes())
    got = np.concatenate(list(decode(tmp_path / "stereo.wav", BOUNDS)))
    mean = (left.astype(float) + right) / 2
    assert np.abs(got - mean).max() <= 0.5


def test_full_scale_in_every_channel_neither_wraps_nor_clips(tmp_path: Path) -> None:
    square = np.repeat(np.tile([32767, -32768], 50), 100).astype("<i2")
    with wave.open(str(tmp_path / "loud.wav"), "wb") as file:
        file.setparams((8, 2, LIBRARY_RATE, 0, "NONE", ""))
        file.writeframes(np.repeat(square, 8).tobytes())
    got = np.concatenate(list(decode(tmp_path / "loud.wav", BOUNDS)))
    assert np.array_equal(got, square)


def test_float_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    data = bytearray(with_soundfile("WAV", "FLOAT", LIBRARY_RATE))
    data[-400:] = np.full(100, 3.0, "<f4").tobytes()
    got = np.concatenate(list(decode(stored(tmp_path, bytes(data)), BOUNDS)))
    assert (got[-100:] == 32767).all()


def test_pieces_are_at_most_a_second(tmp_path: Path) -> None:
    source = stored(tmp_path, with_soundfile("WAV", "PCM_16", 4_000, seconds=9))
    sizes = [len(piece) for piece in decode(source, BOUNDS)]
    assert max(sizes) <= LIBRARY_RATE
    assert sum(sizes) == pytest.approx(9 * LIBRARY_RATE, abs=10)


@pytest.mark.parametrize(
    ("bounds", "error", "says"),
    [
        (Bounds(1000, 600, 150), FileTooLarge, "at most 1000"),
        (Bounds(10**8, 1, 150), InvalidAudio, "longer than 1 seconds"),
        (Bounds(10**8, 600, 150, min_seconds=2), InvalidAudio, "1.250 seconds long"),
        (Bounds(10**8, 600, 150, max_channels=1), InvalidAudio, "2 channels"),
        (Bounds(10**8, 600, 150, max_rate=44_099), InvalidAudio, "44100 Hz"),
        (Bounds(10**8, 600, 150, min_rate=44_101), InvalidAudio, "44100 Hz"),
    ],
)
@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")])
def test_every_bound_is_kept(
    tmp_path: Path,
    kind: tuple[str, str],
    bounds: Bounds,
    error: type[InvalidAudio | FileTooLarge],
    says: str,
) -> None:
    source = stored(tmp_path, with_soundfile(*kind, channels=2))
    with pytest.raises(error, match=says):
        normalise(source, tmp_path / "library.wav", bounds)
    assert not (tmp_path / "library.wav").exists()


def test_a_long_file_that_holds_what_it_weighs_is_no_bomb(tmp_path: Path) -> None:
    source = tmp_path / "long.wav"
    with WavWriter(source, LIBRARY_RATE) as writer:
        for _ in range(5):
            writer.write(speech(LIBRARY_RATE, 60.0))
    bounds = Bounds(max_bytes=10**8, max_seconds=600, max_expansion=2)
    assert inspect(source, bounds).seconds == 300


def test_a_source_that_is_not_there_is_no_fault_of_the_client(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        normalise(tmp_path / "absent", tmp_path / "library.wav", BOUNDS)
    assert not (tmp_path / "library.wav").exists()
