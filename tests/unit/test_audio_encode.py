"""Every format is one valid container that holds what was pushed, soon after it was pushed."""

from __future__ import annotations

import gc
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.audio import wav
from serve_app.audio.adts import HEADER_BYTES, pad_frame
from serve_app.audio.encode import (
    ENCODER_DELAY,
    HELD_BACK_MS,
    StreamEncoder,
    media_type,
    output_rate,
)
from serve_app.domain.types import AudioFormat, Samples
from tests.audio_tools import cut, decode, duration, lag, resample, snr, speechlike

RATE = 24_000
EXACT = (AudioFormat.WAV, AudioFormat.PCM, AudioFormat.FLAC)
HEADERLESS = (AudioFormat.PCM, AudioFormat.ULAW, AudioFormat.ALAW)
SNR_DB = {
    AudioFormat.MP3: 20,
    AudioFormat.OPUS: 18,
    AudioFormat.AAC: 20,
    AudioFormat.ULAW: 33,
    AudioFormat.ALAW: 33,
}
OPUS_RATE = 48_000
FORMATS = list(AudioFormat)


def encoded(format: AudioFormat, pieces: list[Samples], rate: int = RATE) -> bytes:
    encoder = StreamEncoder(format, rate)
    return b"".join([*[encoder.encode(piece) for piece in pieces], encoder.finish()])


def heard(data: bytes, format: AudioFormat, rate: int = RATE) -> Samples:
    """What a player plays, less the delay of the encoder."""
    return decode(data, format, output_rate(format, rate))[0][ENCODER_DELAY[format] :]


def decoded_rate(format: AudioFormat, rate: int) -> int:
    return OPUS_RATE if format is AudioFormat.OPUS else output_rate(format, rate)


@cache
def speech_and_bytes(format: AudioFormat) -> tuple[Samples, bytes]:
    speech = speechlike(1.2, RATE, seed=7)
    return speech, encoded(format, [speech])


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_decodes_to_what_was_pushed(format: AudioFormat, rate: int) -> None:
    speech = speechlike(2.0, rate)
    got = heard(encoded(format, [speech], rate), format, rate)
    wanted = resample(speech, rate, decoded_rate(format, rate))
    if format in EXACT:
        assert np.array_equal(got, wanted)
    else:
        assert lag(wanted, got) == 0
        assert len(got) >= len(wanted)
        assert snr(wanted, got) > SNR_DB[format]


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 9_000), max_size=12))
@pytest.mark.parametrize("format", FORMATS)
def test_the_cut_into_pieces_is_not_heard(format: AudioFormat, sizes: list[int]) -> None:
    speech, at_once = speech_and_bytes(format)
    assert encoded(format, cut(speech, sizes)) == at_once


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("format", FORMATS)
def test_no_more_is_held_back_than_documented(format: AudioFormat, rate: int) -> None:
    speech, piece, data = speechlike(1.0, rate), rate // 50, b""
    encoder = StreamEncoder(format, rate)
    for end in range(piece, len(speech) + 1, piece):
        data += encoder.encode(speech[end - piece : end])
        out = seconds_so_far(data, format, rate)
        assert end / rate - out <= HELD_BACK_MS[format] / 1000
    assert HELD_BACK_MS[format] <= 250


def seconds_so_far(data: bytes, format: AudioFormat, rate: int) -> float:
    try:
        return len(heard(data, format, rate)) / decoded_rate(format, rate)
    except (av.error.InvalidDataError, EOFError):  # not one whole frame yet
        return 0.0


@pytest.mark.parametrize("seconds", [0.3, 2.0, 12.0])
@pytest.mark.parametrize("lead", [0.0, 1.0])
@pytest.mark.parametrize(
    "format", [AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC]
)
def test_a_saved_stream_shows_its_true_duration(
    format: AudioFormat, lead: float, seconds: float
) -> None:
    silence = np.zeros(round(lead * RATE), np.int16)
    shown = duration(encoded(format, [silence, speechlike(seconds, RATE)]), format)
    assert shown == pytest.approx(lead + seconds, abs=0.1)  # the codec's delay and last frame


@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_has_one_header_and_the_same_bytes_every_time(format: AudioFormat) -> None:
    speech, data = speech_and_bytes(format)
    assert encoded(format, [speech]) == data
    for mark in (b"RIFF", b"fLaC", b"OpusHead"):
        assert data.count(mark) <= 1


@pytest.mark.parametrize("format", [AudioFormat.WAV, AudioFormat.FLAC, AudioFormat.OPUS])
def test_the_header_leaves_at_once(format: AudioFormat) -> None:
    assert StreamEncoder(format, RATE).encode(np.zeros(0, np.int16))


def test_wav_and_pcm_are_the_samples_themselves() -> None:
    speech, data = speech_and_bytes(AudioFormat.PCM)
    assert data == wav.pcm_bytes(speech)
    assert speech_and_bytes(AudioFormat.WAV)[1] == wav.streaming_header(RATE) + data


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("samples", [0, 1, 100])
def test_almost_nothing_is_encoded_too(format: AudioFormat, samples: int) -> None:
    data = encoded(format, [np.full(samples, 1000, np.int16)])
    if samples == 100:
        got = heard(data, format)
        assert len(got) >= 100 * decoded_rate(format, RATE) // RATE


@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_may_be_dropped(format: AudioFormat) -> None:
    encoder = StreamEncoder(format, RATE)
    encoder.encode(speechlike(0.2, RATE))
    del encoder
    gc.collect()


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(RATE, np.int16),
        np.where(np.arange(RATE) // 60 % 2, 32767, -32768).astype(np.int16),
        np.random.default_rng(1).integers(-32768, 32767, RATE).astype(np.int16),
    ],
    ids=["silence", "square", "noise"],
)
def test_every_aac_frame_is_of_one_size_and_decodes(signal: Samples) -> None:
    data = encoded(AudioFormat.AAC, [signal])
    sizes = {len(frame) for frame in adts_frames(data)}
    assert len(sizes) == 1
    assert len(heard(data, AudioFormat.AAC)) >= len(signal)


def adts_frames(data: bytes) -> list[bytes]:
    frames: list[bytes] = []
    while data:
        assert data[0] == 0xFF
        length = (int.from_bytes(data[:HEADER_BYTES]) >> 13) & 0x1FFF
        frames.append(data[:length])
        data = data[length:]
    return frames


@pytest.mark.parametrize("extra", [*range(1, 40), 260, 285, 286, 287, 300, 600])
def test_padding_does_not_change_what_an_aac_frame_decodes_to(extra: int) -> None:
    data = speech_and_bytes(AudioFormat.AAC)[1]
    padded = b"".join(pad_frame(frame, len(frame) + extra) for frame in adts_frames(data))
    assert len(padded) == len(data) + extra * len(adts_frames(data))
    assert np.array_equal(heard(padded, AudioFormat.AAC), heard(data, AudioFormat.AAC))


def test_media_types_are_those_of_the_contract() -> None:
    assert [media_type(format) for format in FORMATS] == [
        "audio/wav",
        "audio/mpeg",
        "audio/flac",
        "audio/ogg",
        "audio/aac",
        "audio/pcm;rate=24000",
        "audio/basic",
        "audio/PCMA",
    ]
    assert media_type(AudioFormat.PCM, 16_000) == "audio/pcm;rate=16000"


def test_the_output_rate_is_what_a_client_must_know() -> None:
    assert output_rate(AudioFormat.ULAW, RATE) == output_rate(AudioFormat.ALAW, RATE) == 8_000
    assert {output_rate(f, RATE) for f in FORMATS if f not in HEADERLESS[1:]} == {RATE}
    assert output_rate(AudioFormat.MP3, 8_000) == 16_000
