"""GET /api/v1/outputs, its folders and the deletions: contract section 6."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from serve_app.domain.types import AudioFormat
from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, files_below, running_api, wait_until
from tests.support.uploads import (
    accepted,
    assert_refused,
    speak_files,
    spoken,
    upload_input,
    upload_voice,
    wav_of,
)

FILE = {
    "filename", "generation_type", "created_date", "file_size_bytes", "duration_seconds", "format",
    "parameters", "source_files", "folder_path", "url",
}  # fmt: skip
LISTING = {
    "files", "count", "page", "page_size", "total_pages", "has_next", "has_previous",
    "total_files", "pagination",
}  # fmt: skip
FORMATS = [audio_format.value for audio_format in AudioFormat]


def listing(api: RunningApi, **query: Any) -> dict[str, Any]:
    return accepted(api.client.get("/api/v1/outputs", params=query))


def names(api: RunningApi, **query: Any) -> list[str]:
    return [file["filename"] for file in listing(api, **query)["files"]]


def delete(api: RunningApi, path: str, **query: str) -> httpx.Response:
    return api.client.delete(f"/api/v1/{path}", params={"confirm": "true", **query})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service that has spoken, converted and joined."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("outputs")) as api:
        accepted(upload_voice(api, "alice.wav"))
        accepted(upload_input(api, "talk.wav", wav_of(spoken(3, 1.0))))
        one = speak_files(api, "One short line.", temperature=0.4, export_formats=["wav", "mp3"])
        two = speak_files(api, "Another short line.", project="books/alice", export_formats="wav")
        body = {"input_audio_source": "talk.wav", "target_voice_source": "alice",
                "project": "books", "export_formats": ["flac"]}  # fmt: skip
        assert api.client.post("/api/v1/vc", json=body).status_code == 200
        files = [one[0]["path"], two[0]["path"]]
        joined = api.client.post("/api/v1/concat", json={"files": files, "output_filename": "all"})
        assert joined.status_code == 200
        yield api


def test_the_answer_has_the_members_of_the_contract(made: RunningApi) -> None:
    answer = listing(made)
    assert set(answer) >= LISTING
    assert set(answer["pagination"]) == {
        "current_page", "page_size", "total_files", "total_pages", "has_next", "has_previous",
    }  # fmt: skip
    for file in answer["files"]:
        assert set(file) >= FILE


def test_the_newest_is_first(made: RunningApi) -> None:
    kinds = [file["generation_type"] for file in listing(made)["files"]]
    assert kinds == ["concat", "vc", "tts", "tts", "tts"]
    dates = [datetime.fromisoformat(file["created_date"]) for file in listing(made)["files"]]
    assert dates == sorted(dates, reverse=True)


def test_pages_and_both_totals(made: RunningApi) -> None:
    pages = [listing(made, page=number, page_size=2) for number in (1, 2, 3)]
    assert [page["count"] for page in pages] == [2, 2, 1]
    assert len({file["url"] for page in pages for file in page["files"]}) == 5
    for number, page in enumerate(pages, 1):
        pagination = page["pagination"]
        assert page["total_files"] == pagination["total_files"] == 5
        assert page["total_pages"] == pagination["total_pages"] == 3
        assert page["page"] == pagination["current_page"] == number
        assert page["has_next"] is pagination["has_next"] is (number < 3)
        assert page["has_previous"] is pagination["has_previous"] is (number > 1)


def test_what_is_said_of_speech(made: RunningApi) -> None:
    (file,) = listing(made, search="temp0.4")["files"][:1]
    assert file["generation_type"] == "tts"
    assert file["parameters"]["temperature"] == 0.4
    assert file["parameters"]["seed"] == 1
    assert file["duration_seconds"] == pytest.approx(0.3, abs=0.01)
    assert file["folder_path"] == ""


def test_what_is_said_of_a_conversion(made: RunningApi) -> None:
    (file,) = listing(made, generation_type="vc")["files"]
    assert file["parameters"] == {"chunk_sec": 60, "overlap_sec": 0.1}
    assert file["source_files"] == ["talk.wav", "alice.wav"]
    assert (file["format"], file["folder_path"]) == ("flac", "books")
    assert file["duration_seconds"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"generation_type": "tts"}, 3), ({"generation_type": "vc"}, 1),
        ({"generation_type": "concat"}, 1), ({"folder": "books"}, 2), ({"project": "books"}, 2),
        ({"folder": "books/alice"}, 1), ({"folder": "book"}, 0), ({"folder": "none"}, 0),
        ({"search": "voicealice"}, 1), ({"search": "VOICEALICE"}, 1), ({"search": "no such"}, 0),
        ({"filenames": "all.wav"}, 1), ({"filenames": "all.wav,none.wav"}, 1),
        ({"filenames": "none.wav"}, 0), ({"folder": "books", "generation_type": "tts"}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_filters(made: RunningApi, query: dict, count: int) -> None:
    answer = listing(made, **query)
    assert (answer["count"], answer["total_files"]) == (count, count)


def test_filenames_name_files_as_the_listing_does(made: RunningApi) -> None:
    chosen = [file["filename"] for file in listing(made)["files"] if not file["folder_path"]][:2]
    assert sorted(names(made, filenames=",".join(chosen))) == sorted(chosen)


def test_dates_bound_the_listing(made: RunningApi) -> None:
    now = datetime.now(UTC)
    yesterday, tomorrow = now - timedelta(days=1), now + timedelta(days=1)
    created = listing(made)["files"][2]["created_date"]
    for query, count in (
        ({"date_from": yesterday.date().isoformat()}, 5),
        ({"date_to": tomorrow.date().isoformat()}, 5),
        ({"date_from": tomorrow.date().isoformat()}, 0),
        ({"date_to": yesterday.date().isoformat()}, 0),
        ({"date_from": yesterday.isoformat(), "date_to": tomorrow.isoformat()}, 5),
        ({"date_from": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "date_to": yesterday.isoformat()}, 0),
        ({"date_from": created}, 3),
    ):
        assert listing(made, **query)["count"] == count, query


def test_a_day_is_whole(made: RunningApi) -> None:
    days = sorted(file["created_date"][:10] for file in listing(made)["files"])
    assert listing(made, date_from=days[0], date_to=days[-1])["count"] == 5


@pytest.mark.parametrize(
    "query",
    [
        {"generation_type": "song"}, {"date_from": "yesterday"}, {"date_to": "2025-13-01"},
        {"page": 0}, {"page_size": 101}, {"sort_by": "colour"}, {"sort_order": "up"},
        {"folder": "a", "project": "b"},
    ],
    ids=str,
)  # fmt: skip
def test_queries_that_make_no_sense_are_refused(made: RunningApi, query: dict) -> None:
    assert_refused(made.client.get("/api/v1/outputs", params=query), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("sort_by", "member"),
    [
        ("created_date", "created_date"), ("filename", "filename"), ("name", "filename"),
        ("duration", "duration_seconds"), ("file_size", "file_size_bytes"),
    ],
)  # fmt: skip
def test_sorting(made: RunningApi, sort_by: str, member: str) -> None:
    upwards = listing(made, sort_by=sort_by, sort_order="asc")["files"]
    values = [file[member] for file in upwards]
    assert values == sorted(values)
    downwards = listing(made, sort_by=sort_by, sort_order="desc")["files"]
    assert [file[member] for file in downwards] == values[::-1]


def test_sizes_are_exact_even_of_files_never_fetched(api: RunningApi) -> None:
    speak_files(api, "A line that nobody has fetched yet.", export_formats=FORMATS)
    files = listing(api)["files"]
    assert sorted(file["format"] for file in files) == sorted(FORMATS)
    for file in files:
        assert file["file_size_bytes"] == len(httpx.get(file["url"]).content), file["format"]


def test_sizes_stay_as_they_were_said(api: RunningApi) -> None:
    speak_files(api, "The same sizes before and after.", export_formats=FORMATS)
    before = listing(api)["files"]
    for file in before:
        assert httpx.get(file["url"]).status_code == 200
    assert listing(api)["files"] == before


def test_urls_can_be_fetched(made: RunningApi) -> None:
    for file in listing(made)["files"]:
        response = httpx.get(file["url"])
        assert response.status_code == 200
        assert len(response.content) == file["file_size_bytes"]


def test_folders(made: RunningApi) -> None:
    answer = accepted(made.client.get("/api/v1/outputs/folders"))
    counts = {folder["path"]: folder["file_count"] for folder in answer["folders"]}
    assert counts == {"": 3, "books": 1, "books/alice": 1}


def test_what_is_being_made_is_not_listed(slow_api: RunningApi) -> None:
    text = "The first one is here. The second one is here. The third one is here."
    body = {"text": text, "export_formats": ["wav", "mp3"]}
    with slow_api.client.stream("POST", "/api/v1/tts", json=body) as response:
        stream = response.iter_raw()
        next(stream)
        url = f"{slow_api.url}/api/v1/outputs"
        assert httpx.get(url).json()["total_files"] == 0
        for _ in stream:
            pass
    assert listing(slow_api)["total_files"] == 2


@pytest.mark.parametrize("gone", FORMATS)
def test_deleting_one_format_leaves_the_others(api: RunningApi, gone: str) -> None:
    formats = ["wav", "flac", gone] if gone not in ("wav", "flac") else ["wav", "flac"]
    files = {file["format"]: file for file in speak_files(api, export_formats=formats)}
    answer = accepted(delete(api, f"output/{files[gone]['filename']}"))
    assert answer["deleted_files"] == [files[gone]["filename"]]
    assert (answer["deleted_file"], answer["deleted_count"]) == (files[gone]["filename"], 1)
    assert_refused(api.client.get(files.pop(gone)["path"]), 404, "RESOURCE_NOT_FOUND")
    for file in files.values():
        assert api.client.get(file["path"]).status_code == 200
    assert sorted(names(api)) == sorted(file["filename"] for file in files.values())


def test_deleting_the_last_format_deletes_all_there_is(api: RunningApi) -> None:
    for file in speak_files(api, export_formats=["mp3", "opus"], project="a/b"):
        path = file["path"].removeprefix("/outputs/")
        assert accepted(delete(api, f"output/{path}"))["deleted_file"] == path
    assert files_below(api.outputs) == []
    assert_refused(delete(api, f"output/{path}"), 404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({}, 0), ({"generation_type": "tts"}, 0), ({"generation_type": "vc"}, 4),
        ({"folder": "x"}, 2), ({"search": "temp0.9"}, 3), ({"date_from": "2999-01-01"}, 4),
        ({"date_to": "2999-01-01"}, 0), ({"date_to": "1999-01-01"}, 4),
    ],
    ids=str,
)  # fmt: skip
def test_deleting_what_matches(api: RunningApi, query: dict, left: int) -> None:
    speak_files(api, export_formats=["wav", "mp3"], project="x")
    speak_files(api, export_formats=["wav"])
    speak_files(api, export_formats=["wav"], temperature=0.9)
    before = {file["url"] for file in listing(api)["files"]}
    response = delete(api, "outputs", **query)
    if left == 4:
        assert_refused(response, 404, "RESOURCE_NOT_FOUND")
    else:
        assert accepted(response)["deleted_count"] == 4 - left
    after = {file["url"] for file in listing(api)["files"]}
    assert len(after) == left
    for url in before:
        assert httpx.get(url).status_code == (200 if url in after else 404)


def test_nothing_is_left_when_all_is_deleted(api: RunningApi) -> None:
    speak_files(api, export_formats=["mp3", "flac"])
    for file in speak_files(api, export_formats=FORMATS, project="x"):
        assert api.client.get(file["path"]).status_code == 200
    assert accepted(delete(api, "outputs"))["deleted_count"] == 10
    wait_until(lambda: files_below(api.outputs) == [])
    assert accepted(api.client.get("/api/v1/outputs/folders"))["folders"] == []


@pytest.mark.parametrize("path", ["outputs", "outputs?search=x", "output/all.wav"])
def test_without_confirmation_nothing_is_deleted(made: RunningApi, path: str) -> None:
    response = made.client.delete(f"/api/v1/{path}")
    assert_refused(response, 400, "CONFIRMATION_REQUIRED")
    assert listing(made)["total_files"] == 5


def test_an_output_dropped_by_hand_can_be_fetched(api: RunningApi) -> None:
    (api.outputs / "by-hand.wav").write_bytes(wav_of(spoken()))
    assert api.client.get("/outputs/by-hand.wav").content == wav_of(spoken())
