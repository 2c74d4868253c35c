"""GET /v1/models and /v1/audio/voices, in the shapes that clients look for."""

from __future__ import annotations

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api, settings_in
from tests.support.uploads import accepted, upload_voice


def test_models_are_those_that_speech_can_be_asked_of(api: RunningApi) -> None:
    listed = api.client.get("/v1/models").json()
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert names == ["fake", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"]
    for model in listed["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert api.client.get(f"/v1/models/{model['id']}").json() == model
        body = {"model": model["id"], "input": "Hello.", "voice": "alloy"}
        assert api.client.post("/v1/audio/speech", json=body).status_code == 200


def test_open_webui_finds_models_under_its_own_path_and_key(api: RunningApi) -> None:
    listed = api.client.get("/v1/audio/models").json()
    assert listed["models"] == api.client.get("/v1/models").json()["data"]


def test_every_voice_listed_can_be_asked_for_by_its_id(api: RunningApi) -> None:
    accepted(upload_voice(api, "alice.wav", name="Alice", folder_path="friends"))
    listed = api.client.get("/v1/audio/voices").json()
    names = {voice["id"]: voice["name"] for voice in listed["voices"]}
    assert {"alloy", "nova", "onyx", "sine", "friends/alice.wav"} <= set(names)
    assert names["friends/alice.wav"] == "Alice"
    for name in names:
        body = {"model": "tts-1", "input": "Hello.", "voice": name}
        assert api.client.post("/v1/audio/speech", json=body).status_code == 200


def test_voices_are_under_every_key_and_path_that_clients_look_at(api: RunningApi) -> None:
    listed = api.client.get("/v1/audio/voices").json()
    assert listed["data"] == listed["voices"]
    assert listed == api.client.get("/v1/voices").json()
    assert listed == api.client.get("/v1/audio/voices", params={"limit": 100}).json()


def test_an_operators_names_are_listed(tmp_path) -> None:
    settings = settings_in(tmp_path, presets={"captain": {"pitch": 0.7}, "alloy": None})
    with running_api(FakeEngine(), tmp_path, settings) as api:
        names = [voice["id"] for voice in api.client.get("/v1/audio/voices").json()["voices"]]
    assert "captain" in names
    assert "alloy" not in names
