"""Files that people put into reference_audio/, and what a name stands for: contract section 4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serve_app.engines.fake import FakeEngine, speech_of
from serve_app.engines.fake_conversion import converted_of
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.recordings import plain_wav, with_ffmpeg, with_soundfile
from tests.support.uploads import (
    RATE,
    accepted,
    assert_refused,
    spoken,
    upload_voice,
    wav_of,
)

TEXT = "Hello there."


def speak(api: RunningApi, voice: str, **body: Any) -> httpx.Response:
    asked = {"text": TEXT, "seed": 1, "export_formats": ["pcm"], "reference_audio_filename": voice}
    return api.client.post("/api/v1/tts", json={**asked, **body})


def drop(api: RunningApi, path: str, content: bytes) -> None:
    """As an editor or `cp` would: the folder is made, the file is written in place."""
    target = api.voices / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def listed(api: RunningApi) -> dict[str, dict[str, Any]]:
    answer = accepted(api.client.get("/api/v1/voices", params={"page_size": 100}))
    return {voice["url"]: voice for voice in answer["voices"]}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("stereo.wav", with_soundfile("WAV", "PCM_16", 44_100, 2)),
        ("plain.wav", plain_wav()),
        ("deep/down/there.mp3", with_ffmpeg("mp3", "libmp3lame", 44_100, "stereo")),
        ("lossless.flac", with_soundfile("FLAC", "PCM_24", 48_000)),
        ("phone.m4a", with_ffmpeg("ipod", "aac", 44_100)),
        ("chat.ogg", with_ffmpeg("ogg", "libopus", 48_000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_was_just_dropped_speaks_at_once(
    api: RunningApi, path: str, content: bytes
) -> None:
    drop(api, path, content)
    first = speak(api, path)
    assert first.status_code == 200, first.text
    assert first.content != speech_of(TEXT, 1).tobytes()
    assert len(first.content) == len(speech_of(TEXT, 1).tobytes())
    assert speak(api, path).content == first.content
    assert (api.voices / path).read_bytes() == content


def test_a_plain_file_that_was_dropped_is_the_voice_sample_for_sample(api: RunningApi) -> None:
    drop(api, "plain.wav", wav_of(spoken(3)))
    content = speak(api, "plain.wav").content
    assert content == converted_of(speech_of(TEXT, 1), spoken(3)).tobytes()


def test_dropped_files_are_listed_without_being_asked_for(api: RunningApi) -> None:
    stereo = with_soundfile("WAV", "PCM_16", 44_100, 2)
    drop(api, "by-hand.wav", stereo)
    drop(api, "cast/by-hand.mp3", with_ffmpeg("mp3", "libmp3lame"))
    wait_until(lambda: set(listed(api)) == {"by-hand.wav", "cast/by-hand.mp3"})
    voice = listed(api)["by-hand.wav"]
    assert (voice["format"], voice["sample_rate"]) == ("wav", 44_100)
    assert voice["file_size_bytes"] == len(stereo)
    assert voice["duration_seconds"] == pytest.approx(1.25, abs=0.01)
    assert listed(api)["cast/by-hand.mp3"]["folder_path"] == "cast"


def test_the_json_file_beside_a_dropped_voice_is_read(api: RunningApi) -> None:
    said = {"name": "The Narrator", "tags": ["calm"], "description": "By hand.",
            "default_parameters": {"temperature": 0.3}}  # fmt: skip
    drop(api, "hand.mp3.json", json.dumps(said).encode())
    drop(api, "hand.mp3", with_ffmpeg("mp3", "libmp3lame"))
    wait_until(lambda: "hand.mp3" in listed(api))
    voice = listed(api)["hand.mp3"]
    assert {name: voice[name] for name in said} == said
    assert "_temp0.3" in speak(api, "hand.mp3").headers["content-disposition"]


def test_an_edited_json_file_is_read_again(api: RunningApi) -> None:
    accepted(upload_voice(api, "edited.wav", tags="before"))
    beside = api.voices / "edited.wav.json"
    said = json.loads(beside.read_bytes())
    beside.write_text(json.dumps({**said, "tags": ["after"], "description": "New."}))
    wait_until(lambda: listed(api)["edited.wav"]["tags"] == ["after"])
    assert listed(api)["edited.wav"]["description"] == "New."


def test_what_is_put_is_written_beside_a_dropped_voice(api: RunningApi) -> None:
    drop(api, "put.mp3", with_ffmpeg("mp3", "libmp3lame"))
    answer = api.client.put("/api/v1/voice/put.mp3/metadata", json={"tags": ["said"]})
    assert accepted(answer)["voice_metadata"]["tags"] == ["said"]
    assert json.loads((api.voices / "put.mp3.json").read_bytes())["tags"] == ["said"]


def test_a_dropped_voice_can_be_moved_as_it_is(api: RunningApi) -> None:
    mp3 = with_ffmpeg("mp3", "libmp3lame")
    drop(api, "moved.mp3", mp3)
    answer = api.client.put("/api/v1/voice/moved.mp3/metadata", json={"folder": "new"})
    assert accepted(answer)["voice_metadata"]["url"] == "new/moved.mp3"
    assert (api.voices / "new/moved.mp3").read_bytes() == mp3
    assert not (api.voices / "moved.mp3").exists()


def test_broken_json_beside_a_voice_does_not_hide_it(api: RunningApi) -> None:
    drop(api, "broken.wav.json", b'{"tags": [')
    drop(api, "broken.wav", plain_wav())
    wait_until(lambda: "broken.wav" in listed(api))
    assert speak(api, "broken.wav").status_code == 200
    assert (api.voices / "broken.wav.json").read_bytes() == b'{"tags": ['


@pytest.mark.parametrize("parameters", [{"temperature": 9}, {"trim": "x"}, {"top_p": [1]}])
def test_bad_parameters_written_by_hand_are_an_error_of_the_request(
    api: RunningApi, parameters: dict
) -> None:
    drop(api, "odd.wav.json", json.dumps({"default_parameters": parameters}).encode())
    drop(api, "odd.wav", plain_wav())
    assert_refused(speak(api, "odd.wav"), 400, "VALIDATION_ERROR")


def test_what_is_no_audio_is_neither_listed_nor_a_voice(api: RunningApi) -> None:
    drop(api, "notes.txt", b"not audio")
    drop(api, "broken.wav", b"not audio")
    drop(api, "empty.mp3", b"")
    drop(api, "real.wav", plain_wav())
    wait_until(lambda: "real.wav" in listed(api))
    assert set(listed(api)) == {"real.wav"}
    for name in ("notes.txt", "broken.wav", "empty.mp3"):
        assert_refused(speak(api, name), 404, "VOICE_NOT_FOUND")


def test_a_voice_that_is_deleted_by_hand_disappears(api: RunningApi) -> None:
    accepted(upload_voice(api, "taken.wav"))
    (api.voices / "taken.wav").unlink()
    assert_refused(speak(api, "taken.wav"), 404, "VOICE_NOT_FOUND")
    wait_until(lambda: listed(api) == {})


def test_a_voice_that_is_replaced_by_hand_speaks_anew(api: RunningApi) -> None:
    accepted(upload_voice(api, "changed.wav", wav_of(spoken(1))))
    speak(api, "changed.wav")
    (api.voices / "changed.wav").write_bytes(wav_of(spoken(2, 0.6)))
    content = speak(api, "changed.wav").content
    assert content == converted_of(speech_of(TEXT, 1), spoken(2, 0.6)).tobytes()


@pytest.fixture(scope="module")
def alices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service that knows alice.wav, uploaded as alice.mp3, and voices in folders."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("alices")) as api:
        accepted(upload_voice(api, "alice.mp3", with_ffmpeg("mp3", "libmp3lame")))
        accepted(upload_voice(api, "bob.wav", folder="cast", name="Robert the Bold"))
        accepted(upload_voice(api, "carl.wav", folder="cast/deep"))
        accepted(upload_voice(api, "eve.wav", wav_of(spoken(5))))
        accepted(upload_voice(api, "eve.wav", wav_of(spoken(6)), folder="cast"))
        accepted(upload_voice(api, "dora.v2.wav"))
        yield api


@pytest.mark.parametrize(
    "name",
    ["alice.mp3", "alice", "alice.wav", "bob.wav", "bob", "cast/bob.wav", "cast/bob",
     "cast/deep/carl", "deep/carl", "dora.v2", "dora.v2.wav", "Robert the Bold"],
)  # fmt: skip
def test_what_a_name_may_be(alices: RunningApi, name: str) -> None:
    response = speak(alices, name)
    assert response.status_code == 200, response.text
    assert response.content != speech_of(TEXT, 1).tobytes()


@pytest.mark.parametrize(
    "name",
    ["carl.wav", "cast/deep", "cast", "alice.flac.wav", "alic", "Alice", "/alice.wav",
     "./alice.wav", "cast/../alice.wav", "alice.wav.json", "alice.wav/", "bold", "robert the bold"],
)  # fmt: skip
def test_what_a_name_may_not_be(alices: RunningApi, name: str) -> None:
    assert_refused(speak(alices, name), 404, "VOICE_NOT_FOUND")


def test_the_exact_path_goes_before_subfolders(alices: RunningApi) -> None:
    speech = speech_of(TEXT, 1)
    assert len(spoken(5)) * 1000 // RATE == 500
    assert speak(alices, "eve").content == converted_of(speech, spoken(5)).tobytes()
    assert speak(alices, "cast/eve").content == converted_of(speech, spoken(6)).tobytes()


def test_a_display_name_that_two_voices_have_is_refused(api: RunningApi) -> None:
    accepted(upload_voice(api, "one.wav", name="Narrator"))
    accepted(upload_voice(api, "two.wav", name="Narrator"))
    error = assert_refused(speak(api, "Narrator"), 400, "VALIDATION_ERROR")
    assert "one.wav" in error["error"]
    assert "two.wav" in error["error"]


def test_nothing_but_audio_and_its_json_is_visible_in_the_folder(api: RunningApi) -> None:
    """People look into it: what the service needs for itself is hidden."""
    drop(api, "odd.mp3", with_ffmpeg("mp3", "libmp3lame"))
    speak(api, "odd.mp3")
    accepted(upload_voice(api, "sent.wav"))
    visible = {path for path in files_below(api.voices) if not path.startswith(".")}
    assert visible - {"odd.mp3.json"} == {"odd.mp3", "sent.wav", "sent.wav.json"}
