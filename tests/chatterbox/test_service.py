"""The whole Chatterbox service on Ray Serve, with a tiny random model: as `make serve` runs it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from serve_app.engines.chatterbox.options import Options, SpeechOptions
from serve_app.settings import Settings
from tests.support.direct import wait_until
from tests.support.service import (
    ROOT,
    RunningService,
    deployment,
    running_service,
    started_service,
)
from tests.support.uploads import samples_in, wav_of
from tests.support.voices import recording

SAY = {"text": "No.", "seed": 3, "export_formats": ["wav"]}


def config_of(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "configs" / name).read_text())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    config = config_of("serve.chatterbox-random.yaml")
    with running_service(config, tmp_path_factory.mktemp("random")) as running:
        running.client.timeout = httpx.Timeout(120)
        yield running


def test_four_listeners_get_each_their_own_speech_before_it_is_whole(
    service: RunningService,
) -> None:
    def listen(seed: int) -> tuple[float, float, bytes]:
        began, pieces, first = time.monotonic(), b"", 0.0
        with service.client.stream("POST", "/api/v1/tts", json={**SAY, "seed": seed}) as response:
            assert response.status_code == 200, response.read()
            for piece in response.iter_raw():
                pieces += piece
                first = first or (time.monotonic() - began if len(pieces) > 100 else 0.0)
        return first, time.monotonic() - began, pieces

    with ThreadPoolExecutor(4) as pool:
        heard = list(pool.map(listen, (1, 2, 3, 1)))
    assert all(first < 0.7 * whole for first, whole, _ in heard)
    speech = [samples_in(content) for *_, content in heard]
    assert all(len(samples) > 24_000 for samples in speech)
    assert len(speech[0]) == len(speech[3])
    np.testing.assert_allclose(speech[0], speech[3], atol=4)
    assert not np.array_equal(speech[0][:24_000], speech[1][:24_000])


def test_a_voice_is_uploaded_and_spoken_in(service: RunningService) -> None:
    files = {"voice_file": ("sarah.wav", wav_of(recording("en_sarah")))}
    assert service.client.post("/api/v1/voice", files=files).status_code == 200
    own, cloned = (
        service.client.post("/api/v1/tts", json={**SAY, "reference_audio_filename": voice})
        for voice in (None, "sarah")
    )
    assert own.status_code == cloned.status_code == 200
    assert not np.array_equal(samples_in(own.content)[:24_000], samples_in(cloned.content)[:24_000])


def test_a_recording_is_converted(service: RunningService) -> None:
    files = {
        "input_audio": ("karen.wav", wav_of(recording("en_karen")[:36_000])),
        "target_voice": ("anton.wav", wav_of(recording("de_Anton"))),
    }
    response = service.client.post("/api/v1/vc", files=files, data={"export_formats": "wav"})
    assert response.status_code == 200, response.text
    assert len(samples_in(response.content)) == 36_000


def test_who_leaves_frees_the_replica(service: RunningService) -> None:
    text = "Nobody is going to hear all that there is of this. " * 4
    for _ in range(4):
        with service.client.stream("POST", "/api/v1/tts", json={**SAY, "text": text}) as response:
            next(response.iter_raw())
    began = time.monotonic()
    assert service.client.post("/api/v1/tts", json=SAY).status_code == 200
    assert time.monotonic() - began < 40  # four times 80 s of speech were not made


def test_missing_weights_are_said_and_nothing_is_started_over_and_over(tmp_path: Path) -> None:
    config = config_of("serve.chatterbox-random.yaml")
    for part in ("engine", "conversion"):
        config["applications"][0]["args"][part]["options"]["weights"] = str(tmp_path / "none")
    with started_service(config, tmp_path) as service:
        wait_until(lambda: _answers(service), 90)
        response = httpx.post(f"{service.url}/api/v1/tts", json=SAY, timeout=60)
        ready = httpx.get(f"{service.url}/readyz", timeout=10)
        service.process.wait(180)
        said = service.output()
    assert (response.status_code, ready.status_code) == (503, 503)
    assert response.json()["error_code"] == "MODEL_LOADING_FAILED"
    assert "WeightsMissing" in response.json()["error"]
    assert str(tmp_path) not in response.text
    assert response.headers["retry-after"]
    for part in ("t3_cfg.safetensors", "fetch-weights", "failed to start 3 times"):
        assert part in said


def _answers(service: RunningService) -> bool:
    try:
        health = httpx.get(f"{service.url}/api/v1/health", timeout=5)
        return bool(health.json()["warnings"])
    except (httpx.TransportError, ValueError):
        return False


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments:DeprecationWarning")
@pytest.mark.parametrize("name", ["serve.gpu.yaml", "serve.chatterbox-random.yaml"])
def test_the_configurations_are_what_serve_and_the_engines_take(name: str) -> None:
    from ray.serve.schema import ServeDeploySchema

    config = config_of(name)
    ServeDeploySchema.model_validate(config)
    arguments = Settings(**config["applications"][0]["args"])
    speech = SpeechOptions(**arguments.engine.options)
    Options(**arguments.conversion.options)
    assert deployment(config, "Speech")["max_ongoing_requests"] == speech.slots


def test_the_gpu_configuration_outlives_the_longest_stream_and_scales_by_what_is_owed() -> None:
    config = config_of("serve.gpu.yaml")
    longest = Settings().limits.max_text_chars / 15  # seconds of speech
    gpus = 0.0
    for part in ("Speech", "Conversion"):
        settings = deployment(config, part)
        assert settings["graceful_shutdown_timeout_s"] > longest
        policy = settings["autoscaling_config"]["policy"]["policy_function"]
        assert policy == "serve_app.deployments.autoscaling:OwedAudioPolicy"
        gpus += settings["ray_actor_options"]["num_gpus"]
    assert gpus <= 1
