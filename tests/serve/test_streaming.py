"""The service over real Ray Serve: streaming, errors, disconnects, and clients that do not mix."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import speech_of
from tests.support.direct import wait_until
from tests.support.progress import CHUNKS, assert_progressive
from tests.support.service import RunningService

FOUR = " ".join(CHUNKS)


def test_32_clients_get_each_their_own_audio(service: RunningService) -> None:
    def speak(client: int) -> None:
        sentences = [f"Client {client} says its sentence {n}." for n in range(client % 5 + 1)]
        body = {"text": " ".join(sentences), "seed": client + 1, "export_formats": ["wav"]}
        response = httpx.post(f"{service.url}/api/v1/tts", json=body, timeout=60)
        expected = np.concatenate([speech_of(sentence, client + 1) for sentence in sentences])
        assert response.content[44:] == expected.tobytes()

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(speak, range(64)))


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_audio_arrives_before_the_rest_exists(
    slow_service: RunningService, audio_format: AudioFormat
) -> None:
    assert_progressive(slow_service.client, audio_format)


def test_the_other_formats_are_complete_when_the_stream_ends(service: RunningService) -> None:
    body = {"text": FOUR, "seed": 3, "export_formats": ["pcm", "wav", "mp3"]}
    streamed = service.client.post("/api/v1/tts", json=body)
    paths = dict(part.split(":") for part in streamed.headers["x-alternative-formats"].split("|"))
    assert service.client.get(paths["wav"]).content[44:] == streamed.content
    assert service.client.get(paths["mp3"]).headers["content-type"] == "audio/mpeg"


def test_leaving_frees_the_engine_at_once(slow_service: RunningService) -> None:
    """The next request does not wait for the rest of one whose client has left."""
    long = " ".join(f"This is sentence number {n} of many." for n in range(40))  # 8 s of work
    with slow_service.client.stream("POST", "/api/v1/tts", json={"text": long}) as response:
        body = response.iter_raw()
        next(body)
    began = time.monotonic()
    assert slow_service.client.post("/api/v1/tts", json={"text": FOUR}).status_code == 200
    assert time.monotonic() - began < 2.5
    assert not [name for name in slow_service.files() if ".scratch" in name]


def test_leaving_before_any_audio_leaves_nothing(slow_service: RunningService) -> None:
    before = slow_service.files()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{slow_service.url}/api/v1/tts", json={"text": FOUR}, timeout=0.1)
    wait_until(lambda: slow_service.files() == before, seconds=5)


def test_errors_have_their_shape_through_every_layer(service: RunningService) -> None:
    for response, status in (
        (service.client.get("/nowhere"), 404),
        (service.client.get("/api/v1/tts"), 405),
        (service.client.post("/api/v1/tts", json={}), 400),
    ):
        assert response.status_code == status
        assert response.json()["success"] is False
        assert response.json()["request_id"] == response.headers["x-request-id"]


def test_one_sane_request_id_goes_back(service: RunningService) -> None:
    for offered in ("mine-1", "in sane"):
        response = service.client.get("/livez", headers={"X-Request-ID": offered})
        (returned,) = response.headers.get_list("x-request-id")
        assert (returned == offered) is (offered == "mine-1")


def test_headers_that_control_serve_have_no_effect(slow_service: RunningService) -> None:
    headers = {"x-request-timeout-seconds": "0.3"}
    response = slow_service.client.post("/api/v1/tts", json={"text": FOUR}, headers=headers)
    assert response.status_code == 200
    assert len(response.content) > 80_000


def test_health(service: RunningService) -> None:
    health = service.client.get("/api/v1/health")
    assert health.json()["status"] == "healthy"
    assert health.json()["replicas"]["tts"]["running"] == 1
    assert service.client.get("/readyz").status_code == 200
