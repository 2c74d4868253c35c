"""POST /voice, PUT /voice/{filename}/metadata and the deletions: contract section 4."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, files_below, running_api, settings_in, wait_until
from tests.support.recordings import GOOD, SECONDS
from tests.support.uploads import (
    accepted,
    assert_refused,
    samples_in,
    spoken,
    upload_voice,
    wav_of,
)

ANSWER = {"success", "message", "filename", "voice_metadata", "voice_info", "timestamp"}
METADATA = {
    "filename", "name", "url", "description", "duration_seconds", "sample_rate",
    "file_size_bytes", "format", "default_parameters", "tags", "created_date", "last_used",
    "usage_count", "folder_path",
}  # fmt: skip
ALL_FIELDS = {
    "name": "Alice Liddell",
    "description": "A girl who fell.",
    "tags": "young, clear",
    "folder_path": "books/wonderland",
    "default_parameters": '{"temperature": 0.4}',
}
TEMPERATE = {"temperature": 0.4}
KINDS = {file.format: file.content for file in GOOD}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for the tests that use names of their own."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("voices")) as running:
        yield running


def put(api: RunningApi, url: str, /, **fields: object) -> httpx.Response:
    return api.client.put(f"/api/v1/voice/{url}/metadata", json=fields)


def delete(api: RunningApi, path: str, **query: str) -> httpx.Response:
    return api.client.delete(f"/api/v1/{path}", params={"confirm": "true", **query})


def listed(api: RunningApi) -> list[str]:
    answer = api.client.get("/api/v1/voices", params={"sort_by": "name"}).json()
    return [voice["url"] for voice in answer["voices"]]


def test_the_answer_has_the_members_of_the_contract(shared: RunningApi) -> None:
    answer = accepted(upload_voice(shared, "shape.wav", **ALL_FIELDS))
    assert set(answer) == ANSWER
    assert set(answer["voice_metadata"]) == METADATA
    assert answer["voice_info"] == answer["voice_metadata"]
    assert answer["filename"] == "shape.wav"
    assert datetime.fromisoformat(answer["timestamp"]).tzinfo


def test_what_is_sent_is_what_is_answered(shared: RunningApi) -> None:
    answer = accepted(upload_voice(shared, "said.wav", **ALL_FIELDS))
    voice = answer["voice_metadata"]
    assert voice["name"] == "Alice Liddell"
    assert voice["description"] == "A girl who fell."
    assert voice["tags"] == ["young", "clear"]
    assert voice["folder_path"] == "books/wonderland"
    assert voice["url"] == "books/wonderland/said.wav"
    assert voice["default_parameters"] == TEMPERATE
    assert (voice["usage_count"], voice["last_used"]) == (0, None)
    assert voice["duration_seconds"] == pytest.approx(len(spoken()) / 24_000, abs=1e-3)


def test_the_voice_is_stored_where_its_url_says_with_every_sample(shared: RunningApi) -> None:
    voice = accepted(upload_voice(shared, "kept.wav", folder_path="a/b"))["voice_metadata"]
    stored = shared.voices / voice["url"]
    assert (samples_in(stored.read_bytes()) == spoken()).all()
    assert stored.stat().st_size == voice["file_size_bytes"]


def test_the_json_file_beside_the_audio_says_the_same(shared: RunningApi) -> None:
    voice = accepted(upload_voice(shared, "beside.wav", **ALL_FIELDS))["voice_metadata"]
    beside = json.loads((shared.voices / f"{voice['url']}.json").read_bytes())
    assert {name: beside[name] for name in voice} == voice


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_recording_is_accepted(shared: RunningApi, kind: str) -> None:
    voice = accepted(upload_voice(shared, f"a-{kind}.{kind}", KINDS[kind]()))["voice_metadata"]
    assert voice["duration_seconds"] == pytest.approx(SECONDS, abs=0.1)
    assert f"a-{kind}.wav" in listed(shared)


def test_the_content_counts_and_not_the_name(shared: RunningApi) -> None:
    assert accepted(upload_voice(shared, "says-mp3.mp3", KINDS["flac"]()))
    assert_refused(upload_voice(shared, "says-wav.wav", b"no audio" * 100), 400, "INVALID_AUDIO")


@pytest.mark.parametrize("field", ["voice_file", "audio_file"])
def test_names_of_the_file_field(shared: RunningApi, field: str) -> None:
    files = {field: (f"by-{field}.wav", wav_of(spoken()))}
    answer = accepted(shared.client.post("/api/v1/voice", files=files))
    assert answer["filename"] == f"by-{field}.wav"


@pytest.mark.parametrize("field", ["folder_path", "folder", "project"])
def test_names_of_the_folder_field(shared: RunningApi, field: str) -> None:
    answer = accepted(upload_voice(shared, f"in-{field}.wav", **{field: "some/where"}))
    assert answer["voice_metadata"]["folder_path"] == "some/where"


def test_folders_that_contradict_each_other_are_refused(shared: RunningApi) -> None:
    response = upload_voice(shared, "torn.wav", folder="one", project="two")
    assert_refused(response, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("tags", ["young, clear", '["young", "clear"]', "young,clear,young"])
def test_tags_are_a_comma_string_or_json(shared: RunningApi, tags: str) -> None:
    answer = upload_voice(shared, "tagged.wav", tags=tags, overwrite="true")
    assert accepted(answer)["voice_metadata"]["tags"] == ["young", "clear"]


def test_all_fields_may_come_in_one_metadata_json(shared: RunningApi) -> None:
    metadata = {**ALL_FIELDS, "tags": ["young", "clear"], "default_parameters": TEMPERATE}
    answer = upload_voice(shared, "at-once.wav", metadata=json.dumps(metadata))
    voice = accepted(answer)["voice_metadata"]
    assert voice["name"] == "Alice Liddell"
    assert voice["tags"] == ["young", "clear"]
    assert voice["default_parameters"] == TEMPERATE
    assert voice["url"] == "books/wonderland/at-once.wav"


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": "{"},
        {"metadata": "[]"},
        {"tags": '["young"'},
        {"default_parameters": "{"},
        {"default_parameters": "[1]"},
        {"default_parameters": '{"temperature": 9}'},
        {"default_parameters": '{"temperatur": 0.5}'},
        {"default_parameters": '{"text": "Hello."}'},
        {"overwrite": "perhaps"},
        {"name": "x" * 10_000},
    ],
    ids=str,
)
def test_fields_that_make_no_sense_are_refused(shared: RunningApi, fields: dict) -> None:
    before = files_below(shared.voices)
    assert_refused(upload_voice(shared, "senseless.wav", **fields), 400, "VALIDATION_ERROR")
    assert files_below(shared.voices) == before


def test_a_missing_file_is_a_missing_field(shared: RunningApi) -> None:
    response = shared.client.post("/api/v1/voice", files={"other": ("a.wav", b"")})
    assert_refused(response, 400, "MISSING_REQUIRED_FIELD")


def test_a_second_file_of_that_name_is_refused(shared: RunningApi) -> None:
    accepted(upload_voice(shared, "twice.wav", wav_of(spoken(1))))
    again = upload_voice(shared, "twice.wav", wav_of(spoken(2)))
    assert_refused(again, 409, "FILE_EXISTS")
    assert (samples_in((shared.voices / "twice.wav").read_bytes()) == spoken(1)).all()


def test_an_mp3_of_the_same_stem_does_not_replace_the_voice(shared: RunningApi) -> None:
    """What is stored is WAV, so the names collide."""
    accepted(upload_voice(shared, "same.wav"))
    assert_refused(upload_voice(shared, "same.mp3", KINDS["mp3"]()), 409, "FILE_EXISTS")


def test_overwrite_replaces_audio_and_description(shared: RunningApi) -> None:
    accepted(upload_voice(shared, "replaced.wav", tags="old", description="old"))
    new = upload_voice(shared, "replaced.wav", wav_of(spoken(2)), overwrite="true", tags="new")
    voice = accepted(new)["voice_metadata"]
    assert (voice["tags"], voice["description"]) == (["new"], "")
    assert (samples_in((shared.voices / "replaced.wav").read_bytes()) == spoken(2)).all()


def test_the_limit_is_exact(tmp_path: Path) -> None:
    wav = wav_of(spoken())
    for limit, status in ((len(wav), 200), (len(wav) - 1, 413)):
        settings = settings_in(tmp_path / str(limit), limits={"max_upload_bytes": limit})
        with running_api(FakeEngine(), tmp_path / str(limit), settings) as api:
            response = upload_voice(api, "limit.wav", wav)
            assert response.status_code == status
            if status == 413:
                assert_refused(response, 413, "FILE_TOO_LARGE")
                assert files_below(api.voices) == []


def test_put_changes_the_given_fields_only(shared: RunningApi) -> None:
    before = accepted(upload_voice(shared, "put.wav", **ALL_FIELDS))["voice_metadata"]
    answer = accepted(put(shared, before["url"], tags=["old"]))
    assert set(answer) == ANSWER
    assert answer["voice_info"] == answer["voice_metadata"] == {**before, "tags": ["old"]}
    beside = json.loads((shared.voices / f"{before['url']}.json").read_bytes())
    assert beside["tags"] == ["old"]


def test_put_can_empty_a_field(shared: RunningApi) -> None:
    url = accepted(upload_voice(shared, "emptied.wav", **ALL_FIELDS))["voice_metadata"]["url"]
    voice = accepted(put(shared, url, tags=[], description="", default_parameters={}))
    said = voice["voice_metadata"]
    assert (said["tags"], said["description"], said["default_parameters"]) == ([], "", {})
    assert said["name"] == "Alice Liddell"


@pytest.mark.parametrize("field", ["folder_path", "folder", "project"])
def test_put_moves_the_voice_to_another_folder(shared: RunningApi, field: str) -> None:
    before = accepted(upload_voice(shared, f"moved-{field}.wav", tags="kept"))["voice_metadata"]
    after = accepted(put(shared, before["url"], **{field: "new/home"}))["voice_metadata"]
    assert after["url"] == f"new/home/moved-{field}.wav"
    assert after["tags"] == ["kept"]
    assert after["created_date"] == before["created_date"]
    assert (samples_in((shared.voices / after["url"]).read_bytes()) == spoken()).all()
    assert not (shared.voices / before["url"]).exists()
    assert not (shared.voices / f"{before['url']}.json").exists()


def test_put_moves_back_to_the_root(shared: RunningApi) -> None:
    url = accepted(upload_voice(shared, "home.wav", folder="away"))["voice_metadata"]["url"]
    assert accepted(put(shared, url, folder_path=""))["voice_metadata"]["url"] == "home.wav"


def test_a_move_onto_another_voice_changes_neither(shared: RunningApi) -> None:
    accepted(upload_voice(shared, "both.wav", wav_of(spoken(1)), folder="here"))
    accepted(upload_voice(shared, "both.wav", wav_of(spoken(2)), folder="there"))
    beside = (shared.voices / "here/both.wav.json").read_bytes()
    response = put(shared, "here/both.wav", folder_path="there", tags=["moved"])
    assert_refused(response, 409, "FILE_EXISTS")
    assert (shared.voices / "here/both.wav.json").read_bytes() == beside
    assert (samples_in((shared.voices / "there/both.wav").read_bytes()) == spoken(2)).all()


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": 5},
        {"name": ["x"]},
        {"default_parameters": {"seed": -1}},
        {"folder_path": "../up"},
        {"folder_path": ".hidden"},
        {"folder": "a", "project": "b"},
    ],
    ids=str,
)
def test_a_put_that_makes_no_sense_changes_nothing(shared: RunningApi, fields: dict) -> None:
    upload_voice(shared, "steady.wav", tags="steady", overwrite="true")
    before = files_below(shared.voices), (shared.voices / "steady.wav.json").read_bytes()
    response = put(shared, "steady.wav", description="changed", **fields)
    assert_refused(response, 400, "VALIDATION_ERROR")
    assert (files_below(shared.voices), (shared.voices / "steady.wav.json").read_bytes()) == before


def test_put_of_no_voice(shared: RunningApi) -> None:
    assert_refused(put(shared, "nobody.wav", tags=[]), 404, "VOICE_NOT_FOUND")


def test_delete_one(api: RunningApi) -> None:
    accepted(upload_voice(api, "gone.wav", folder="x"))
    answer = accepted(delete(api, "voice/x/gone.wav"))
    assert answer["deleted_files"] == ["x/gone.wav"]
    assert (answer["deleted_file"], answer["deleted_count"]) == ("x/gone.wav", 1)
    assert {"message", "timestamp"} <= set(answer)
    assert files_below(api.voices) == []
    assert_refused(delete(api, "voice/x/gone.wav"), 404, "VOICE_NOT_FOUND")


@pytest.mark.parametrize("path", ["voice/stays.wav", "voices", "voices?tag=x"])
@pytest.mark.parametrize("confirm", [{}, {"confirm": "false"}])
def test_without_confirmation_nothing_is_deleted(
    shared: RunningApi, path: str, confirm: dict
) -> None:
    upload_voice(shared, "stays.wav", tags="x", overwrite="true")
    query = "&".join(f"{name}={value}" for name, value in confirm.items())
    response = shared.client.delete(f"/api/v1/{path}{'&' if '?' in path else '?'}{query}")
    assert_refused(response, 400, "CONFIRMATION_REQUIRED")
    assert (shared.voices / "stays.wav").exists()


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({"folder": "a"}, ["other.wav", "root.wav"]),
        ({"folder": "a/b"}, ["a/one.wav", "other.wav", "root.wav"]),
        ({"project": "a"}, ["other.wav", "root.wav"]),
        ({"tag": "red"}, ["a/b/two.wav", "other.wav", "root.wav"]),
        ({"search": "ROOT"}, ["a/b/two.wav", "a/one.wav", "other.wav"]),
        ({"filenames": "root.wav,a/one.wav"}, ["a/b/two.wav", "other.wav"]),
        ({"folder": "a", "tag": "red"}, ["a/b/two.wav", "other.wav", "root.wav"]),
        ({}, []),
    ],
    ids=str,
)
def test_delete_what_matches(api: RunningApi, query: dict, left: list[str]) -> None:
    for name, folder, tags in (
        ("one.wav", "a", "red"), ("two.wav", "a/b", ""),
        ("root.wav", "", ""), ("other.wav", "", ""),
    ):  # fmt: skip
        accepted(upload_voice(api, name, folder=folder, tags=tags))
    answer = accepted(delete(api, "voices", **query))
    assert sorted(listed(api)) == left
    assert answer["deleted_count"] == len(answer["deleted_files"]) == 4 - len(left)
    wait_until(lambda: len(files_below(api.voices)) == 2 * len(left))


@pytest.mark.parametrize(
    "query", [{"tag": "no"}, {"folder": "no"}, {"search": "no such"}, {"filenames": "no.wav"}]
)
def test_when_nothing_matches_nothing_is_deleted(shared: RunningApi, query: dict) -> None:
    upload_voice(shared, "unmatched.wav", overwrite="true")
    before = files_below(shared.voices)
    assert_refused(delete(shared, "voices", **query), 404, "RESOURCE_NOT_FOUND")
    assert files_below(shared.voices) == before


@pytest.mark.parametrize("query", [{"filenames": ""}, {"filenames": ","}, {"tag": ""}], ids=str)
def test_an_empty_filter_does_not_mean_everything(shared: RunningApi, query: dict) -> None:
    """A program whose list of names has come out empty must not lose all voices."""
    upload_voice(shared, "precious.wav", overwrite="true")
    assert_refused(delete(shared, "voices", **query), 400, "VALIDATION_ERROR")
    assert (shared.voices / "precious.wav").exists()


@pytest.mark.parametrize("route", ["voices", "vc_inputs", "outputs"])
@pytest.mark.parametrize("query", [{"foler": "x"}, {"filename": "x.wav"}, {"page": "1"}], ids=str)
def test_a_misspelt_filter_does_not_mean_everything(
    shared: RunningApi, route: str, query: dict
) -> None:
    upload_voice(shared, "precious.wav", overwrite="true")
    assert_refused(delete(shared, route, **query), 400, "VALIDATION_ERROR")
    assert (shared.voices / "precious.wav").exists()
