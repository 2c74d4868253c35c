"""GET /voices and /voices/folders: contract section 4."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from serve_app.engines.fake import FakeEngine
from tests.support.direct import RunningApi, running_api
from tests.support.uploads import accepted, assert_refused, spoken, upload_voice, wav_of

LISTING = {
    "success", "voices", "count", "total", "page", "page_size", "total_pages", "has_next",
    "has_previous", "pagination", "timestamp",
}  # fmt: skip
PAGINATION = {
    "current_page", "page_size", "total_voices", "total_pages", "has_next", "has_previous",
}  # fmt: skip
VOICES = (  # file name, name, folder, tags, description, seconds
    ("bea.wav", "Bea", "", "red", "low and slow", 0.5),
    ("alf.wav", "alf", "cast", "red,old", "", 0.3),
    ("dora.wav", "Dora", "cast/main", "old", "", 0.6),
    ("cid.wav", "Cid", "castle", "", "100% of_it", 0.4),
)
BY_NAME = ["cast/alf.wav", "bea.wav", "castle/cid.wav", "cast/main/dora.wav"]
BY_LENGTH = ["cast/alf.wav", "castle/cid.wav", "bea.wav", "cast/main/dora.wav"]
BY_USE = ["castle/cid.wav", "bea.wav"]


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A service with four voices; Cid has spoken twice, Bea once."""
    with running_api(FakeEngine(), tmp_path_factory.mktemp("cast")) as api:
        for seed, (file, name, folder, tags, description, seconds) in enumerate(VOICES, 1):
            said = {"name": name, "folder": folder, "tags": tags, "description": description}
            accepted(upload_voice(api, file, wav_of(spoken(seed, seconds)), **said))
        for voice in ("cid.wav", "cid.wav", "bea.wav"):
            body = {"text": "Hi.", "reference_audio_filename": voice}
            assert api.client.post("/api/v1/tts", json=body).status_code == 200
        yield api


def page(api: RunningApi, **query: Any) -> dict[str, Any]:
    return accepted(api.client.get("/api/v1/voices", params=query))


def urls(api: RunningApi, **query: Any) -> list[str]:
    return [voice["url"] for voice in page(api, **query)["voices"]]


def test_the_answer_has_the_members_of_the_contract(cast: RunningApi) -> None:
    answer = page(cast)
    assert set(answer) >= LISTING
    assert set(answer["pagination"]) == PAGINATION
    assert datetime.fromisoformat(answer["timestamp"]).tzinfo


def test_a_voice_is_listed_as_it_was_answered(cast: RunningApi) -> None:
    answer = upload_voice(cast, "alf.wav", wav_of(spoken(2, 0.3)), folder="cast", name="alf",
                          tags="red,old", overwrite="true")  # fmt: skip
    (voice,) = page(cast, search="alf")["voices"]
    assert voice == accepted(answer)["voice_metadata"]


def test_pages(cast: RunningApi) -> None:
    first = page(cast, page_size=3, sort_by="name")
    second = page(cast, page=2, page_size=3, sort_by="name")
    assert [voice["url"] for voice in first["voices"] + second["voices"]] == BY_NAME
    assert (first["count"], second["count"]) == (3, 1)
    for answer, number in ((first, 1), (second, 2)):
        assert (answer["total"], answer["total_pages"]) == (4, 2)
        assert (answer["page"], answer["page_size"]) == (number, 3)
        assert answer["has_next"] is (number == 1)
        assert answer["has_previous"] is (number == 2)


def test_both_members_of_each_pair_agree(cast: RunningApi) -> None:
    answer = page(cast, page=2, page_size=3)
    pagination = answer["pagination"]
    assert pagination["current_page"] == answer["page"]
    assert pagination["total_voices"] == answer["total"]
    for name in ("page_size", "total_pages", "has_next", "has_previous"):
        assert pagination[name] == answer[name]


def test_a_page_behind_the_last_is_empty(cast: RunningApi) -> None:
    answer = page(cast, page=9, page_size=3)
    assert (answer["voices"], answer["count"], answer["total"]) == ([], 0, 4)
    assert answer["has_next"] is False


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "DORA"}, ["cast/main/dora.wav"]),
        ({"search": "and slow"}, ["bea.wav"]),
        ({"search": "%"}, ["castle/cid.wav"]),
        ({"search": "f_i"}, ["castle/cid.wav"]),
        ({"search": "' OR 1=1 --"}, []),
        ({"folder": "cast"}, ["cast/alf.wav", "cast/main/dora.wav"]),
        ({"folder": "cast/"}, ["cast/alf.wav", "cast/main/dora.wav"]),
        ({"project": "cast/main"}, ["cast/main/dora.wav"]),
        ({"folder": "nowhere"}, []),
        ({"folder": ".."}, []),
        ({"tag": "red"}, ["cast/alf.wav", "bea.wav"]),
        ({"tag": "re"}, []),
        ({"tag": "old", "folder": "cast/main"}, ["cast/main/dora.wav"]),
        ({"tag": "old", "search": "alf"}, ["cast/alf.wav"]),
    ],
    ids=str,
)
def test_filters(cast: RunningApi, query: dict, found: list[str]) -> None:
    assert urls(cast, sort_by="name", **query) == found
    assert page(cast, **query)["total"] == len(found)


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [("name", BY_NAME), ("duration", BY_LENGTH)],
)
def test_sorting(cast: RunningApi, sort_by: str, order: list[str]) -> None:
    assert urls(cast, sort_by=sort_by, sort_order="asc") == order
    assert urls(cast, sort_by=sort_by, sort_order="desc") == order[::-1]


def test_sorting_by_use(cast: RunningApi) -> None:
    assert urls(cast, sort_by="usage_count", sort_order="desc")[:2] == BY_USE
    assert urls(cast, sort_by="usage_count", sort_order="asc")[2:] == BY_USE[::-1]


def test_sorting_by_date(api: RunningApi) -> None:
    for name in ("c.wav", "a.wav", "b.wav"):
        accepted(upload_voice(api, name))
    assert urls(api, sort_by="created_date", sort_order="asc") == ["c.wav", "a.wav", "b.wav"]
    assert urls(api, sort_by="created_date", sort_order="desc") == ["b.wav", "a.wav", "c.wav"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0}, {"page": -1}, {"page": "x"}, {"page": 10**30}, {"page_size": 0},
        {"page_size": 101}, {"sort_by": "colour"}, {"sort_order": "sideways"},
        {"folder": "a", "project": "b"},
    ],
    ids=str,
)  # fmt: skip
def test_queries_that_make_no_sense_are_refused(cast: RunningApi, query: dict) -> None:
    response = cast.client.get("/api/v1/voices", params=query)
    assert_refused(response, 400, "VALIDATION_ERROR")


def test_the_widest_page(cast: RunningApi) -> None:
    assert page(cast, page_size=100)["count"] == 4


def test_folders(cast: RunningApi) -> None:
    answer = accepted(cast.client.get("/api/v1/voices/folders"))
    counts = {folder["path"]: folder["voice_count"] for folder in answer["folders"]}
    assert counts == {"": 1, "cast": 1, "cast/main": 1, "castle": 1}
    subfolders = {folder["path"]: folder["subfolders"] for folder in answer["folders"]}
    assert subfolders["cast"] == ["cast/main"]
    assert subfolders["castle"] == []


def test_no_voices_at_all(api: RunningApi) -> None:
    answer = page(api)
    assert (answer["voices"], answer["total"], answer["total_pages"]) == ([], 0, 0)
    assert accepted(api.client.get("/api/v1/voices/folders"))["folders"] == []
