"""The official SDKs of OpenAI, as they come, against the service as it runs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from serve_app.engines.fake import SAMPLE_RATE, speech_of
from tests.support.service import ROOT, RunningService
from tests.support.uploads import spoken, wav_of

HELLO = "Hello there."
LONG = " ".join(f"This is sentence number {n} of a long text." for n in range(12))
NODE = ROOT / "tests" / "node"


@pytest.fixture
def client(service: RunningService) -> Iterator[openai.OpenAI]:
    """Any key will do."""
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def node(need_program: Callable[[str], str]) -> Callable[..., Any]:
    """Run a script of tests/node and return the JSON that it prints."""
    program = need_program("node")
    if not (NODE / "node_modules" / "openai").is_dir():
        hint = "the Node SDK is not installed: make setup-node"
        pytest.fail(hint) if os.environ.get("CI") == "true" else pytest.skip(hint)

    def run(script: str, *arguments: str) -> Any:
        command = [program, str(NODE / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def is_complete(service: RunningService, name: str) -> bool:
    """Is the output listed, as it is once all of it is made?"""
    return service.client.get("/api/v1/outputs", params={"filenames": name}).json()["count"] == 1


def heard_in(events: list[dict[str, Any]]) -> bytes:
    deltas = [event["audio"] for event in events if event["type"] == "speech.audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def test_speech_becomes_a_file(client: openai.OpenAI, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=HELLO, response_format="pcm", extra_body={"seed": 5}
    ) as response:
        response.stream_to_file(tmp_path / "hello.pcm")
    assert (tmp_path / "hello.pcm").read_bytes() == speech_of(HELLO, 5).tobytes()


def test_every_format_of_the_sdk_is_spoken(client: openai.OpenAI) -> None:
    for audio_format in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        speech = client.audio.speech.create(
            model="tts-1-hd", voice="alloy", input=HELLO, response_format=audio_format
        )
        assert len(speech.content) > 1000


def test_the_sdk_holds_audio_before_the_rest_is_made(slow_service: RunningService) -> None:
    with (
        openai.OpenAI(base_url=f"{slow_service.url}/v1", api_key="any") as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=LONG, response_format="wav"
        ) as response,
    ):
        name = response.headers["content-disposition"].split('"')[1]
        pieces = response.iter_bytes()
        assert next(pieces)
        assert not is_complete(slow_service, name)
        assert list(pieces)
    assert is_complete(slow_service, name)


@pytest.mark.anyio
async def test_the_asynchronous_client_streams_too(service: RunningService) -> None:
    async with (
        openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="any") as client,
        client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=HELLO, response_format="pcm", extra_body={"seed": 5}
        ) as response,
    ):
        received = b"".join([piece async for piece in response.iter_bytes()])
    assert received == speech_of(HELLO, 5).tobytes()


def test_events(client: openai.OpenAI) -> None:
    stream = client.post(
        "/audio/speech",
        body={"model": "gpt-4o-mini-tts", "voice": "alloy", "input": HELLO, "seed": 5,
              "response_format": "pcm", "stream_format": "sse"},
        cast_to=object, stream=True, stream_cls=openai.Stream[object],
    )  # fmt: skip
    events: list[Any] = list(stream)
    assert heard_in(events) == speech_of(HELLO, 5).tobytes()
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] > 0


def test_events_line_by_line(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=HELLO, response_format="pcm",
        stream_format="sse", extra_body={"seed": 5},
    ) as response:  # fmt: skip
        lines = [line for line in response.iter_lines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert heard_in(events) == speech_of(HELLO, 5).tobytes()


def test_speed_and_a_voice_that_is_an_object(client: openai.OpenAI) -> None:
    speech = client.audio.speech.create(
        model="tts-1", voice={"id": "sine"}, input=HELLO * 5, speed=2, response_format="pcm"
    )
    seconds = len(speech.content) / 2 / SAMPLE_RATE
    assert seconds == pytest.approx(len(HELLO * 5) * 0.02 / 2, rel=0.1)


@pytest.mark.parametrize(
    ("wrong", "kind", "param", "code"),
    [
        ({"speed": 9}, openai.BadRequestError, "speed", "validation_error"),
        ({"input": ""}, openai.BadRequestError, "input", "validation_error"),
        ({"voice": "nobody"}, openai.NotFoundError, "voice", "voice_not_found"),
        ({"model": "tts-9"}, openai.NotFoundError, "model", "model_not_found"),
        ({"extra_body": {"language": "xx"}}, openai.BadRequestError, "language",
         "validation_error"),
    ],
)  # fmt: skip
def test_errors_are_the_sdks_own(
    client: openai.OpenAI,
    wrong: dict[str, Any],
    kind: type[openai.APIStatusError],
    param: str,
    code: str,
) -> None:
    with pytest.raises(kind) as raised:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": HELLO, **wrong})
    error = raised.value
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert error.request_id == error.response.headers["x-request-id"]


def test_models(client: openai.OpenAI) -> None:
    models = [model.id for model in client.models.list()]
    assert "tts-1" in models
    assert "fake" in models
    assert client.models.retrieve("fake").object == "model"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("tts-9")
    assert raised.value.code == "model_not_found"


def test_an_uploaded_voice(client: openai.OpenAI) -> None:
    response = client.post(
        "/audio/speech/upload",
        body={"input": HELLO, "response_format": "pcm", "seed": "5"},
        files={"voice_file": ("me.wav", wav_of(spoken()))},
        options={"headers": {"Content-Type": "multipart/form-data"}},
        cast_to=openai.HttpxBinaryResponseContent,
    )
    assert len(np.frombuffer(response.content, "<i2")) == len(speech_of(HELLO, 5))


def test_node_speaks_and_lists_and_fails_as_with_openai(
    service: RunningService, node: Callable[..., Any], tmp_path: Path
) -> None:
    said = node("speak.mjs", f"{service.url}/v1", str(tmp_path / "hello.pcm"))
    expected = speech_of("Hello from Node.", 1).tobytes()
    assert (tmp_path / "hello.pcm").read_bytes() == heard_in(said["events"]) == expected
    assert said["contentType"] == "audio/pcm;rate=24000"
    assert said["events"][-1]["type"] == "speech.audio.done"
    assert said["refused"] == {
        "name": "BadRequestError", "status": 400, "param": "speed", "code": "validation_error",
        "type": "invalid_request_error", "hasId": True,
    }  # fmt: skip
    assert said["missing"]["name"] == "NotFoundError"
    assert said["missing"]["code"] == "voice_not_found"
    assert {"tts-1", "fake"} <= set(said["models"])
    assert said["model"] == "model"


def test_node_holds_audio_before_the_rest_is_made(
    slow_service: RunningService, node: Callable[..., Any]
) -> None:
    read = node("stream.mjs", f"{slow_service.url}/v1", LONG)
    assert read["bytes"] > 24_000
    assert (read["atFirst"], read["atLast"]) == (False, True)
