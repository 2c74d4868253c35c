"""The sweep: what happened behind the library's back, after crashes, and when time is up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.domain.errors import NotFound, StorageUnavailable
from serve_app.domain.types import AudioFormat
from serve_app.library import scan
from serve_app.library.catalogue import Doomed
from serve_app.library.entries import Description, Filter, PageRequest
from serve_app.library.library import Library
from serve_app.library.outputs import OutputDraft, OutputShelf
from serve_app.library.pending import PendingOutput
from serve_app.library.shelf import FileShelf
from tests.support.consistency import check_consistent
from tests.support.crashes import Operation, each_crash
from tests.support.library import RATE, World, add, crash, keys, odd, sound, wav, write_wav

pytest_plugins = ("tests.support.postgres", "tests.support.s3", "tests.support.worlds")

WAV, MP3, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.FLAC
Job = Callable[[], Awaitable[None]]
NAMED = OutputDraft("concat", (), (MP3, FLAC), name="all")
SAMPLES = sound("output", 0.02)


async def listed(shelf: FileShelf | OutputShelf) -> set[str]:
    return {entry.path for entry in (await shelf.page(Filter(), PageRequest())).entries}


async def publish(shelf: OutputShelf, draft: OutputDraft) -> PendingOutput:
    output = await shelf.reserve(draft)
    write_wav(output.scratch, SAMPLES)
    await output.commit(0.02, RATE)
    return output


async def clear(library: Library) -> None:
    for shelf in (library.voices, library.vc_inputs, library.outputs):
        await shelf.delete_matching(Filter())


async def with_alice(library: Library) -> None:
    await clear(library)
    await add(library.voices, "alice.wav", sound("before"), Description("before"))


async def with_output(library: Library) -> None:
    await clear(library)
    await publish(library.outputs, NAMED)


async def with_two_made(library: Library) -> None:
    await with_output(library)
    for path in ("all.mp3", "all.flac"):
        await library.outputs.find(path)


async def overwrite(library: Library) -> None:
    await add(library.voices, "alice.wav", sound("after"), Description("after"), overwrite=True)


async def describe(library: Library) -> None:
    await library.voices.describe("alice", lambda said: replace(said, description="after"))


async def use(library: Library) -> None:
    await library.voices.use("alice")
    await library.voices.write_usage()


async def delete_all(library: Library) -> None:
    await library.voices.delete_matching(Filter())
    await library.outputs.delete_matching(Filter())


OPERATIONS: dict[str, tuple[int, Operation, Operation]] = {
    "upload": (3, clear, lambda library: add(library.voices, "alice.wav")),
    "overwrite": (3, with_alice, overwrite),
    "describe": (2, with_alice, describe),
    "use": (2, with_alice, use),
    "delete": (3, with_alice, lambda library: library.voices.delete("alice")),
    "move": (5, with_alice, lambda library: library.voices.move("alice", "bob.wav")),
    "publish": (3, clear, lambda library: publish(library.outputs, NAMED)),
    "make a format": (2, with_output, lambda library: library.outputs.find("all.mp3")),
    "delete a format": (3, with_output, lambda library: library.outputs.delete("all.mp3")),
    "delete outputs": (3, with_two_made, delete_all),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
async def test_one_sweep_heals_a_crash_after_any_step(
    world: World, library: Library, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    least, prepare, operation = OPERATIONS[name]
    monkeypatch.setattr(scan, "_ORPHAN_LIFE", timedelta(days=-1))
    crashes = 0
    async for steps in each_crash(world, library, prepare, operation):
        await library.sweeper.sweep()
        await check_consistent(library)
        crashes = steps + 1
    assert crashes >= least
    await library.sweeper.sweep()
    await check_consistent(library)


async def test_a_crash_after_the_master_was_stored_loses_nothing(library: Library) -> None:
    output = await library.outputs.reserve(replace(NAMED, formats=(WAV, MP3), facts={"a": 1}))
    write_wav(output.scratch, SAMPLES)
    await library.outputs.blobs.put_file("all.wav", output.scratch)
    await crash(library.catalogue)
    await library.sweeper.sweep()
    for path in ("all.wav", "all.mp3"):
        entry = (await library.outputs.find(path)).entry
        assert entry.audio.seconds == 0.02
        assert entry.origin is not None
        assert entry.origin.parameters == {"a": 1}
    await check_consistent(library)


async def test_a_deletion_that_the_store_refused_is_finished(
    world: World, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(library.voices, "alice.wav")

    async def unreachable(_: object) -> None:
        raise StorageUnavailable("away")

    async with world.open() as unlucky:
        monkeypatch.setattr(unlucky.voices.blobs, "delete", unreachable)
        with pytest.raises(StorageUnavailable):
            await unlucky.voices.delete("alice")
        assert await listed(library.voices) == set()
    await crash(library.catalogue)
    await library.sweeper.sweep()
    assert await keys(library.voices.blobs) == set()
    await check_consistent(library)


async def test_what_people_do_to_the_folder_is_listed(library: Library, tmp_path: Path) -> None:
    for shelf in (library.voices, library.vc_inputs):
        for path in ("changed.wav", "gone.wav", "kept.wav"):
            await add(shelf, path)
        await shelf.blobs.put_bytes("changed.wav", wav(sound("new", 0.05), tmp_path))
        await shelf.blobs.delete(["gone.wav"])
        await shelf.blobs.put_bytes("new/one.wav", wav(sound("one"), tmp_path))
        await shelf.blobs.put_bytes("two.mp3", odd(sound("two")))
        for ignored in ("readme.txt", "noise.wav", ".hidden.wav", "a:b.wav", "alone.wav.json"):
            await shelf.blobs.put_bytes(ignored, b"{}")
        await library.sweeper.scan_files()
        assert await listed(shelf) == {"changed.wav", "kept.wav", "new/one.wav", "two.mp3"}
        assert (await shelf.find("changed")).audio.seconds == 0.05


async def test_a_sidecar_that_somebody_edited_is_read(library: Library) -> None:
    voices = library.voices
    await add(voices, "alice.wav", description=Description("before", tags=("old",)))
    for _ in range(3):
        await voices.use("alice")
    told = {"description": "after", "name": "Al", "tags": "a, b,a", "text": 7, "usage_count": 2,
            "default_parameters": {"temperature": 1}, "created_date": "2024-05-06T07:08:09+02:00",
            "duration_seconds": 99}  # fmt: skip
    await voices.blobs.put_bytes("alice.wav.json", json.dumps(told).encode())
    await library.sweeper.scan_files()
    found = await voices.find("alice")
    assert found.description == Description("after", "", "Al", ("a", "b"), {"temperature": 1})
    assert found.created_at == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert found.usage_count == 3  # uses since it was written are not forgotten
    assert found.audio.seconds == 0.01


@pytest.mark.parametrize("damaged", [b"{", b"[]", b"\xff\xfe", b"[" * 5000, b" " * 70_000 + b"{}"])
async def test_a_damaged_sidecar_is_left_alone_until_the_next_description(
    library: Library, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    voices = library.voices
    await add(voices, "alice.wav", description=Description("before"))
    await voices.blobs.put_bytes("alice.wav.json", damaged)
    for _ in range(2):
        await voices.use("alice")
        await library.sweeper.sweep()
    assert [record for record in caplog.records if "'alice.wav'" in record.getMessage()] != []
    assert len(caplog.records) == 1
    assert await voices.blobs.read_all("alice.wav.json", 100_000) == damaged
    assert (await voices.find("alice")).description.description == "before"
    await voices.describe("alice", lambda _: Description("after"))
    await check_consistent(library)


async def test_a_sidecar_that_was_removed_is_written_again(library: Library) -> None:
    await add(library.voices, "alice.wav", description=Description("kept"))
    await library.voices.blobs.delete(["alice.wav.json"])
    await library.sweeper.scan_files()
    await check_consistent(library)
    assert "alice.wav.json" in await keys(library.voices.blobs)


async def test_a_file_that_breaks_its_reader_does_not_keep_others_from_being_listed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = library.voices
    await voices.blobs.put_bytes("a.mp3", odd(sound("a")))
    await voices.blobs.put_bytes("b.wav", wav(sound("b"), tmp_path))
    refresh = voices.reader.refresh

    async def fragile(path: str) -> object:
        if path == "a.mp3":
            raise ArithmeticError("a bug of a decoder")
        return await refresh(path)

    monkeypatch.setattr(voices.reader, "refresh", fragile)
    await library.sweeper.scan_files()
    assert await listed(voices) == {"b.wav"}


async def test_what_a_scan_overlooks_is_not_dropped(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is added while the store is being listed, or that a slow store does not list."""
    await add(library.voices, "alice.wav")
    output = await publish(library.outputs, OutputDraft("tts", (), (WAV, MP3)))

    async def nothing(*_: object, **__: object):
        for each in ():
            yield each

    for shelf in (library.voices, library.outputs):
        monkeypatch.setattr(shelf.blobs, "list", nothing)
    await library.sweeper.sweep()
    assert await listed(library.voices) == {"alice.wav"}
    assert await listed(library.outputs) == {output.path(WAV), output.path(MP3)}


async def test_files_being_changed_are_not_waited_for(library: Library, tmp_path: Path) -> None:
    voices = library.voices
    await add(voices, "a.wav")
    async with library.catalogue.claim(voices.name, "a.wav"):
        await voices.blobs.put_bytes("a.wav", wav(sound("half way"), tmp_path))
        await voices.blobs.put_bytes("b.wav", wav(sound("b"), tmp_path))
        await asyncio.wait_for(library.sweeper.scan_files(), 5)
    assert await listed(voices) == {"a.wav", "b.wav"}


async def test_outputs_of_a_lost_database_are_adopted(library: Library, tmp_path: Path) -> None:
    blobs = library.outputs.blobs
    await blobs.put_bytes("p/concat_2025.wav", wav(SAMPLES, tmp_path))
    await blobs.put_bytes("song.mp3", odd(SAMPLES))
    await blobs.put_bytes("raw.pcm", b"\0\0")
    await blobs.put_bytes("page.html", b"x")
    await library.sweeper.sweep()
    assert await listed(library.outputs) == {"p/concat_2025.wav", "song.mp3"}
    types = Filter(generation_type="concat")
    page = await library.outputs.page(types, PageRequest())
    assert [entry.path for entry in page.entries] == ["p/concat_2025.wav"]


async def test_outputs_removed_by_hand_are_dropped(library: Library) -> None:
    kept = await publish(library.outputs, OutputDraft("tts", (), (MP3,)))
    gone = await publish(library.outputs, OutputDraft("tts", (), (WAV, MP3)))
    await library.outputs.blobs.delete([gone.path(WAV)])
    await library.sweeper.sweep()
    assert await listed(library.outputs) == {kept.path(MP3)}


async def test_a_deleted_wav_that_others_are_made_from_stays_deleted(library: Library) -> None:
    output = await publish(library.outputs, OutputDraft("tts", (), (WAV, MP3)))
    await library.outputs.delete(output.path(WAV))
    await library.sweeper.sweep()
    assert await listed(library.outputs) == {output.path(MP3)}
    with pytest.raises(NotFound):
        await library.outputs.find(output.path(WAV))
    assert (await library.outputs.find(output.path(MP3))).info.size > 0


async def test_old_leftovers_go_and_young_ones_stay(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    await library.outputs.blobs.put_bytes("p/.all.0123abcd.wav", b"orphan")
    await library.outputs.blobs.put_bytes("p/.mine", b"somebody's")
    await library.voices.blobs.put_bytes(".derived/abc.wav", b"decoded")
    output = await publish(library.outputs, NAMED)
    before = await keys(library.outputs.blobs)
    await library.sweeper.sweep()
    assert await keys(library.outputs.blobs) == before
    assert await keys(library.voices.blobs) == {".derived/abc.wav"}
    monkeypatch.setattr(scan, "_ORPHAN_LIFE", timedelta(days=-1))
    monkeypatch.setattr(scan, "DERIVED_LIFE", timedelta(days=-1))
    await library.sweeper.sweep()
    assert await keys(library.outputs.blobs) == before - {"p/.all.0123abcd.wav"}
    assert await keys(library.voices.blobs) == set()
    assert (await library.outputs.find(output.path(MP3))).info.size > 0


async def created(library: Library, age: timedelta, world: World) -> str:
    """An output of that age, as WAV."""
    moment = datetime.now(UTC) - age
    shelf = OutputShelf(library.outputs.blobs, library.catalogue, world.tools, 5, lambda: moment)
    return (await publish(shelf, OutputDraft("tts", (), (WAV,)))).path(WAV)


async def test_old_outputs_go_unless_somebody_reads_them(world: World) -> None:
    async with world.open(max_age_s=3600.0) as library:
        old = await created(library, timedelta(hours=2), world)
        read = await created(library, timedelta(hours=2), world)
        young = await created(library, timedelta(minutes=30), world)
        found = await library.outputs.find(read)
        async for _ in library.outputs.read(found):
            await library.sweeper.sweep()
        assert await listed(library.outputs) == await keys(library.outputs.blobs) == {read, young}
        with pytest.raises(NotFound):
            await library.outputs.find(old)


async def test_the_oldest_outputs_make_room(world: World, tmp_path: Path) -> None:
    size = len(wav(SAMPLES, tmp_path))
    async with world.open(max_total_bytes=2 * size) as library:
        paths = [await created(library, timedelta(hours=n), world) for n in range(4)]
        await library.sweeper.sweep()
        assert await listed(library.outputs) == set(paths[:2])
        assert await keys(library.outputs.blobs) == set(paths[:2])


async def test_nothing_goes_where_everything_is_kept(library: Library, world: World) -> None:
    path = await created(library, timedelta(days=4000), world)
    await library.sweeper.sweep()
    assert await listed(library.outputs) == {path}


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait for it, a few seconds at most."""
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_every_process_sweeps_but_one_at_a_time(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval = 0.3  # a third of the lease, which must outlast a scan on a busy machine
    async with (
        world.open(scan_interval_s=interval) as one,
        world.open(scan_interval_s=interval) as other,
    ):
        scans: list[str] = []
        for name, library in (("one", one), ("other", other)):
            rhythm = library.sweeper._common[0]  # pyright: ignore[reportPrivateUsage]

            async def scanned(name: str = name, job: Job = rhythm.job) -> None:
                scans.append(name)
                await job()

            monkeypatch.setattr(rhythm, "job", scanned)
        first = asyncio.create_task(one.sweeper.run())
        await until(lambda: asyncio.sleep(0, "one" in scans))
        second = asyncio.create_task(other.sweeper.run())
        await one.voices.blobs.put_bytes("a.wav", wav(sound("a"), tmp_path))
        await until(lambda: one.catalogue.get(one.voices.name, "a.wav"))
        await until(lambda: asyncio.sleep(0, len(scans) > 3))
        assert "other" not in scans
        first.cancel()
        await asyncio.wait([first])
        await until(lambda: asyncio.sleep(0, "other" in scans))
        second.cancel()
        await asyncio.wait([second])


@pytest.mark.parametrize("failure", [StorageUnavailable("away"), ArithmeticError("a bug")])
async def test_a_sweep_that_fails_is_tried_again(
    world: World, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.open(scan_interval_s=0.01) as library:
        failures = 0

        async def failing(_: object) -> Doomed:
            nonlocal failures
            failures += 1
            raise failure

        library.catalogue.doom_abandoned = failing  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING):
            sweeping = asyncio.create_task(library.sweeper.run())
            await until(lambda: asyncio.sleep(0, failures > 2))
        sweeping.cancel()
        await asyncio.wait([sweeping])
    assert any("could not be swept" in record.message for record in caplog.records)
