"""Voices and inputs: found by their names, whoever put them there; described; deleted."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serve_app.domain.errors import (
    AlreadyExists,
    InvalidRequest,
    NotFound,
    VoiceNotFound,
)
from serve_app.domain.types import Shelf
from serve_app.library.entries import Description, Filter, PageRequest
from serve_app.library.library import Library
from serve_app.library.paths import checked_path, safe_segment
from serve_app.library.shelf import FileShelf
from tests.support.library import World, add, keys, odd, sound, wav

pytest_plugins = ("tests.support.postgres", "tests.support.s3", "tests.support.worlds")

BAD_PATHS: Sequence[str] = (
    "", ".", "..", ".hidden.wav", "a/../b.wav", "../../a.wav", "/a.wav", "a//b.wav", "C:\\x\\a.wav",
    "a\\b.wav", "c:a.wav", "nul\0.wav", "line\n.wav", "x" * 201 + ".wav", "ü" * 120 + ".wav",
    "a/b/c/d/e/f/g/h/i.wav", "half\ud800.wav", "a/.wav",
)  # fmt: skip
TOLD = Description("calm", "hello", "Alice", ("warm", "low"), {"temperature": 0.5})


@pytest.fixture
def voices(library: Library) -> FileShelf:
    return library.voices


async def told_beside(shelf: FileShelf, path: str) -> dict[str, Any]:
    """The sidecar of a file."""
    return json.loads(await shelf.blobs.read_all(f"{path}.json", 100_000))


async def paths(shelf: FileShelf) -> set[str]:
    return {entry.path for entry in (await shelf.page(Filter(), PageRequest())).entries}


async def test_an_upload_is_found_with_its_facts_and_audio(voices: FileShelf) -> None:
    added = await add(voices, "books/alice.wav", sound("a"), TOLD)
    found = await voices.find("books/alice.wav")
    assert found == added
    assert (found.description, found.audio.seconds) == (TOLD, 0.01)
    audio = await voices.audio(found)
    assert (audio.shelf, audio.key, audio.digest) == (
        Shelf.VOICES, "books/alice.wav", found.audio.digest
    )  # fmt: skip
    data = await voices.blobs.read_all(audio.key, 10_000)
    assert data.endswith(sound("a"))
    assert len(data) == found.audio.size_bytes


async def test_an_upload_leaves_nothing_but_itself_and_its_sidecar(voices: FileShelf) -> None:
    await add(voices, "alice.wav")
    with pytest.raises(AlreadyExists):
        await add(voices, "alice.wav")
    with pytest.raises(InvalidRequest):
        await add(voices, "../alice.wav")
    assert await keys(voices.blobs) == {"alice.wav", "alice.wav.json"}


async def test_an_upload_does_not_replace_another_unless_told_to(voices: FileShelf) -> None:
    first = await add(voices, "alice.wav", sound("1"), TOLD)
    await voices.use("alice")
    with pytest.raises(AlreadyExists):
        await add(voices, "alice.wav", sound("2"))
    assert (await voices.find("alice")).audio.digest == first.audio.digest
    await add(voices, "alice.wav", sound("2"), overwrite=True)
    found = await voices.find("alice")
    assert found.audio.digest != first.audio.digest
    assert (found.description, found.usage_count) == (Description(), 0)


async def test_an_upload_does_not_replace_a_file_dropped_a_moment_ago(
    voices: FileShelf, tmp_path: Path
) -> None:
    await voices.blobs.put_bytes("alice.wav", wav(sound("dropped"), tmp_path))
    with pytest.raises(AlreadyExists):
        await add(voices, "alice.wav")


async def test_of_ten_uploads_of_one_name_one_succeeds(world: World, voices: FileShelf) -> None:
    async with world.open() as elsewhere:
        shelves = (voices, elsewhere.voices)
        attempts = (add(shelves[n % 2], "alice.wav", sound(str(n))) for n in range(10))
        results = await asyncio.gather(*attempts, return_exceptions=True)
    added = [result for result in results if not isinstance(result, BaseException)]
    assert len(added) == 1
    assert {type(result) for result in results} == {type(added[0]), AlreadyExists}
    assert await voices.find("alice") == added[0]


@pytest.mark.parametrize(
    "name", ["alice", "alice.wav", "alice.mp3", "alice.FLAC", "books/bob", "bob", "bob.wav"]
)
async def test_a_name_means_a_file(voices: FileShelf, name: str) -> None:
    """Exact; with an extension added; as WAV, which uploads become; one folder below."""
    await add(voices, "alice.wav")
    await add(voices, "books/bob.wav")
    await add(voices, "books/deep/carol.wav")
    wanted = "alice.wav" if name.startswith("alice") else "books/bob.wav"
    assert (await voices.find(name)).path == wanted


async def test_the_nearest_meaning_of_a_name_counts(voices: FileShelf, tmp_path: Path) -> None:
    await add(voices, "z/alice.wav")
    assert (await voices.find("alice")).path == "z/alice.wav"
    await add(voices, "b/alice.wav")
    assert (await voices.find("alice")).path == "b/alice.wav"
    await voices.blobs.put_bytes("alice.mp3", odd(sound("mp3")))
    assert (await voices.find("alice")).path == "alice.mp3"
    await voices.blobs.put_bytes("alice.wav", wav(sound("wav"), tmp_path))
    assert (await voices.find("alice")).path == "alice.wav"
    assert (await voices.find("alice.mp3")).path == "alice.mp3"


async def test_any_other_name_is_not_found(library: Library) -> None:
    for shelf, error in ((library.voices, VoiceNotFound), (library.vc_inputs, NotFound)):
        await add(shelf, "alice.wav")
        await add(shelf, "books/deep/carol.wav")
        for name in (*BAD_PATHS, "carol", "alice.wav.json", "alice.wav/", "a" * 5000):
            with pytest.raises(error):
                await shelf.find(name)


async def test_nothing_is_added_under_a_bad_path(voices: FileShelf) -> None:
    for path in (*BAD_PATHS, "alice", "alice.mp3", "alice.wav.json"):
        with pytest.raises(InvalidRequest) as refused:
            await add(voices, path, sound("a"))
        assert refused.value.detail or "WAV" in refused.value.message
    assert await keys(voices.blobs) == set()


@pytest.mark.parametrize("name", [*BAD_PATHS, "a/b.wav", "x" * 300])
def test_the_name_of_an_uploaded_file_is_refused_rather_than_rewritten(name: str) -> None:
    with pytest.raises(InvalidRequest):
        safe_segment(name)


def test_names_are_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "Bücher/ä.wav")
    assert checked_path(decomposed) == unicodedata.normalize("NFC", "Bücher/ä.wav")
    assert safe_segment("ä b'(1).wav") == "ä b'(1).wav"


async def test_a_dropped_file_with_a_decomposed_name_is_found(
    voices: FileShelf, tmp_path: Path
) -> None:
    name = unicodedata.normalize("NFD", "ä.wav")
    await voices.blobs.put_bytes(name, wav(sound("a"), tmp_path))
    assert (await voices.find("ä")).path == name


@pytest.mark.parametrize("dropped", ["alice.wav", "friends/alice.wav", "alice.mp3", "ALICE.M4A"])
async def test_a_file_dropped_by_hand_can_be_used_at_once(
    voices: FileShelf, dropped: str, tmp_path: Path
) -> None:
    samples = sound("dropped")
    is_wav = dropped.endswith(".wav")
    await voices.blobs.put_bytes(dropped, wav(samples, tmp_path) if is_wav else odd(samples))
    sidecar = {"name": "Al", "tags": ["x"], "usage_count": 7, "created_date": "2024-05-06"}
    await voices.blobs.put_bytes(f"{dropped}.json", json.dumps(sidecar).encode())
    found = await voices.find("ALICE.M4A" if dropped.isupper() else "alice")
    assert (found.path, found.description.name, found.description.tags) == (dropped, "Al", ("x",))
    assert (found.usage_count, found.created_at) == (7, datetime(2024, 5, 6, tzinfo=UTC))
    audio = await voices.audio(found)
    assert (await voices.blobs.read_all(audio.key, 10_000)).endswith(samples)
    assert audio.digest == found.audio.digest
    assert await paths(voices) == {dropped}


async def test_a_dropped_file_is_decoded_once(voices: FileShelf) -> None:
    await voices.blobs.put_bytes("alice.mp3", odd(sound("a")))
    entry = await voices.find("alice")
    first = await voices.audio(entry)
    made = await voices.blobs.head(first.key)
    assert await voices.audio(entry) == first
    assert await voices.blobs.head(first.key) == made
    assert first.key.startswith(".derived/")


async def test_what_is_no_audio_is_not_found_even_if_it_is_called_so(voices: FileShelf) -> None:
    await voices.blobs.put_bytes("alice.wav", b"not audio at all")
    await voices.blobs.put_bytes("notes.txt", b"not audio either")
    for name in ("alice", "alice.wav", "notes.txt", "notes"):
        with pytest.raises(VoiceNotFound):
            await voices.find(name)
    assert await paths(voices) == set()


async def test_a_file_replaced_by_hand_is_read_again(voices: FileShelf, tmp_path: Path) -> None:
    added = await add(voices, "alice.wav", sound("1"), TOLD)
    await voices.blobs.put_bytes("alice.wav", wav(sound("2", 0.05), tmp_path))
    found = await voices.find("alice")
    assert (found.audio.seconds, found.description) == (0.05, TOLD)
    assert found.audio.digest != added.audio.digest
    await voices.blobs.delete(["alice.wav"])
    with pytest.raises(VoiceNotFound):
        await voices.find("alice")
    assert await paths(voices) == set()


async def test_uses_are_counted_and_written_beside(world: World, voices: FileShelf) -> None:
    await add(voices, "alice.wav")
    async with world.open() as elsewhere:
        shelves = (voices, elsewhere.voices)
        await asyncio.gather(*(shelves[n % 2].use("alice") for n in range(20)))
    found = await voices.find("alice")
    assert found.usage_count == 20
    assert found.last_used is not None
    assert datetime.now(UTC) - found.last_used < timedelta(minutes=1)
    await voices.write_usage()
    assert (await told_beside(voices, "alice.wav"))["usage_count"] == 20
    with pytest.raises(VoiceNotFound):
        await voices.use("bob")


async def test_the_sidecar_tells_what_is_known(library: Library) -> None:
    entry = await add(library.vc_inputs, "books/alice.wav", sound("a"), TOLD)
    assert await told_beside(library.vc_inputs, entry.path) == {
        "filename": "alice.wav",
        "name": "Alice",
        "url": "books/alice.wav",
        "description": "calm",
        "duration_seconds": 0.01,
        "sample_rate": 24000,
        "file_size_bytes": entry.audio.size_bytes,
        "format": "wav",
        "default_parameters": {"temperature": 0.5},
        "tags": ["warm", "low"],
        "created_date": entry.created_at.isoformat(),
        "last_used": None,
        "usage_count": 0,
        "folder_path": "books",
        "text": "hello",
    }


async def test_descriptions_change_without_losing_each_other(
    world: World, voices: FileShelf
) -> None:
    await add(voices, "alice.wav", description=TOLD)

    def tagged(tag: str, said: Description) -> Description:
        return replace(said, tags=(*said.tags, tag))

    async with world.open() as elsewhere:
        shelves = (voices, elsewhere.voices)
        await asyncio.gather(
            *(
                shelves[n % 2].describe("alice", lambda said, n=n: tagged(str(n), said))
                for n in range(6)
            ),
            *(shelves[n % 2].use("alice") for n in range(6)),
        )
    found = await voices.find("alice")
    assert set(found.description.tags) == {*TOLD.tags, *map(str, range(6))}
    assert found.usage_count == 6
    assert (await told_beside(voices, "alice.wav"))["tags"] == list(found.description.tags)
    with pytest.raises(VoiceNotFound):
        await voices.describe("bob", lambda said: said)


async def test_a_client_that_leaves_holds_nobody_up(world: World, voices: FileShelf) -> None:
    await add(voices, "alice.wav")
    async with world.open() as elsewhere:
        for moment in range(40):
            leaving = asyncio.create_task(voices.describe("alice", lambda _: TOLD))
            await asyncio.wait([leaving], timeout=moment / 2000)
            leaving.cancel()
            await asyncio.wait([leaving])
            async with asyncio.timeout(10):
                await elsewhere.voices.use("alice")
    found = await voices.find("alice")
    assert (found.usage_count, found.description) in ((40, TOLD), (40, Description()))


async def test_a_deleted_file_is_gone_with_all_that_belongs_to_it(voices: FileShelf) -> None:
    await add(voices, "alice.wav")
    deleted = await voices.delete("alice")
    assert deleted.path == "alice.wav"
    assert await keys(voices.blobs) == set()
    for attempt in (voices.find("alice"), voices.delete("alice")):
        with pytest.raises(VoiceNotFound):
            await attempt
    await add(voices, "alice.wav")
    assert await paths(voices) == {"alice.wav"}


async def test_all_that_match_are_deleted(voices: FileShelf) -> None:
    for path in ("a.wav", "books/b.wav", "books/c.wav"):
        await add(voices, path)
    assert set(await voices.delete_matching(Filter(folder="books"))) == {
        "books/b.wav", "books/c.wav"
    }  # fmt: skip
    assert await keys(voices.blobs) == {"a.wav", "a.wav.json"}
    assert await voices.delete_matching(Filter(search="nothing")) == ()


async def test_a_moved_file_keeps_what_is_known_of_it(voices: FileShelf) -> None:
    await add(voices, "alice.wav", sound("a"), TOLD)
    used = await voices.use("alice")
    moved = await voices.move("alice", "books/alice.wav")
    found = await voices.find("books/alice.wav")
    assert (found.description, found.usage_count) == (TOLD, 1)
    assert (found.audio, found.created_at) == (used.audio, used.created_at)
    assert moved.path == found.path
    assert await keys(voices.blobs) == {"books/alice.wav", "books/alice.wav.json"}
    assert await paths(voices) == {"books/alice.wav"}


async def test_a_file_does_not_move_over_another(voices: FileShelf) -> None:
    await add(voices, "alice.wav")
    await add(voices, "bob.wav")
    with pytest.raises(AlreadyExists):
        await voices.move("alice", "bob.wav")
    for path in ("alice.mp3", "../alice.wav"):
        with pytest.raises(InvalidRequest):
            await voices.move("alice", path)
    with pytest.raises(VoiceNotFound):
        await voices.move("carol", "dave.wav")
    assert (await voices.move("alice", "alice.wav")).path == "alice.wav"
    assert await paths(voices) == {"alice.wav", "bob.wav"}
