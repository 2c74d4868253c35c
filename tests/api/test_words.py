"""When each word is said: in the JSON answer and in server-sent events."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serve_app.domain.types import AudioFormat, Capabilities, SpeechRequest
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of
from tests.audio_tools import decode
from tests.support.direct import RunningApi, running_api
from tests.support.uploads import accepted, upload_voice

TEXT = "The first one is here, and it is long enough. The second one is here."
CHUNKS = ("The first one is here, and it is long enough.", "The second one is here.")
BODY = {"text": TEXT, "seed": 7, "timestamps": "word", "export_formats": ["wav"]}


class Speechless(FakeEngine):
    """A fake engine that does not know when it says a word."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, word_timings=False)


def answered(api: RunningApi, **body: Any) -> dict[str, Any]:
    response = api.client.post("/api/v1/tts?response_mode=url", json={**BODY, **body})
    return accepted(response)


@dataclass
class Heard:
    """What a client of the events got."""

    response: httpx.Response
    kinds: list[str] = field(default_factory=list)
    audio: bytes = b""
    words: list[dict[str, Any]] | None = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    seconds_at_word: list[float] = field(default_factory=list)  # of audio before each word


def listen(api: RunningApi, **body: Any) -> Heard:
    with api.client.stream(
        "POST", "/api/v1/tts", json={**BODY, "stream_format": "sse", **body}
    ) as response:
        heard = Heard(response)
        for line in filter(None, response.iter_lines()):
            take(heard, json.loads(line.removeprefix("data: ")))
    return heard


def take(heard: Heard, event: dict[str, Any]) -> None:
    heard.kinds.append(event["type"])
    heard.last = event
    if event["type"] == "speech.audio.delta":
        heard.audio += base64.b64decode(event["audio"])
    if event["type"] == "speech.words":
        if event["words"] is None:
            heard.words = None
        elif heard.words is not None:
            heard.words += event["words"]
            heard.seconds_at_word += [max(0, len(heard.audio) - 44) / 48_000] * len(event["words"])


def assert_they_tell_the_text(words: list[dict[str, Any]], seconds: float) -> None:
    assert " ".join(word["word"] for word in words) == TEXT
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= seconds + 1e-3


def test_the_json_answer_says_when_each_word_is_said(api: RunningApi) -> None:
    answer = answered(api)
    assert_they_tell_the_text(answer["words"], answer["duration_seconds"])
    second = len(speech_of(CHUNKS[0], 7)) / 24_000
    starts = {word["word"]: word["start"] for word in answer["words"]}
    assert starts["second"] > second > starts["enough."]
    assert answer["warnings"] == []


def test_without_asking_there_are_no_words(api: RunningApi) -> None:
    assert "words" not in answered(api, timestamps=None)
    heard = listen(api, timestamps=None)
    assert "speech.words" not in heard.kinds


def test_events_carry_the_whole_audio_and_words_before_it(api: RunningApi) -> None:
    heard = listen(api)
    assert heard.response.headers["content-type"] == "text/event-stream"
    assert heard.response.headers["x-generation-seed"] == "7"
    samples, _ = decode(heard.audio, AudioFormat.WAV)
    assert np.array_equal(samples, np.concatenate([speech_of(chunk, 7) for chunk in CHUNKS]))
    assert heard.words is not None
    assert_they_tell_the_text(heard.words, len(samples) / 24_000)
    starts = [word["start"] for word in heard.words]
    assert all(map(float.__le__, heard.seconds_at_word, starts))


def test_the_last_event_says_what_was_said(api: RunningApi) -> None:
    done = listen(api).last
    seconds = sum(len(speech_of(chunk, 7)) for chunk in CHUNKS) / 24_000
    assert done["type"] == "speech.audio.done"
    assert done["duration_seconds"] == pytest.approx(seconds, abs=1e-3)
    assert done["generation_seed_used"] == 7
    usage = done["usage"]
    assert usage["input_tokens"] == sum(map(len, CHUNKS))
    assert usage["output_tokens"] == round(25 * seconds)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_words_follow_the_speed_and_the_trim(tmp_path: Path) -> None:
    with running_api(FakeEngine(), tmp_path) as api:
        plain, fast = answered(api)["words"], answered(api, speed_factor=2.0)["words"]
        for slow_word, fast_word in zip(plain, fast, strict=True):
            assert fast_word["start"] == pytest.approx(slow_word["start"] / 2, abs=2e-3)


def test_words_pass_through_a_conversion(api: RunningApi) -> None:
    plain = answered(api)["words"]
    assert_they_tell_the_text(plain, seconds=2.0)
    accepted(upload_voice(api, "alice.wav"))
    assert answered(api, reference_audio_filename="alice")["words"] == plain
    assert answered(api, reference_audio_filename="onyx")["words"] == plain


def test_an_engine_that_cannot_tell_says_null(tmp_path: Path) -> None:
    with running_api(Speechless(), tmp_path) as api:
        answer = answered(api)
        assert answer["words"] is None
        assert "cannot tell" in answer["warnings"][0]
        heard = listen(api)
        assert heard.words is None
        assert heard.response.headers["x-ignored-parameters"] == "timestamps"


def test_a_stream_of_audio_has_no_place_for_words(api: RunningApi) -> None:
    response = api.client.post("/api/v1/tts", json=BODY)
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["x-ignored-parameters"] == "timestamps"


def test_a_failure_after_the_beginning_is_told_and_breaks_the_body(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []

    def listen_to_the_end(api: RunningApi) -> None:
        with api.client.stream(
            "POST", "/api/v1/tts", json={**BODY, "stream_format": "sse"}
        ) as response:
            assert response.status_code == 200
            lines = filter(None, response.iter_lines())
            heard.extend(json.loads(line.removeprefix("data: ")) for line in lines)

    with running_api(FakeEngine(fail_at_chunk=1), tmp_path) as api:
        with pytest.raises(httpx.RemoteProtocolError):
            listen_to_the_end(api)
        assert api.files() == []
    assert [event["type"] for event in heard][-2:] == ["speech.audio.delta", "error"]
    assert set(heard[-1]["error"]) == {"message", "type", "param", "code"}
    assert heard[-1]["error"]["code"] == "generation_failed"


def test_a_failure_before_any_audio_has_a_real_status(tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=0), tmp_path) as api:
        response = api.client.post("/api/v1/tts", json={**BODY, "stream_format": "sse"})
    assert response.status_code == 500
    assert response.json()["error_code"] == "GENERATION_FAILED"


@pytest.mark.parametrize("value", ["letter", 1, ["word"]])
def test_only_words_are_timed(api: RunningApi, value: object) -> None:
    response = api.client.post("/api/v1/tts", json={**BODY, "timestamps": value})
    assert response.status_code == 400
    assert "timestamps" in response.json()["error"]


def test_a_request_that_does_not_ask_costs_the_engine_nothing() -> None:
    chunks = list(FakeEngine().speak(SpeechRequest(CHUNKS, seed=7)))
    assert not any(chunk.words for chunk in chunks)
