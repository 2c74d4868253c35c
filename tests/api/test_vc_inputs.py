"""The inputs of voice conversion: contract section 5."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.recordings import GOOD, SECONDS, with_ffmpeg
from tests.support.uploads import (
    accepted,
    assert_refused,
    samples_in,
    spoken,
    upload_input,
    wav_of,
)

METADATA = {
    "filename", "url", "text", "duration_seconds", "sample_rate", "file_size_bytes", "format",
    "created_date", "last_used", "usage_count", "folder_path",
}  # fmt: skip
LISTING = {
    "success", "vc_inputs", "count", "total", "page", "page_size", "total_pages", "has_next",
    "has_previous", "pagination", "timestamp",
}  # fmt: skip
KINDS = {file.format: file.content for file in GOOD}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One service for the tests that use names of their own."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("inputs")) as running:
        yield running


def listing(api: RunningApi, **query: Any) -> dict[str, Any]:
    return accepted(api.client.get("/api/v1/vc_inputs", params=query))


def urls(api: RunningApi, **query: Any) -> list[str]:
    return [file["url"] for file in listing(api, **query)["vc_inputs"]]


def test_an_upload(shared: RunningApi) -> None:
    answer = accepted(upload_input(shared, "talk.wav", text="What I say.", folder_path="a/b"))
    file = answer["vc_input_metadata"]
    assert set(file) >= METADATA
    assert answer["filename"] == "talk.wav"
    assert {"message", "timestamp"} <= set(answer)
    assert (file["url"], file["folder_path"]) == ("a/b/talk.wav", "a/b")
    assert file["text"] == "What I say."
    assert (file["usage_count"], file["last_used"]) == (0, None)
    stored = shared.vc_inputs / "a/b/talk.wav"
    assert (samples_in(stored.read_bytes()) == spoken()).all()
    assert stored.stat().st_size == file["file_size_bytes"]
    assert json.loads((shared.vc_inputs / "a/b/talk.wav.json").read_bytes())["text"] == file["text"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_recording_is_accepted(shared: RunningApi, kind: str) -> None:
    file = accepted(upload_input(shared, f"a-{kind}.{kind}", KINDS[kind]()))["vc_input_metadata"]
    assert file["duration_seconds"] == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("field", ["folder_path", "folder", "project"])
def test_names_of_the_folder_field(shared: RunningApi, field: str) -> None:
    answer = accepted(upload_input(shared, f"in-{field}.wav", **{field: "some/where"}))
    assert answer["vc_input_metadata"]["folder_path"] == "some/where"


def test_a_second_file_of_that_name_needs_overwrite(shared: RunningApi) -> None:
    accepted(upload_input(shared, "twice.wav", wav_of(spoken(1))))
    again = upload_input(shared, "twice.wav", wav_of(spoken(2)))
    assert_refused(again, 409, "FILE_EXISTS")
    accepted(upload_input(shared, "twice.wav", wav_of(spoken(2)), overwrite="true"))
    assert (samples_in((shared.vc_inputs / "twice.wav").read_bytes()) == spoken(2)).all()


def test_what_is_no_recording_is_refused(shared: RunningApi) -> None:
    before = files_below(shared.vc_inputs)
    assert_refused(upload_input(shared, "bad.wav", b"no audio" * 99), 400, "INVALID_AUDIO")
    nothing = shared.client.post("/api/v1/vc_input", files={"other": ("a.wav", b"")})
    assert_refused(nothing, 400, "MISSING_REQUIRED_FIELD")
    assert files_below(shared.vc_inputs) == before


def test_inputs_are_no_voices(shared: RunningApi) -> None:
    accepted(upload_input(shared, "only-input.wav"))
    body = {"text": "Hi.", "reference_audio_filename": "only-input.wav"}
    assert_refused(shared.client.post("/api/v1/tts", json=body), 404, "VOICE_NOT_FOUND")
    assert accepted(shared.client.get("/api/v1/voices"))["total"] == 0


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with three inputs, the last one dropped by hand."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("talks")) as api:
        accepted(upload_input(api, "b.wav", wav_of(spoken(1, 0.6)), text="About bees"))
        accepted(upload_input(api, "a.wav", wav_of(spoken(2, 0.3)), folder="old"))
        (api.vc_inputs / "old/deep").mkdir()
        (api.vc_inputs / "old/deep/c.mp3").write_bytes(with_ffmpeg("mp3", "libmp3lame"))
        wait_until(lambda: listing(api)["total"] == 3)
        yield api


def test_the_listing_has_the_shape_of_the_voices(talks: RunningApi) -> None:
    answer = listing(talks, page=2, page_size=2)
    assert set(answer) >= LISTING
    assert (answer["count"], answer["total"], answer["total_pages"]) == (1, 3, 2)
    assert (answer["has_next"], answer["has_previous"]) == (False, True)
    assert answer["pagination"] == {
        "current_page": 2, "page_size": 2, "total_vc_inputs": 3, "total_pages": 2,
        "has_next": False, "has_previous": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["old/a.wav", "b.wav", "old/deep/c.mp3"]),
        ({"search": "BEES"}, ["b.wav"]),
        ({"folder": "old"}, ["old/a.wav", "old/deep/c.mp3"]),
        ({"project": "old/deep"}, ["old/deep/c.mp3"]),
        ({"search": "no such"}, []),
    ],
    ids=str,
)
def test_filters(talks: RunningApi, query: dict, found: list[str]) -> None:
    assert urls(talks, sort_by="name", sort_order="asc", **query) == found


def test_sorting(talks: RunningApi) -> None:
    assert urls(talks, sort_by="duration", sort_order="asc")[0] == "old/a.wav"
    assert urls(talks)[0] == "old/deep/c.mp3"


def test_folders(talks: RunningApi) -> None:
    answer = accepted(talks.client.get("/api/v1/vc_inputs/folders"))
    counts = {folder["path"]: folder["file_count"] for folder in answer["folders"]}
    assert counts == {"": 1, "old": 1, "old/deep": 1}


@pytest.mark.parametrize("path", ["vc_input/a.wav", "vc_inputs"])
def test_without_confirmation_nothing_is_deleted(api: RunningApi, path: str) -> None:
    accepted(upload_input(api, "a.wav"))
    assert_refused(api.client.delete(f"/api/v1/{path}"), 400, "CONFIRMATION_REQUIRED")
    assert urls(api) == ["a.wav"]


def test_delete_one(api: RunningApi) -> None:
    accepted(upload_input(api, "a.wav", folder="x"))
    answer = accepted(api.client.delete("/api/v1/vc_input/x/a.wav?confirm=true"))
    assert answer["deleted_file"] == "x/a.wav"
    assert (answer["deleted_files"], answer["deleted_count"]) == (["x/a.wav"], 1)
    assert files_below(api.vc_inputs) == []
    again = api.client.delete("/api/v1/vc_input/x/a.wav?confirm=true")
    assert_refused(again, 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({"folder": "x"}, ["c.wav"]),
        ({"search": "c.w"}, ["x/a.wav", "x/b.wav"]),
        ({"filenames": "x/a.wav, c.wav"}, ["x/b.wav"]),
        ({}, []),
    ],
    ids=str,
)
def test_delete_what_matches(api: RunningApi, query: dict, left: list[str]) -> None:
    for name, folder in (("a.wav", "x"), ("b.wav", "x"), ("c.wav", "")):
        accepted(upload_input(api, name, folder=folder))
    response = api.client.delete("/api/v1/vc_inputs", params={"confirm": "true", **query})
    assert accepted(response)["deleted_count"] == 3 - len(left)
    assert sorted(urls(api)) == sorted(left)
    again = api.client.delete("/api/v1/vc_inputs", params={"confirm": "true", "folder": "x/y"})
    assert_refused(again, 404, "RESOURCE_NOT_FOUND")
