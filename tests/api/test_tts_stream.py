"""POST /api/v1/tts in stream mode: contract sections 1 and 2."""

from __future__ import annotations

import io
import re
import wave

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import SAMPLE_RATE, FakeEngine, speech_of
from tests.audio_tools import decode
from tests.support.direct import RunningApi, running_api, wait_until
from tests.support.progress import assert_progressive

ONE = "The quick brown fox jumps over the lazy dog."
FOUR = "The first one is here. The second one is here. The third one is here. The last one is here."
FOUR_CHUNKS = re.split(r"(?<=\.) ", FOUR)
CONTENT_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "pcm": "audio/pcm;rate=24000",
    "ulaw": "audio/basic",
    "alaw": "audio/PCMA",
}


def expected(seed: int = 7) -> np.ndarray:
    return np.concatenate([speech_of(chunk, seed) for chunk in FOUR_CHUNKS])


def test_default_stream_is_a_wav_with_every_sample(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", json={"text": FOUR, "seed": 7})
    assert response.status_code == 200
    with wave.open(io.BytesIO(response.content)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (24_000, 1, 2)
    np.testing.assert_array_equal(np.frombuffer(response.content[44:], "<i2"), expected())


def test_headers_of_a_stream(api: RunningApi) -> None:
    response = api.client.post(
        "/api/v1/tts",
        json={"text": ONE, "seed": 42, "export_formats": ["wav", "mp3", "flac"]},
        headers={"X-Request-ID": "my-id.1"},
    )
    name = re.fullmatch(
        r'attachment; filename="(tts_\d{4}-\d\d-\d\d_\d{6}_\d{6}_temp0.75_seed42)\.wav"',
        response.headers["content-disposition"],
    )
    assert name
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["x-request-id"] == "my-id.1"
    assert response.headers["x-generation-seed"] == "42"
    assert response.headers["x-sample-rate"] == "24000"
    alternatives = response.headers["x-alternative-formats"]
    assert alternatives == f"mp3:/outputs/{name[1]}.mp3|flac:/outputs/{name[1]}.flac"
    assert [part.count(":") for part in alternatives.split("|")] == [1, 1]


def test_no_alternatives_no_header(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", json={"text": ONE, "export_formats": "wav"})
    assert "x-alternative-formats" not in response.headers


@pytest.mark.parametrize("audio_format", CONTENT_TYPES)
def test_every_format_streams_and_is_stored_complete(api: RunningApi, audio_format: str) -> None:
    body = {"text": FOUR, "seed": 7, "export_formats": [audio_format]}
    response = api.client.post("/api/v1/tts", json=body)
    assert response.headers["content-type"] == CONTENT_TYPES[audio_format]
    rate = 8000 if audio_format in ("ulaw", "alaw") else 24_000
    assert response.headers["x-sample-rate"] == str(rate)
    filename = response.headers["content-disposition"].split('"')[1]
    stored = api.client.get(f"/outputs/{filename}")
    assert stored.headers["content-type"] == CONTENT_TYPES[audio_format]
    for content in (response.content, stored.content):
        samples, decoded_rate = decode(content, AudioFormat(audio_format), rate)
        seconds = len(samples) / decoded_rate
        assert seconds == pytest.approx(len(expected()) / SAMPLE_RATE, rel=0.02, abs=0.08)


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_audio_leaves_before_the_rest_exists(
    slow_api: RunningApi, audio_format: AudioFormat
) -> None:
    assert_progressive(slow_api.client, audio_format)


def test_return_format_chooses_among_those_produced(api: RunningApi) -> None:
    body = {"text": ONE, "export_formats": ["wav", "flac"]}
    response = api.client.post("/api/v1/tts", params={"return_format": "flac"}, json=body)
    assert response.headers["content-type"] == "audio/flac"
    assert response.headers["x-alternative-formats"].startswith("wav:/outputs/")
    refused = api.client.post("/api/v1/tts", params={"return_format": "mp3"}, json=body)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "UNSUPPORTED_FORMAT"


def test_the_same_seed_gives_the_same_audio(api: RunningApi) -> None:
    def speak(seed: int) -> bytes:
        return api.client.post("/api/v1/tts", json={"text": ONE, "seed": seed}).content

    assert speak(5) == speak(5) != speak(6)


def test_a_drawn_seed_is_reported_and_repeats(api: RunningApi) -> None:
    drawn = api.client.post("/api/v1/tts", json={"text": ONE})
    seed = int(drawn.headers["x-generation-seed"])
    again = api.client.post("/api/v1/tts", json={"text": ONE, "seed": seed})
    assert seed > 0
    assert again.content == drawn.content
    assert "_seed" not in drawn.headers["content-disposition"]


def test_speed_stretches_the_audio_and_says_how(api: RunningApi) -> None:
    body = {"text": FOUR, "seed": 7, "speed_factor": 1.6, "export_formats": ["wav"]}
    response = api.client.post("/api/v1/tts", json=body)
    samples = (len(response.content) - 44) // 2
    assert samples == pytest.approx(len(expected()) / 1.6, rel=0.02)
    assert response.headers["x-speed-library"] == "atempo"
    assert "_speed1.6" in response.headers["content-disposition"]


def test_what_has_no_effect_is_said(api: RunningApi) -> None:
    body = {"text": ONE, "exaggeration": 0.9, "temperature": 0.3, "use_auto_editor": True, "pet": 1}
    response = api.client.post("/api/v1/tts", json=body)
    assert response.headers["x-ignored-parameters"] == "exaggeration,use_auto_editor,pet"


def test_asking_for_what_is_anyway_so_is_not_ignored(api: RunningApi) -> None:
    body = {"text": ONE, "bypass_whisper_checking": True, "disable_watermark": True}
    assert "x-ignored-parameters" not in api.client.post("/api/v1/tts", json=body).headers


def test_a_failure_before_audio_is_a_status_and_leaves_no_file(tmp_path) -> None:
    with running_api(FakeEngine(fail_at_chunk=0), tmp_path) as api:
        response = api.client.post("/api/v1/tts", json={"text": FOUR})
        assert response.status_code == 500
        assert response.json()["error_code"] == "GENERATION_FAILED"
        assert api.files() == []


@pytest.mark.parametrize("audio_format", CONTENT_TYPES)
def test_a_failure_after_audio_breaks_the_body(tmp_path, audio_format: str) -> None:
    with running_api(FakeEngine(fail_at_chunk=2), tmp_path) as api:
        body = {"text": FOUR, "export_formats": [audio_format]}
        with api.client.stream("POST", "/api/v1/tts", json=body) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                response.read()
        wait_until(lambda: api.files() == [])


def test_leaving_stops_the_synthesis_and_leaves_no_file(slow_api: RunningApi) -> None:
    with slow_api.client.stream("POST", "/api/v1/tts", json={"text": FOUR}) as response:
        body = response.iter_raw()
        next(body)
        assert slow_api.backend.open_streams == 1
    wait_until(lambda: slow_api.backend.open_streams == 0, seconds=3)
    wait_until(lambda: slow_api.files() == [])


def test_text_clean_up_switches_reach_the_engine(api: RunningApi) -> None:
    body = {
        "text": "Hello   WORLD, say SQL.",
        "to_lowercase": True,
        "sound_words_field": "sql=>sequel",
        "seed": 3,
        "export_formats": ["pcm"],
    }
    content = api.client.post("/api/v1/tts", json=body).content
    assert content == speech_of("hello world, say sequel.", 3).tobytes()


def test_trim_leaves_speech_without_silence_as_it_is(tmp_path) -> None:
    with running_api(FakeEngine(), tmp_path) as api:
        body = {"text": ONE, "seed": 1, "trim": True, "export_formats": ["pcm"]}
        content = api.client.post("/api/v1/tts", json=body).content
        assert content == speech_of(ONE, 1).tobytes()


def test_loudness_applies_to_the_stored_files_and_says_so(api: RunningApi) -> None:
    body = {
        "text": FOUR,
        "seed": 7,
        "normalize_audio": True,
        "normalize_method": "peak",
        "normalize_level": -6,
        "export_formats": ["wav"],
    }
    response = api.client.post("/api/v1/tts", json=body)
    assert response.headers["x-normalization"] == "stored-files-only"
    np.testing.assert_array_equal(np.frombuffer(response.content[44:], "<i2"), expected())
    filename = response.headers["content-disposition"].split('"')[1]
    stored = np.frombuffer(api.client.get(f"/outputs/{filename}").content[44:], "<i2")
    assert np.abs(stored).max() == pytest.approx(32_768 * 10 ** (-6 / 20), rel=0.01)
