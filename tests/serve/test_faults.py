"""What breaks, and what the client sees: one service for each fault of the engine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from serve_app.engines.fake import speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.serve.test_library import tone, wav_of
from tests.support.direct import wait_until
from tests.support.service import (
    RunningService,
    deployment,
    fake_config,
    fake_conversion_config,
    running_service,
)

FOUR = "The first one is here. The second one is here. The third one is here. The last one is here."


def speak(service: RunningService, text: str = FOUR) -> httpx.Response:
    body = {"text": text, "seed": 1, "export_formats": ["pcm"]}
    return httpx.post(f"{service.url}/api/v1/tts", json=body, timeout=60)


def test_a_failure_after_audio_breaks_the_body_and_leaves_no_file(tmp_path: Path) -> None:
    with running_service(fake_config(fail_at_chunk=2), tmp_path) as service:
        with pytest.raises(httpx.RemoteProtocolError):
            speak(service)
        wait_until(lambda: service.files() == [])
        before_audio = speak(service, "Short text that does not reach the third chunk.")
        assert before_audio.status_code == 200


def test_a_replica_that_dies_before_audio_costs_one_retry(tmp_path: Path) -> None:
    """It ends itself in the first chunk, once; the retry waits for its successor or another."""
    marker = tmp_path / "died"
    config = fake_config(die_at_chunk=0, die_once_file=str(marker))
    with running_service(config, tmp_path, "--replicas", "2") as service:
        response = speak(service)
        assert marker.exists()
        assert response.status_code == 200
        chunks = [f"The {which} one is here." for which in ("first", "second", "third", "last")]
        assert response.content == b"".join(speech_of(chunk, 1).tobytes() for chunk in chunks)


def test_a_replica_that_dies_after_audio_breaks_the_body(tmp_path: Path) -> None:
    config = fake_config(chunk_delay_s=0.1, die_at_chunk=2, die_once_file=str(tmp_path / "died"))
    with running_service(config, tmp_path) as service:
        with pytest.raises(httpx.RemoteProtocolError):
            speak(service)
        wait_until(lambda: service.files() == [])
        wait_until(lambda: speak(service).status_code == 200, seconds=30)


def test_full_queues_say_so_with_retry_after(tmp_path: Path) -> None:
    config = fake_config(chunk_delay_s=0.5)
    deployment(config, "Speech").update(max_ongoing_requests=1, max_queued_requests=1)
    with running_service(config, tmp_path, "--replicas", "1") as service:
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda _: speak(service, "One chunk."), range(8)))
        statuses = sorted(response.status_code for response in responses)
        assert statuses[0] == 200
        assert set(statuses) == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert response.json()["error_code"] == "SERVICE_OVERLOADED"
                assert int(response.headers["retry-after"]) >= 1
        assert not [name for name in service.files() if ".scratch" in name]


def test_an_engine_that_hangs_is_a_504_and_is_replaced(tmp_path: Path) -> None:
    config = fake_config(hang_at_chunk=0)
    arguments = config["applications"][0]["args"]
    arguments["engine"]["stall_timeout_s"] = 3
    arguments["limits"] = {"first_chunk_timeout_s": 1}
    deployment(config, "Speech").update(health_check_period_s=1, graceful_shutdown_timeout_s=1)
    with running_service(config, tmp_path, "--replicas", "1") as service:
        (hung,) = service.replicas("Speech")
        began = time.monotonic()
        response = speak(service)
        assert response.status_code == 504
        assert response.json()["error_code"] == "GENERATION_TIMEOUT"
        assert time.monotonic() - began < 5
        assert service.files() == []
        wait_until(lambda: hung.pid not in {p.pid for p in service.replicas("Speech")}, seconds=40)


def convert(service: RunningService) -> httpx.Response:
    """Two seconds of a tone, converted; both recordings come with the request."""
    files = {
        "input_audio": ("source.wav", wav_of(tone(200, 2.0))),
        "target_voice": ("target.wav", wav_of(tone(300))),
    }
    data = {"export_formats": "pcm", "chunk_sec": "1"}
    return httpx.post(f"{service.url}/api/v1/vc", files=files, data=data, timeout=60)


def test_a_converting_replica_that_dies_before_audio_costs_one_retry(tmp_path: Path) -> None:
    marker = tmp_path / "died"
    config = fake_conversion_config(die_at_piece=0, die_once_file=str(marker))
    with running_service(config, tmp_path) as service:
        response = convert(service)
        assert marker.exists()
        assert response.status_code == 200
        assert response.content == converted_of(tone(200, 2.0), tone(300)).tobytes()


def test_a_converting_replica_that_dies_after_audio_breaks_the_body(tmp_path: Path) -> None:
    config = fake_conversion_config(
        piece_delay_s=0.1, die_at_piece=1, die_once_file=str(tmp_path / "died")
    )
    with running_service(config, tmp_path) as service:
        with pytest.raises(httpx.RemoteProtocolError):
            convert(service)
        wait_until(lambda: service.files() == [])
        wait_until(lambda: convert(service).status_code == 200, seconds=30)
        wait_until(lambda: not list((tmp_path / "vc_inputs").rglob("*.wav")))
