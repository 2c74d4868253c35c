"""Voices, inputs, outputs, conversion and concatenation over real Ray Serve: the whole API once."""

from __future__ import annotations

import io
import json
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import Samples
from serve_app.engines.fake import speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.support.direct import wait_until
from tests.support.progress import CHUNKS
from tests.support.service import RunningService

RATE = 24_000
FOUR = " ".join(CHUNKS)


def tone(frequency: float, seconds: float = 1.0) -> Samples:
    """A recording, [n]."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.rint(9000 * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


def wav_of(samples: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def upload(service: RunningService, route: str, field: str, name: str, samples: Samples) -> None:
    files = {field: (name, wav_of(samples))}
    response = service.client.post(f"/api/v1/{route}", files=files, data={"overwrite": "true"})
    assert response.status_code == 200, response.text


def add_voice(service: RunningService, name: str, frequency: float) -> Samples:
    samples = tone(frequency)
    upload(service, "voice", "voice_file", name, samples)
    return samples


def add_input(service: RunningService, name: str, seconds: float = 2.0) -> Samples:
    samples = tone(180, seconds)
    upload(service, "vc_input", "vc_input_file", name, samples)
    return samples


def fetch(file: dict[str, Any]) -> bytes:
    response = httpx.get(file["url"])
    assert response.status_code == 200
    return response.content


def test_a_voice_from_upload_to_deletion(service: RunningService) -> None:
    add_voice(service, "anna.wav", 220)
    changed = service.client.put("/api/v1/voice/anna/metadata", json={"tags": ["calm"]})
    assert changed.json()["voice_metadata"]["tags"] == ["calm"]
    listed = service.client.get("/api/v1/voices?tag=calm").json()
    assert [voice["filename"] for voice in listed["voices"]] == ["anna.wav"]
    assert service.client.get("/api/v1/voices/folders").json()["total_voices"] >= 1
    assert service.client.delete("/api/v1/voice/anna").status_code == 400
    assert service.client.delete("/api/v1/voice/anna?confirm=true").json()["deleted_count"] == 1
    assert service.client.delete("/api/v1/voices?confirm=true&tag=calm").status_code == 404


def test_speech_in_a_reference_voice_is_both_engines_work(service: RunningService) -> None:
    target = add_voice(service, "bert.wav", 200)
    body = {"text": FOUR, "seed": 5, "reference_audio_filename": "bert", "export_formats": ["pcm"]}
    response = service.client.post("/api/v1/tts", json=body)
    spoken = np.concatenate([speech_of(chunk, 5) for chunk in CHUNKS])
    assert response.content == converted_of(spoken, target).tobytes()


def test_a_reference_voice_streams(slow_service: RunningService) -> None:
    """The speech engine takes 200 ms a chunk; the first arrives long before the last is made."""
    add_voice(slow_service, "carl.wav", 210)
    body = {"text": FOUR, "reference_audio_filename": "carl", "export_formats": ["pcm"]}
    slow_service.client.post("/api/v1/tts", json=body)  # the speaker is known from now on
    with slow_service.client.stream("POST", "/api/v1/tts", json=body) as response:
        arrivals = [(time.monotonic(), len(data)) for data in response.iter_raw()]
    end, whole = arrivals[-1][0], sum(size for _, size in arrivals)
    assert sum(size for when, size in arrivals if when < end - 0.5) > 0.15 * whole, arrivals


def test_uses_are_counted_once_each(service: RunningService) -> None:
    add_voice(service, "dora.wav", 230)
    body = {"text": "Once.", "reference_audio_filename": "dora", "export_formats": ["pcm"]}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: httpx.post(f"{service.url}/api/v1/tts", json=body), range(24))
        )
    assert {answer.status_code for answer in answers} == {200}
    (voice,) = service.client.get("/api/v1/voices?search=dora").json()["voices"]
    assert voice["usage_count"] == 24


@pytest.mark.parametrize("way", ["names", "upload", "two uploads"])
def test_conversion_in_every_way(service: RunningService, way: str) -> None:
    target = add_voice(service, "emil.wav", 240)
    source = add_input(service, "talk.wav")
    target_file = {"target_voice": ("x.wav", wav_of(target))}
    source_file = {"input_audio": ("y.wav", wav_of(source))}
    if way == "names":
        body = {"input_audio_source": "talk", "target_voice_source": "emil"}
        response = service.client.post("/api/v1/vc?return_format=wav", json=body)
    elif way == "upload":
        fields = {"target_voice_source": "emil", "export_formats": "wav,mp3"}
        response = service.client.post("/api/v1/vc", files=source_file, data=fields)
    else:
        response = service.client.post("/api/v1/vc", files={**source_file, **target_file})
    assert response.status_code == 200, response.text
    assert response.content[44:] == converted_of(source, target).tobytes()


def test_conversion_answers_with_files(service: RunningService) -> None:
    target, source = add_voice(service, "fritz.wav", 250), add_input(service, "speech.wav")
    body = {"input_audio_source": "speech", "target_voice_source": "fritz"}
    answer = service.client.post("/api/v1/vc?response_mode=url", json=body).json()
    assert answer["duration_seconds"] == pytest.approx(len(source) / RATE, abs=0.001)
    wav, mp3 = answer["output_files"]
    assert fetch(wav)[44:] == converted_of(source, target).tobytes()
    listed = service.client.get("/api/v1/outputs?generation_type=vc&page_size=2").json()
    sizes = {file["filename"]: file["file_size_bytes"] for file in listed["files"]}
    assert sizes == {file["filename"]: len(fetch(file)) for file in (wav, mp3)}


def test_files_are_joined(service: RunningService) -> None:
    answers = [
        service.client.post("/api/v1/tts?response_mode=url", json={"text": text, "seed": 1}).json()
        for text in ("The first part.", "The second part.")
    ]
    names = [answer["output_files"][0]["filename"] for answer in answers]
    body = {"files": [names[0], "(500ms)", names[1]], "normalize_levels": False}
    joined = service.client.post("/api/v1/concat", json=body)
    seconds = (len(joined.content) - 44) / 2 / RATE
    spoken = sum(answer["duration_seconds"] for answer in answers)
    assert seconds == pytest.approx(spoken + 0.5, abs=0.001)
    segments = [{"type": "server_file", "source": names[1]}, {"type": "upload", "index": 0}]
    mixed = service.client.post(
        "/api/v1/concat/mixed?response_mode=url",
        data={"request_json": json.dumps({"segments": segments})},
        files={"uploaded_files": ("a.wav", wav_of(tone(150)))},
    ).json()
    assert mixed["file_count"] == 2
    assert len(fetch(mixed["output_files"][0])) > 44 + 2 * RATE


def test_outputs_are_listed_and_deleted(service: RunningService) -> None:
    body = {"text": "To be deleted.", "project": "gone", "export_formats": ["wav", "flac"]}
    (wav, flac) = service.client.post("/api/v1/tts?response_mode=url", json=body).json()[
        "output_files"
    ]
    assert service.client.get("/api/v1/outputs?folder=gone").json()["total_files"] == 2
    single = service.client.delete(f"/api/v1/output/gone/{wav['filename']}?confirm=true")
    assert single.json()["deleted_files"] == [f"gone/{wav['filename']}"]
    assert httpx.get(wav["url"]).status_code == 404
    assert len(fetch(flac)) > 1000
    assert service.client.delete("/api/v1/outputs?confirm=true&folder=gone").status_code == 200
    assert not [name for name in service.files() if name.startswith("gone/")]


def test_a_file_dropped_into_the_folder_is_used_at_once_and_listed_soon(
    service: RunningService,
) -> None:
    dropped = tone(260)
    (service.folder / "reference_audio" / "dropped.wav").write_bytes(wav_of(dropped))
    source = add_input(service, "for_dropped.wav")
    body = {"input_audio_source": "for_dropped", "target_voice_source": "dropped.wav"}
    converted = service.client.post("/api/v1/vc?return_format=wav", json=body)
    assert converted.content[44:] == converted_of(source, dropped).tobytes()
    (service.folder / "reference_audio" / "later.wav").write_bytes(wav_of(tone(270)))

    def listed() -> bool:
        found = service.client.get("/api/v1/voices?search=later").json()["voices"]
        return [voice["filename"] for voice in found] == ["later.wav"]

    wait_until(listed, seconds=15)


def test_health_and_config_speak_of_conversion(service: RunningService) -> None:
    health = service.client.get("/api/v1/health").json()
    assert health["models_loaded"] == {"tts": True, "vc": True}
    config = service.client.get("/api/v1/config").json()
    assert config["vc_defaults"]["chunk_sec"] == 60
    assert config["engines"]["vc"]["name"] == "fake"


def test_leaving_a_conversion_leaves_nothing(slow_service: RunningService) -> None:
    add_voice(slow_service, "greta.wav", 280)
    before = slow_service.files()
    text = " ".join(f"This is sentence number {n} of many." for n in range(40))
    body = {"text": text, "reference_audio_filename": "greta"}
    with slow_service.client.stream("POST", "/api/v1/tts", json=body) as response:
        next(response.iter_raw())
    wait_until(lambda: slow_service.files() == before, seconds=10)
    began = time.monotonic()
    assert slow_service.client.post("/api/v1/tts", json={"text": FOUR}).status_code == 200
    assert time.monotonic() - began < 2.5
