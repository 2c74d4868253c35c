"""POST /tts in the voice of a recording: contract sections 1, 2 and 4."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, Samples
from serve_app.engines.fake import FakeEngine, speech_of
from serve_app.engines.fake_conversion import FakeConversionEngine, converted_of
from tests.audio_tools import decode
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.progress import CHUNK_DELAY_S
from tests.support.uploads import (
    accepted,
    assert_refused,
    samples_in,
    spoken,
    upload_voice,
    wav_of,
)

FOUR = "The first one is here. The second one is here. The third one is here. The last one is here."
FOUR_CHUNKS = re.split(r"(?<=\.) ", FOUR)
ALICE = {"text": FOUR, "seed": 7, "reference_audio_filename": "alice"}


def expected(seed: int = 7, target: Samples | None = None) -> Samples:
    speech = np.concatenate([speech_of(chunk, seed) for chunk in FOUR_CHUNKS])
    return converted_of(speech, spoken() if target is None else target)


def with_alice(api: RunningApi, **fields: str) -> RunningApi:
    accepted(upload_voice(api, "alice.wav", **fields))
    return api


def speak(api: RunningApi, **body: Any) -> httpx.Response:
    return api.client.post("/api/v1/tts", json={**ALICE, **body})


def alice(api: RunningApi) -> dict[str, Any]:
    (voice,) = accepted(api.client.get("/api/v1/voices"))["voices"]
    return voice


def hidden_leftovers(api: RunningApi) -> list[str]:
    return [*files_below(api.outputs), *files_below(api.vc_inputs)]


@pytest.mark.parametrize("audio_format", ["wav", "pcm"])
def test_the_stream_is_the_speech_in_that_voice_sample_for_sample(
    api: RunningApi, audio_format: str
) -> None:
    response = speak(with_alice(api), export_formats=[audio_format])
    header = 44 if audio_format == "wav" else 0
    np.testing.assert_array_equal(np.frombuffer(response.content[header:], "<i2"), expected())
    name = response.headers["content-disposition"].split('"')[1]
    stored = api.client.get(f"/outputs/{name}").content
    np.testing.assert_array_equal(np.frombuffer(stored[header:], "<i2"), expected())


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_every_format_has_the_length_of_the_speech(
    api: RunningApi, audio_format: AudioFormat
) -> None:
    content = speak(with_alice(api), export_formats=[audio_format]).content
    samples, rate = decode(content, audio_format, 8000 if "law" in audio_format else 24_000)
    assert len(samples) / rate == pytest.approx(len(expected()) / 24_000, abs=0.08)


def test_each_voice_sounds_like_itself(api: RunningApi) -> None:
    for seed, name in enumerate(("a.wav", "b.wav"), 1):
        accepted(upload_voice(api, name, wav_of(spoken(seed))))
    for seed, name in enumerate(("a.wav", "b.wav"), 1):
        content = speak(api, reference_audio_filename=name).content
        np.testing.assert_array_equal(samples_in(content), expected(target=spoken(seed)))


def test_without_a_voice_nothing_is_converted(api: RunningApi) -> None:
    content = speak(api, reference_audio_filename=None, text=FOUR_CHUNKS[0]).content
    np.testing.assert_array_equal(samples_in(content), speech_of(FOUR_CHUNKS[0], 7))


def test_a_voice_of_the_engine_is_found_by_its_name(api: RunningApi) -> None:
    content = speak(api, reference_audio_filename="sine", text=FOUR_CHUNKS[0]).content
    np.testing.assert_array_equal(samples_in(content), speech_of(FOUR_CHUNKS[0], 7))


def test_json_mode_makes_files_in_that_voice(api: RunningApi) -> None:
    with_alice(api)
    answer = api.client.post("/api/v1/tts?response_mode=url", json=ALICE)
    for file in accepted(answer)["output_files"]:
        samples, rate = decode(api.client.get(file["path"]).content, AudioFormat(file["format"]))
        assert len(samples) / rate == pytest.approx(len(expected()) / 24_000, abs=0.08)


def test_audio_leaves_while_the_rest_is_still_being_spoken(slow_api: RunningApi) -> None:
    """A chunk is spoken each 200 ms: the first is at the client before the third is made."""
    with_alice(slow_api)
    speak(slow_api, text="The voice is known from now on.")
    with slow_api.client.stream("POST", "/api/v1/tts", json=ALICE) as response:
        arrivals = [(time.monotonic(), len(data)) for data in response.iter_raw()]
    end = arrivals[-1][0]
    early = sum(size for moment, size in arrivals if moment < end - 1.5 * CHUNK_DELAY_S)
    assert early > 0.8 * 2 * len(speech_of(FOUR_CHUNKS[0], 7)), arrivals


def test_uses_are_counted_exactly_under_concurrency(api: RunningApi) -> None:
    with_alice(api)
    before = datetime.now(UTC)

    def use(number: int) -> int:
        body = {**ALICE, "text": f"Number {number}."}
        return httpx.post(f"{api.url}/api/v1/tts", json=body, timeout=30).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(use, range(20))) == {200}
    voice = alice(api)
    assert voice["usage_count"] == 20
    assert before <= datetime.fromisoformat(voice["last_used"]) <= datetime.now(UTC)


def test_uses_reach_the_json_file_when_the_service_ends(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path) as api:
        with_alice(api)
        for _ in range(3):
            speak(api, text="Hello.")
    beside = json.loads((tmp_path / "reference_audio/alice.wav.json").read_bytes())
    assert beside["usage_count"] == 3
    assert beside["last_used"]
    with running_api(FakeEngine(), tmp_path) as api:
        assert alice(api)["usage_count"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 9}, {"text": " "}, {"export_formats": ["midi"]}, {"language": "xx"},
        {"project": "../up"}, {"project": "a", "folder": "b"}, {"response_mode": "fax"},
        {"return_format": "opus"}, {"text": "a" * 10_001},
    ],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_a_refused_request_is_no_use(api: RunningApi, body: dict) -> None:
    assert speak(with_alice(api), **body).status_code == 400
    assert alice(api)["usage_count"] == 0


def test_default_parameters_apply_to_fields_that_are_left_out(api: RunningApi) -> None:
    with_alice(api, default_parameters='{"temperature": 0.3, "export_formats": ["pcm"]}')
    response = speak(api)
    assert response.headers["content-type"] == "audio/pcm;rate=24000"
    assert "_temp0.3" in response.headers["content-disposition"]


def test_default_parameters_give_way_to_what_is_asked_for(api: RunningApi) -> None:
    with_alice(api, default_parameters='{"temperature": 0.3, "speed_factor": 2, "seed": 3}')
    response = speak(api, temperature=0.75, speed_factor=1.0)
    assert "_temp0.75_seed7.wav" in response.headers["content-disposition"]
    np.testing.assert_array_equal(samples_in(response.content), expected(seed=7))


def test_a_default_seed_repeats(api: RunningApi) -> None:
    with_alice(api, default_parameters='{"seed": 3}')
    body = {"text": FOUR, "reference_audio_filename": "alice"}
    response = api.client.post("/api/v1/tts", json=body)
    assert response.headers["x-generation-seed"] == "3"
    np.testing.assert_array_equal(samples_in(response.content), expected(seed=3))


def test_default_parameters_of_another_voice_do_not_matter(api: RunningApi) -> None:
    with_alice(api)
    accepted(upload_voice(api, "bob.wav", default_parameters='{"temperature": 0.1}'))
    assert "_temp0.75" in speak(api).headers["content-disposition"]


@pytest.mark.parametrize("mode", ["stream", "url"])
def test_an_unknown_voice(api: RunningApi, mode: str) -> None:
    response = speak(with_alice(api), reference_audio_filename="nobody.wav", response_mode=mode)
    error = assert_refused(response, 404, "VOICE_NOT_FOUND")
    assert "nobody.wav" in error["error"]


def test_a_display_name_is_a_name(api: RunningApi) -> None:
    with_alice(api, name="Alice Liddell")
    content = speak(api, reference_audio_filename="Alice Liddell").content
    np.testing.assert_array_equal(samples_in(content), expected())
    assert alice(api)["usage_count"] == 1


def test_the_listing_of_outputs_names_the_voice(api: RunningApi) -> None:
    speak(with_alice(api, folder="cast"), export_formats=["wav"])
    (file,) = accepted(api.client.get("/api/v1/outputs"))["files"]
    assert file["source_files"] == ["cast/alice.wav"]


def test_leaving_frees_both_engines_and_leaves_no_file(slow_api: RunningApi) -> None:
    with_alice(slow_api)
    with slow_api.client.stream("POST", "/api/v1/tts", json=ALICE) as response:
        body = response.iter_raw()
        next(body)
        assert slow_api.conversion.open_streams == 1
        assert slow_api.backend.open_streams == 1
    wait_until(lambda: slow_api.conversion.open_streams == 0, seconds=3)
    wait_until(lambda: slow_api.backend.open_streams == 0, seconds=3)
    wait_until(lambda: hidden_leftovers(slow_api) == [])


def test_leaving_before_the_first_audio_frees_both_engines(tmp_path: Path) -> None:
    with running_api(FakeEngine(chunk_delay_s=0.5), tmp_path) as api:
        with_alice(api)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{api.url}/api/v1/tts", json=ALICE, timeout=0.2)
        wait_until(lambda: api.conversion.open_streams == 0)
        wait_until(lambda: api.backend.open_streams == 0)
        wait_until(lambda: hidden_leftovers(api) == [])


@pytest.mark.parametrize("mode", ["stream", "url"])
def test_a_conversion_that_fails_before_audio_is_a_status(tmp_path: Path, mode: str) -> None:
    conversion = FakeConversionEngine(fail_at_piece=0)
    with running_api(FakeEngine(), tmp_path, conversion=conversion) as api:
        response = speak(with_alice(api), response_mode=mode)
        assert_refused(response, 500, "GENERATION_FAILED")
        assert hidden_leftovers(api) == []
        assert (api.conversion.open_streams, api.backend.open_streams) == (0, 0)


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "flac"])
def test_a_conversion_that_fails_after_audio_breaks_the_body(
    tmp_path: Path, audio_format: str
) -> None:
    conversion = FakeConversionEngine(fail_at_piece=2)
    body = {**ALICE, "export_formats": [audio_format]}
    with running_api(FakeEngine(), tmp_path, conversion=conversion) as api:
        with_alice(api)
        with api.client.stream("POST", "/api/v1/tts", json=body) as response:
            assert response.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                response.read()
        wait_until(lambda: hidden_leftovers(api) == [])
        assert (api.conversion.open_streams, api.backend.open_streams) == (0, 0)


def test_speech_that_fails_under_a_conversion_is_a_status(tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=0), tmp_path) as api:
        assert_refused(speak(with_alice(api)), 500, "GENERATION_FAILED")
        assert hidden_leftovers(api) == []


def test_a_voice_that_is_deleted_does_not_break_who_listens(slow_api: RunningApi) -> None:
    with_alice(slow_api)
    with slow_api.client.stream("POST", "/api/v1/tts", json=ALICE) as response:
        chunks = response.iter_raw()
        heard = next(chunks)
        deleted = httpx.delete(f"{slow_api.url}/api/v1/voice/alice?confirm=true")
        assert deleted.status_code == 200
        heard += b"".join(chunks)
    np.testing.assert_array_equal(samples_in(heard), expected())
