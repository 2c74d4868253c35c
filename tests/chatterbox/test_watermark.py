"""The watermark in a stream: detected in all that the server sends, and not to be heard in it."""

from __future__ import annotations

from functools import cache

import numpy as np
import perth
import pytest
import soxr
import torch

from serve_app.audio.encode import ENCODER_DELAY, StreamEncoder, output_rate
from serve_app.domain.types import AudioFormat, Samples
from serve_app.engines.chatterbox.watermark import LAG, FloatArray, Watermarker
from tests.audio_tools import decode
from tests.support.voices import RATE, recording

VOICES = ("en_sarah", "de_Anton")
CHUNKS = {"a tenth": 0.1, "a quarter": 0.25, "a second": 1.0, "the whole": 60.0}
YES = 0.5  # where perth itself rounds up


@cache
def watermarker() -> Watermarker:
    return Watermarker()


@cache
def speech(voice: str = VOICES[0]) -> FloatArray:
    return (recording(voice) / 32768.0).astype(np.float32)


def pieces(signal: FloatArray, seconds: float) -> list[FloatArray]:
    stream, size = watermarker().stream(), round(seconds * RATE)
    pushed = [stream.push(signal[start : start + size]) for start in range(0, len(signal), size)]
    return [*pushed, stream.finish()]


@cache
def marked(voice: str = VOICES[0], seconds: float = CHUNKS["a quarter"]) -> FloatArray:
    return np.concatenate(pieces(speech(voice), seconds))


def level(signal: FloatArray) -> float:
    """RMS in dB."""
    return float(10 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-20))


@pytest.mark.parametrize("seconds", CHUNKS.values(), ids=CHUNKS)
@pytest.mark.parametrize("voice", VOICES)
def test_speech_is_marked_however_it_is_cut(voice: str, seconds: float) -> None:
    assert watermarker().detect(marked(voice, seconds), RATE) > 0.99


@pytest.mark.parametrize("voice", ["en_karen", *VOICES])
def test_speech_is_not_taken_for_marked(voice: str) -> None:
    assert watermarker().detect(speech(voice), RATE) < YES


@pytest.mark.parametrize("format", list(AudioFormat))
def test_the_mark_outlives_every_format(format: AudioFormat) -> None:
    assert confidence_in(format, marked()) > 0.9
    assert confidence_in(format, speech()) < YES


def confidence_in(format: AudioFormat, signal: FloatArray) -> float:
    encoder = StreamEncoder(format, RATE)
    data = encoder.encode(to_pcm(signal)) + encoder.finish()
    samples, rate = decode(data, format, output_rate(format, RATE))
    heard = samples[ENCODER_DELAY[format] :] / np.float32(32768)
    return watermarker().detect(heard.astype(np.float32), rate)


def to_pcm(signal: FloatArray) -> Samples:
    return np.rint(np.clip(signal, -1, 1) * 32767).astype(np.int16)


def test_the_mark_is_that_which_perth_gives_a_file() -> None:
    """Most of the difference is that perth resamples to 32 kHz and back."""
    signal = speech("de_Anton")
    whole = perth_marked(signal)
    count = len(whole)  # perth drops what does not fill its last 10 ms
    mark = level(whole - signal[:count])
    assert level(marked("de_Anton", 60.0)[:count] - whole) < mark - 28
    assert level(marked("de_Anton", 0.1)[:count] - whole) < mark - 15


def test_after_a_cut_the_mark_is_as_without() -> None:
    """But for what the encoder could not look ahead to: 15 frames and their windows."""
    stream, cut_at, ahead = watermarker().stream(), RATE, 15 * 240 + 2 * 1536
    before, after = stream.push(speech()[:cut_at]), stream.push(speech()[cut_at : 3 * RATE])
    both = np.concatenate([before, after])
    exact = slice(cut_at + 1, len(both) - ahead)
    assert np.abs(both - marked(seconds=60.0)[: len(both)])[exact].max() < 1e-5


@cache
def _perth() -> perth.PerthImplicitWatermarker:
    return perth.PerthImplicitWatermarker()


def perth_marked(signal: FloatArray) -> FloatArray:
    with torch.inference_mode():
        return _perth().apply_watermark(signal, RATE)


@pytest.mark.parametrize("count", [0, 1, 767, 768, 769, 1535, 1536, 2400, 12_345])
@pytest.mark.parametrize("size", [7, 479, 5_000])
def test_as_many_samples_come_out_as_went_in(count: int, size: int) -> None:
    assert sum(map(len, pieces(speech()[:count], size / RATE))) == count


@pytest.mark.parametrize("size", [1, 240, 777, 2_400])
def test_what_is_held_back_is_bounded(size: int) -> None:
    stream, held = watermarker().stream(), []
    total = 0
    for samples in np.split(speech()[: 20 * size], 20):
        total += size - len(stream.push(samples))
        held.append(total)
    assert max(held) <= LAG


def test_nothing_is_shifted_or_changed_above_two_kilohertz() -> None:
    change = np.abs(np.fft.rfft((marked() - speech()) * np.hanning(len(speech())))) ** 2
    original = np.abs(np.fft.rfft(speech() * np.hanning(len(speech())))) ** 2
    hertz = np.fft.rfftfreq(len(speech()), 1 / RATE)
    assert 10 * np.log10(change[hertz > 2_100].sum() / original[hertz > 2_100].sum()) < -50
    assert -20 < 10 * np.log10(change.sum() / original.sum()) < -10


def test_joints_do_not_stand_out() -> None:
    """Neither in the steps of what was added nor in its bends."""
    parts = pieces(speech(), 0.1)
    added = np.concatenate(parts).astype(np.float64) - speech()
    joints = np.cumsum([len(part) for part in parts])[:-1]
    for order in (1, 2):
        differences = np.abs(np.diff(added, order))
        at_joints = np.concatenate([differences[j - 3 : j + 2] for j in joints if j > 3])
        for quantile in (0.5, 0.9, 0.99):
            usual = np.quantile(differences, quantile)
            assert np.quantile(at_joints, quantile) < 1.5 * usual


def test_silence_stays_silent() -> None:
    assert not np.concatenate(pieces(np.zeros(RATE, np.float32), 0.1)).any()


def test_streams_do_not_hear_each_other() -> None:
    one, other = watermarker().stream(), watermarker().stream()
    out = []
    for start in range(0, len(speech()), RATE // 4):
        out.append(one.push(speech()[start : start + RATE // 4]))
        other.push(speech(VOICES[1])[start : start + RATE // 4])
    assert np.array_equal(np.concatenate([*out, one.finish()]), marked())


@pytest.mark.parametrize("count", [0, 100, 1_000, RATE])
def test_nothing_is_detected_in_silence(count: int) -> None:
    assert watermarker().detect(np.zeros(count, np.float32), RATE) == 0.0


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_a_moment_of_sound_can_be_asked_about(rate: int) -> None:
    sound = soxr.resample(speech()[RATE : 2 * RATE], RATE, rate)
    for count in (1, round(0.04 * rate), round(0.051 * rate)):
        assert 0.0 <= watermarker().detect(sound[:count], rate) <= 1.0


def test_it_says_what_is_wrong_where_perth_has_no_watermarker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(perth, "PerthImplicitWatermarker", None)
    with pytest.raises(RuntimeError, match="setuptools < 81"):
        Watermarker()


def test_loading_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Watermarker()
    assert capsys.readouterr().out == ""
