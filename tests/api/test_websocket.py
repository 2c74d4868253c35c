"""Text in and audio out over a WebSocket: what each message does, and what it answers."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from serve_app.api.websocket.session import Session
from serve_app.domain.types import AudioFormat, Capabilities, SpeechRequest
from serve_app.engines.fake import CAPABILITIES, FakeEngine, speech_of
from serve_app.observability.metrics import Outcome
from serve_app.settings import Settings
from tests.support.direct import (
    RunningApi,
    files_below,
    running_api,
    settings_in,
    wait_until,
)
from tests.support.sockets import Talker, serving_folder, talking
from tests.support.uploads import spoken, wav_of

SENTENCES = ("The first sentence is here.", "The second one comes later.", "The last one ends it.")
TEXT = " ".join(SENTENCES)
SPEECH = b"".join(speech_of(sentence, 1).tobytes() for sentence in SENTENCES)
LONG = " ".join(f"This is sentence number {n} of many." for n in range(100))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for all; each test has a socket of its own."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def talker(api: RunningApi) -> Iterator[Talker]:
    with talking(api.url) as talker:
        yield talker


def test_an_utterance_is_started_spoken_and_done(talker: Talker) -> None:
    heard = talker.speak(TEXT, utterance_id="one")
    (started,) = heard.events("started")
    assert started["utterance_id"] == "one"
    assert started["media_type"] == "audio/pcm;rate=24000"
    assert (started["format"], started["sample_rate"], started["seed"]) == ("pcm", 24000, 1)
    assert started["ignored"] == []
    assert heard.audio == SPEECH
    assert heard.messages[-1] == {
        "type": "done", "utterance_id": "one", "cancelled": False,
        "duration_seconds": round(len(SPEECH) / 48_000, 4),
    }  # fmt: skip


def test_the_audio_does_not_depend_on_the_messages(talker: Talker) -> None:
    assert talker.speak(*TEXT).audio == talker.speak(TEXT).audio == SPEECH


def test_a_socket_serves_utterance_after_utterance(talker: Talker) -> None:
    for seed in (1, 2):
        expected = speech_of(SENTENCES[0], seed).tobytes()
        assert talker.speak(SENTENCES[0], seed=seed).audio == expected


def test_audio_comes_while_the_text_is_still_being_written(talker: Talker) -> None:
    talker.start()
    talker.say(*SENTENCES[0], " The", " ")
    assert talker.hear("bytes").audio == speech_of(SENTENCES[0], 1).tobytes()


def test_flush_speaks_what_is_there(talker: Talker) -> None:
    talker.start()
    talker.say("No end of a sentence")
    talker.send("flush")
    assert talker.hear("bytes").audio == speech_of("No end of a sentence", 1).tobytes()


def test_flushing_and_ending_nothing_is_no_error(talker: Talker) -> None:
    talker.start()
    talker.send("flush")
    talker.say("  \n", "* * *", "…")
    talker.send("end")
    heard = talker.hear("done")
    assert heard.audio == b""
    assert heard.messages[-1]["duration_seconds"] == 0


def test_marks_without_speech_do_not_end_an_utterance(talker: Talker) -> None:
    talker.start()
    for text in ("* * *", SENTENCES[0], "🙂"):
        talker.say(text)
        talker.send("flush")
    talker.send("end")
    assert talker.hear("done").audio == speech_of(SENTENCES[0], 1).tobytes()


def test_what_the_pronunciation_list_takes_away_does_not_end_an_utterance(talker: Talker) -> None:
    talker.start(sound_words_field="Hm")
    for text in ("Hm.", SENTENCES[0], "Hm, hm."):
        talker.say(text)
        talker.send("flush")
    talker.send("end")
    assert talker.hear("done").audio == speech_of(SENTENCES[0], 1).tobytes()


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_each_format_is_one_container(
    api: RunningApi, audio_format: AudioFormat, talker: Talker
) -> None:
    whole = talker.speak(TEXT, format=audio_format).audio
    body = {"text": TEXT, "seed": 1, "export_formats": [audio_format]}
    stream = api.client.post("/api/v1/tts", json=body).content
    assert abs(len(whole) - len(stream)) <= 0.05 * len(stream)
    assert whole[:4] == stream[:4]


def test_a_wav_has_one_header(talker: Talker) -> None:
    with wave.open(io.BytesIO(talker.speak(TEXT, format="wav").audio)) as file:
        assert file.getframerate() == 24000
        assert file.readframes(len(SPEECH)) == SPEECH


def test_speed_is_one_stretch_over_the_whole_utterance(talker: Talker) -> None:
    audio = talker.speak(TEXT, speed_factor=2.0).audio
    assert len(audio) == pytest.approx(len(SPEECH) / 2, abs=2)


def test_a_voice_of_the_library_is_counted_once(api: RunningApi, talker: Talker) -> None:
    wav = api.client.post("/api/v1/tts", json={"text": TEXT, "export_formats": ["wav"]}).content
    api.client.post("/api/v1/voice", files={"voice_file": ("mine.wav", wav)})
    api.client.put("/api/v1/voice/mine.wav/metadata", json={"default_parameters": {"seed": 7}})
    assert talker.speak(TEXT, voice="mine.wav").events("started")[0]["seed"] == 1
    (voice,) = api.client.get("/api/v1/voices").json()["voices"]
    assert voice["usage_count"] == 1


@pytest.mark.parametrize("voice", ["sine", "alloy", "nova"])
def test_voices_of_the_engine_and_presets_speak_too(talker: Talker, voice: str) -> None:
    assert len(talker.speak(TEXT, voice=voice).audio) == len(SPEECH)


def test_nothing_is_stored(api: RunningApi, talker: Talker) -> None:
    before = api.files()
    talker.speak(TEXT, format="mp3")
    assert api.files() == before


def test_an_utterance_is_counted_once(api: RunningApi, talker: Talker) -> None:
    api.recorder.endings.clear()
    api.recorder.first_audios.clear()
    talker.speak(TEXT)
    assert api.recorder.endings == [("tts", Outcome.COMPLETED, len(SPEECH) / 48_000)]
    assert [kind for kind, _ in api.recorder.first_audios] == ["tts"]


def test_what_has_no_effect_is_named(talker: Talker) -> None:
    started = talker.speak(
        SENTENCES[0], cfg_weight=2, normalize_audio=True, export_formats=["mp3"], colour="red"
    ).events("started")[0]
    ignored = ["cfg_weight", "colour", "export_formats", "normalize_audio"]
    assert sorted(started["ignored"]) == ignored


def error_of(talker: Talker) -> dict:
    return talker.hear("error").events("error")[0]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"voice": "nobody"}, "VOICE_NOT_FOUND"),
        ({"format": "midi"}, "UNSUPPORTED_FORMAT"),
        ({"language": "xx"}, "VALIDATION_ERROR"),
        ({"speed_factor": 9}, "VALIDATION_ERROR"),
        ({"voice": {"id": "nova"}}, "VALIDATION_ERROR"),
        ({"format": 5}, "VALIDATION_ERROR"),
        ({"colour": "red", "voice": "x" * 100_000}, "VOICE_NOT_FOUND"),
        ({"text": "hello"}, "VALIDATION_ERROR"),
        ({"voice": "http://127.0.0.1/voice.wav"}, "URL_NOT_ALLOWED"),
    ],
)
def test_a_start_that_cannot_be_served_is_refused(talker: Talker, fields: dict, code: str) -> None:
    talker.start(utterance_id="bad", **fields)
    talker.say("What was sent before the refusal came is ignored. ")
    talker.send("end")
    error = error_of(talker)
    assert (error["error_code"], error["ends"], error["utterance_id"]) == (code, "utterance", "bad")
    assert talker.speak(TEXT).audio == SPEECH


@pytest.mark.parametrize(
    "frame",
    [b"\0\0", "no JSON", "[]", '{"type": "sing"}', '{"text": "hello"}', '{"type": "text"}',
     '{"type": "text", "text": 3}'],
)  # fmt: skip
def test_what_is_no_message_is_told_and_ends_nothing(talker: Talker, frame: str | bytes) -> None:
    talker.start()
    talker.hear("started")
    talker.connection.send(frame)
    error = error_of(talker)
    assert (error["error_code"], error["ends"]) == ("VALIDATION_ERROR", "nothing")
    talker.say(TEXT)
    talker.send("end")
    assert talker.hear("done").audio == SPEECH


def test_text_without_a_start_is_an_error(talker: Talker) -> None:
    talker.say("Hello")
    assert "start" in error_of(talker)["detail"]


def test_text_after_the_end_is_an_error(talker: Talker) -> None:
    talker.speak(TEXT)
    talker.say("Hello")
    assert error_of(talker)["ends"] == "nothing"


def test_a_second_start_does_not_disturb_the_first(talker: Talker) -> None:
    talker.start(utterance_id="first")
    talker.start(utterance_id="second")
    assert error_of(talker)["utterance_id"] == "second"
    talker.say(TEXT)
    talker.send("end")
    heard = talker.hear("done")
    assert (heard.audio, heard.messages[-1]["utterance_id"]) == (SPEECH, "first")


def test_more_text_than_may_wait_ends_the_utterance(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, websocket={"max_pending_chars": 500})
    with (
        running_api(FakeEngine(chunk_delay_s=0.1), tmp_path, settings) as api,
        talking(api.url) as talker,
    ):
        talker.start()
        talker.say(LONG)
        error = error_of(talker)
        assert (error["error_code"], error["ends"]) == ("TEXT_TOO_LONG", "utterance")
        assert talker.speak(SENTENCES[0]).audio == speech_of(SENTENCES[0], 1).tobytes()


def test_an_engine_that_fails_ends_the_utterance(tmp_path: Path) -> None:
    with running_api(FakeEngine(fail_at_chunk=0), tmp_path) as api, talking(api.url) as talker:
        error = talker.speak(TEXT).events("error")[0]
        assert (error["error_code"], error["ends"]) == ("GENERATION_FAILED", "utterance")
        wait_until(lambda: api.recorder.endings == [("tts", Outcome.FAILED, 0.0)])


def test_a_fault_of_ours_ends_the_utterance_and_tells_nothing_of_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: SpeechRequest) -> NoReturn:
        raise RuntimeError("secret")

    with running_api(FakeEngine(), tmp_path) as api, talking(api.url) as talker:
        with monkeypatch.context() as patch:
            patch.setattr(api.backend, "speak", broken)
            error = talker.speak(TEXT).events("error")[0]
        assert (error["error_code"], error["ends"]) == ("INTERNAL_ERROR", "utterance")
        assert "secret" not in str(error)
        assert talker.speak(TEXT).audio == SPEECH


def test_a_message_that_is_too_large_ends_the_socket(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, limits={"max_body_bytes": 2000})
    with running_api(FakeEngine(), tmp_path, settings) as api, talking(api.url) as talker:
        talker.say("x" * 3000)
        with pytest.raises(ConnectionClosed) as closed:
            talker.connection.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_cancel_stops_at_once_and_the_next_utterance_is_whole(slow_api: RunningApi) -> None:
    with talking(slow_api.url) as talker:
        talker.start(utterance_id="long")
        talker.say(LONG)
        talker.hear("bytes")
        talker.send("cancel")
        talker.start(utterance_id="next")
        talker.say(SENTENCES[0])
        talker.send("end")
        cancelled = talker.hear("done")
        assert cancelled.messages[-1]["utterance_id"] == "long"
        assert cancelled.messages[-1]["cancelled"] is True
        assert talker.hear("done").audio == speech_of(SENTENCES[0], 1).tobytes()
    assert slow_api.recorder.endings[0][:2] == ("tts", Outcome.CANCELLED)


def test_cancel_before_anything_was_said(slow_api: RunningApi) -> None:
    with talking(slow_api.url) as talker:
        talker.start()
        talker.send("cancel")
        done = talker.hear("done").messages[-1]
        assert (done["cancelled"], done["duration_seconds"]) == (True, 0)
        talker.say("What is still on its way belongs to what was cancelled.")
        talker.send("end")
        assert talker.speak(SENTENCES[0]).audio == speech_of(SENTENCES[0], 1).tobytes()


@pytest.mark.parametrize("ending", ["end", "cancel", "leave"])
def test_a_voice_that_was_fetched_is_removed_whatever_way_it_ends(
    tmp_path: Path, ending: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "voice.wav").write_bytes(wav_of(spoken(1, 1.0)))
    sources = {"allow_urls": True, "allowed_networks": ["127.0.0.0/8"]}
    settings = settings_in(tmp_path, sources=sources)
    with (
        serving_folder(tmp_path / "site") as site,
        running_api(FakeEngine(chunk_delay_s=0.05), tmp_path, settings) as api,
    ):

        def fetched() -> list[str]:
            return [name for name in files_below(api.vc_inputs) if name.endswith(".wav")]

        with talking(api.url) as talker:
            talker.start(voice=f"{site}/voice.wav")
            talker.say(SENTENCES[0])
            talker.send("flush")
            talker.hear("bytes")
            assert len(fetched()) == 1
            if ending != "leave":
                talker.send(ending)
                talker.hear("done")
                assert fetched() == []
        wait_until(lambda: fetched() == [])


def test_cancelling_nothing_is_no_error(talker: Talker) -> None:
    talker.send("cancel")
    assert talker.speak(TEXT).audio == SPEECH
    talker.send("cancel")
    assert talker.speak(TEXT).audio == SPEECH


def test_leaving_stops_the_engine(slow_api: RunningApi) -> None:
    with talking(slow_api.url) as talker:
        talker.start()
        talker.say(LONG)
        talker.hear("bytes")
    wait_until(lambda: slow_api.backend.open_streams == 0, seconds=2)
    wait_until(lambda: [o for _, o, _ in slow_api.recorder.endings] == [Outcome.CANCELLED])


def test_an_idle_socket_is_closed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, websocket={"idle_timeout_s": 0.1})
    with (
        running_api(FakeEngine(), tmp_path, settings) as api,
        talking(api.url) as talker,
        pytest.raises(ConnectionClosed) as closed,
    ):
        talker.connection.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4408, "Idle for 0.1 seconds.")


def test_a_socket_is_not_idle_while_its_listener_hears_what_was_sent(tmp_path: Path) -> None:
    """The engine is far faster than the listener; the socket waits for both, and then longer."""
    settings = settings_in(tmp_path, websocket={"idle_timeout_s": 0.3})
    with running_api(FakeEngine(), tmp_path, settings) as api, talking(api.url) as talker:
        began = time.monotonic()
        seconds = len(talker.speak(TEXT).audio) / 48_000
        with pytest.raises(ConnectionClosed):
            talker.connection.recv(timeout=10)
        assert time.monotonic() - began >= seconds + 0.3


def test_an_id_that_is_too_long_is_refused_by_the_name_it_begins_with(talker: Talker) -> None:
    talker.start(utterance_id="x" * 129)
    error = error_of(talker)
    assert (error["ends"], error["utterance_id"]) == ("utterance", "x" * 128)


def test_text_that_cannot_be_spoken_is_no_failure_of_ours(tmp_path: Path) -> None:
    with running_api(LatinEngine(), tmp_path) as api, talking(api.url) as talker:
        talker.start()
        talker.say(SENTENCES[0], " ")
        talker.send("flush")
        talker.say("Здравствуйте.")
        talker.send("end")
        assert error_of(talker)["error_code"] == "VALIDATION_ERROR"
        wait_until(lambda: api.recorder.endings)
        assert [outcome for _, outcome, _ in api.recorder.endings] == [Outcome.CANCELLED]


class Flood:
    """A socket on which the next message is always there already."""

    def __init__(self, count: int) -> None:
        self._left = count

    async def receive(self) -> dict[str, str]:
        self._left -= 1
        if self._left < 0:
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "text": '{"type": "cancel"}'}


async def test_a_client_that_floods_its_socket_leaves_the_others_their_turns() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    services: Any = SimpleNamespace(settings=Settings())
    socket: Any = Flood(1000)
    await Session(services, socket, "request").run()
    waiting.cancel()
    assert turns >= 1000


def test_a_socket_on_which_something_is_spoken_is_not_idle(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, websocket={"idle_timeout_s": 0.1})
    with (
        running_api(FakeEngine(chunk_delay_s=0.3), tmp_path, settings) as api,
        talking(api.url) as talker,
    ):
        assert talker.speak(TEXT).audio == SPEECH


class LatinEngine(FakeEngine):
    """Reads Latin letters only."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, scripts=("LATIN",))


class SilentEngine(FakeEngine):
    """Does not tell when it says which word."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, word_timings=False)


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_words_are_timed_in_the_audio_of_the_utterance(talker: Talker, speed: float) -> None:
    heard = talker.speak(*TEXT, timestamps="word", speed_factor=speed)
    words = [word for event in heard.events("alignment") for word in event["words"]]
    assert [word["word"] for word in words] == TEXT.split()
    seconds = np.cumsum([len(speech_of(sentence, 1)) / 24_000 / speed for sentence in SENTENCES])
    starts = {word["word"]: word["start"] for word in words}
    assert starts["second"] == pytest.approx(seconds[0] + 0.2 * (seconds[1] - seconds[0]), abs=0.01)
    assert words[-1]["end"] == pytest.approx(heard.messages[-1]["duration_seconds"], abs=0.01)


def test_words_come_before_their_audio(talker: Talker) -> None:
    heard = talker.speak(TEXT, timestamps="word")
    sent = 0.0
    for message in heard.messages:
        if isinstance(message, bytes):
            sent += len(message) / 48_000
        elif message["type"] == "alignment":
            assert all(word["start"] >= sent - 0.001 for word in message["words"])


def test_words_are_told_only_where_they_are_asked_for(talker: Talker) -> None:
    assert talker.speak(TEXT).events("alignment") == []


def test_an_engine_that_cannot_tell_its_words_says_so_once(tmp_path: Path) -> None:
    with running_api(SilentEngine(), tmp_path) as api, talking(api.url) as talker:
        heard = talker.speak(TEXT, timestamps="word")
    assert [event["words"] for event in heard.events("alignment")] == [None]
    assert "timestamps" in heard.events("started")[0]["ignored"]


def test_the_request_id_goes_back(api: RunningApi) -> None:
    with talking(api.url, additional_headers={"X-Request-ID": "mine-1"}) as talker:
        response = talker.connection.response
        assert response is not None
        assert response.headers["x-request-id"] == "mine-1"
        assert talker.speak(TEXT).events("started")[0]["request_id"] == "mine-1"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://["]
)
def test_a_page_of_another_site_may_not_connect(api: RunningApi, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(api.url, origin=origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:3000", "SELF"])
def test_a_page_of_this_service_or_an_allowed_one_may(api: RunningApi, origin: str) -> None:
    with talking(api.url, origin=origin.replace("SELF", api.url)) as talker:
        assert talker.speak(TEXT).audio == SPEECH
