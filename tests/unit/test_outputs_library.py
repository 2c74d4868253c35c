"""The outputs: names nobody shares, files that are whole or absent, masters that live as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve_app.domain.errors import AlreadyExists, InvalidRequest, NotFound, StorageUnavailable
from serve_app.domain.types import AudioFormat
from serve_app.library.entries import Filter, PageRequest
from serve_app.library.library import Library
from serve_app.library.outputs import OutputDraft, OutputShelf
from serve_app.library.pending import PendingOutput
from serve_app.library.tools import AudioTools
from tests.support.library import RATE, World, crash, keys, odd, sound, transcoded, wav, write_wav

pytest_plugins = ("tests.support.postgres", "tests.support.s3", "tests.support.worlds")

WAV, MP3, FLAC = AudioFormat.WAV, AudioFormat.MP3, AudioFormat.FLAC
DRAFT = OutputDraft("tts", ("temp0.75", "seed42"), (WAV, MP3))
SAMPLES = sound("output", 0.02)
MOMENT = datetime(2025, 6, 22, 14, 30, 22, 456789, UTC)


@pytest.fixture
def outputs(library: Library) -> OutputShelf:
    return library.outputs


async def publish(shelf: OutputShelf, draft: OutputDraft = DRAFT) -> PendingOutput:
    """An output from its beginning to its end."""
    output = await shelf.reserve(draft)
    write_wav(output.scratch, SAMPLES)
    await output.commit(0.02, RATE)
    return output


async def content(shelf: OutputShelf, path: str) -> bytes:
    """What a client gets."""
    found = await shelf.find(path)
    data = b"".join([piece async for piece in shelf.read(found)])
    assert len(data) == found.info.size == found.entry.audio.size_bytes
    return data


async def listed(shelf: OutputShelf) -> set[str]:
    return {entry.path for entry in (await shelf.page(Filter(), PageRequest())).entries}


async def test_names_say_when_and_how(outputs: OutputShelf) -> None:
    before = datetime.now(UTC)
    output = await outputs.reserve(DRAFT)
    moment = datetime.strptime(output.name[:28], "tts_%Y-%m-%d_%H%M%S_%f").replace(tzinfo=UTC)
    assert before <= moment <= datetime.now(UTC)
    assert output.name.endswith("_temp0.75_seed42")
    assert output.filename(WAV) == f"{output.name}.wav"
    assert output.url_path(MP3) == f"/outputs/{output.name}.mp3"


async def test_many_processes_in_the_same_microsecond_do_not_collide(world: World) -> None:
    async with world.open() as one, world.open() as other:
        shelves = [
            OutputShelf(library.outputs.blobs, library.catalogue, world.tools, 5, lambda: MOMENT)
            for library in (one, other)
        ]
        drafts = (DRAFT, OutputDraft("tts", DRAFT.parameters, (FLAC, WAV)))
        pending = await asyncio.gather(
            *(shelves[n % 2].reserve(drafts[n // 2 % 2]) for n in range(16))
        )
    files = [output.filename(format) for output in pending for format in output.formats]
    assert len(set(files)) == len(files)
    assert "tts_2025-06-22_143022_456789_temp0.75_seed42.wav" in files


@pytest.mark.parametrize("project", ["books/alice", "/books/alice/", "Büch er-1.x_y"])
async def test_a_project_is_a_folder(outputs: OutputShelf, project: str) -> None:
    output = await publish(outputs, OutputDraft("tts", (), (WAV,), project))
    path = f"{project.strip('/')}/{output.filename(WAV)}"
    assert output.url_path(WAV) == f"/outputs/{path}"
    assert (await content(outputs, path)).endswith(SAMPLES)
    assert project.strip("/") in {folder.path for folder in await outputs.folders()}


async def test_a_project_or_name_that_is_no_plain_folder_is_refused(outputs: OutputShelf) -> None:
    bad = ("../up", "a/../b", ".hidden", "a//b", "a\\b", "a\0b", "x" * 101, "a/" * 8 + "b", "a:b",
           "a|b", "a?b", "a%b", "a\nb", "ü" * 101, "~")  # fmt: skip
    for text in bad:
        with pytest.raises(InvalidRequest):
            await outputs.reserve(OutputDraft("tts", (), (WAV,), text))
        with pytest.raises(InvalidRequest):
            await outputs.reserve(OutputDraft("tts", (), (WAV,), name=text))
    for name in ("", "a/b", "/etc"):
        with pytest.raises(InvalidRequest):
            await outputs.reserve(OutputDraft("tts", (), (WAV,), name=name))
    assert await keys(outputs.blobs) == set()


async def test_a_name_that_a_client_insists_on_is_given_once(outputs: OutputShelf) -> None:
    draft = OutputDraft("concat", (), (WAV,), "books", "all of it")
    with_mp3 = OutputDraft("concat", (), (MP3, WAV), "books", "all of it")
    output = await outputs.reserve(draft)
    with pytest.raises(AlreadyExists):
        await outputs.reserve(with_mp3)
    write_wav(output.scratch, SAMPLES)
    await output.commit(0.02, RATE)
    with pytest.raises(AlreadyExists):
        await outputs.reserve(with_mp3)
    assert await listed(outputs) == {"books/all of it.wav"}


async def test_a_dropped_file_is_not_overwritten(outputs: OutputShelf, tmp_path: Path) -> None:
    await outputs.blobs.put_bytes("mine.wav", wav(SAMPLES, tmp_path))
    with pytest.raises(AlreadyExists):
        await outputs.reserve(OutputDraft("concat", (), (WAV, MP3), name="mine"))
    assert await listed(outputs) == set()
    assert (await content(outputs, "mine.wav")).endswith(SAMPLES)


async def test_two_outputs_of_one_name_in_different_formats_have_their_own_masters(
    outputs: OutputShelf,
) -> None:
    for audio_format, text in ((MP3, "first"), (FLAC, "second")):
        output = await outputs.reserve(OutputDraft("concat", (), (audio_format,), name="all"))
        write_wav(output.scratch, sound(text))
        await output.commit(0.01, RATE)
    assert await content(outputs, "all.mp3") == transcoded(MP3, sound("first"))
    assert await content(outputs, "all.flac") == transcoded(FLAC, sound("second"))


async def test_every_promised_format_is_there_at_once(outputs: OutputShelf) -> None:
    draft = OutputDraft("vc", ("chunk60",), tuple(AudioFormat), facts={"a": 1}, source_files=("s",))
    output = await publish(outputs, draft)
    page = await outputs.page(Filter(), PageRequest())
    assert {entry.path for entry in page.entries} == set(map(output.path, AudioFormat))
    for entry in page.entries:
        audio_format = AudioFormat(entry.audio.format)
        data = await content(outputs, entry.path)
        expected = transcoded(audio_format, SAMPLES)
        assert data.endswith(SAMPLES) if audio_format is WAV else data == expected
        assert entry.audio.size_bytes == len(data)
        assert (entry.audio.seconds, entry.audio.sample_rate) == (0.02, RATE)
        assert entry.origin is not None
        assert (entry.origin.generation_type, entry.origin.parameters) == ("vc", {"a": 1})
        assert entry.origin.source_files == ("s",)


async def test_nothing_is_found_before_it_is_whole(world: World, outputs: OutputShelf) -> None:
    output = await outputs.reserve(DRAFT)
    output.scratch.write_bytes(b"half")
    async with world.open() as elsewhere:
        waiting = [
            asyncio.create_task(content(shelf, output.path(MP3)))
            for shelf in (outputs, elsewhere.outputs)
        ]
        asked = await asyncio.wait(waiting, timeout=0.2)
        assert not asked[0]
        assert await listed(outputs) == set()
        write_wav(output.scratch, SAMPLES)
        await output.commit(0.02, RATE)
        assert await asyncio.gather(*waiting) == [transcoded(MP3, SAMPLES)] * 2


async def test_waiting_is_bounded(world: World) -> None:
    async with world.open(output_wait_s=0.1) as library:
        output = await library.outputs.reserve(DRAFT)
        with pytest.raises(NotFound):
            await library.outputs.find(output.path(WAV))


async def test_the_dead_are_not_waited_for(library: Library) -> None:
    output = await library.outputs.reserve(DRAFT)
    await crash(library.catalogue)
    with pytest.raises(NotFound):
        await asyncio.wait_for(library.outputs.find(output.path(WAV)), 10)


async def test_a_discarded_output_leaves_nothing(outputs: OutputShelf) -> None:
    output = await outputs.reserve(DRAFT)
    output.scratch.write_bytes(b"half")
    for _ in range(2):
        await asyncio.shield(output.discard())
    assert not output.scratch.exists()
    assert await keys(outputs.blobs) == set()
    with pytest.raises(NotFound):
        await outputs.find(output.path(WAV))


async def test_an_output_that_cannot_be_published_leaves_nothing(library: Library) -> None:
    output = await library.outputs.reserve(DRAFT)
    write_wav(output.scratch, SAMPLES)
    await crash(library.catalogue)  # its claim is lost
    with pytest.raises(StorageUnavailable):
        await output.commit(0.02, RATE)
    await output.discard()
    assert await keys(library.outputs.blobs) == set()


async def test_a_published_output_is_not_discarded(outputs: OutputShelf) -> None:
    output = await publish(outputs)
    await output.discard()
    assert (await content(outputs, output.path(WAV))).endswith(SAMPLES)


async def test_a_format_is_made_once_however_many_ask(world: World, outputs: OutputShelf) -> None:
    output = await publish(outputs)
    results = await asyncio.gather(*(content(outputs, output.path(MP3)) for _ in range(8)))
    assert results == [transcoded(MP3, SAMPLES)] * 8
    assert await content(outputs, output.path(MP3)) == results[0]
    assert world.transcoder.calls == {MP3: 1}


async def test_who_asks_for_a_format_may_leave(world: World, outputs: OutputShelf) -> None:
    output = await publish(outputs)
    leaving = asyncio.create_task(outputs.find(output.path(MP3)))
    while not world.transcoder.calls:
        await asyncio.sleep(0)
    leaving.cancel()
    await outputs.close()
    assert output.path(MP3) in await keys(outputs.blobs)


async def test_a_format_that_fails_to_be_made_leaves_no_half_file(
    world: World, outputs: OutputShelf
) -> None:
    output = await publish(outputs, OutputDraft("tts", (), (WAV, FLAC)))
    world.transcoder.failure = OSError("disk full")
    with pytest.raises(OSError, match="disk full"):
        await outputs.find(output.path(FLAC))
    assert await listed(outputs) == {output.path(WAV), output.path(FLAC)}
    assert await keys(outputs.blobs) == {output.path(WAV)}
    world.transcoder.failure = None
    assert await content(outputs, output.path(FLAC)) == transcoded(FLAC, SAMPLES)


async def test_a_master_nobody_asked_for_is_not_served(outputs: OutputShelf) -> None:
    output = await publish(outputs, OutputDraft("tts", (), (FLAC,)))
    assert await content(outputs, output.path(FLAC)) == transcoded(FLAC, SAMPLES)
    hidden = await keys(outputs.blobs) - {output.path(FLAC)}
    assert len(hidden) == 1
    for path in (*hidden, output.path(WAV), f"../outputs/{output.path(FLAC)}", "", "."):
        with pytest.raises(NotFound):
            await outputs.find(path)


async def test_a_part_of_a_file_can_be_read(outputs: OutputShelf) -> None:
    output = await publish(outputs)
    found = await outputs.find(output.path(WAV))
    whole = await content(outputs, output.path(WAV))
    assert b"".join([piece async for piece in outputs.read(found, 44, 50)]) == whole[44:50]


async def test_reading_is_noted(outputs: OutputShelf) -> None:
    output = await publish(outputs)
    assert (await outputs.find(output.path(WAV))).entry.last_used is None
    await content(outputs, output.path(WAV))
    read = (await outputs.find(output.path(WAV))).entry.last_used
    assert read is not None
    await content(outputs, output.path(WAV))  # again within the minute
    assert (await outputs.find(output.path(WAV))).entry.last_used == read


@pytest.mark.parametrize("formats", [(WAV, MP3, FLAC), (MP3, FLAC)])
async def test_a_master_lives_as_long_as_a_file_needs_it(
    outputs: OutputShelf, formats: tuple[AudioFormat, ...]
) -> None:
    output = await publish(outputs, OutputDraft("tts", (), formats))
    for deleted in formats[:-1]:
        assert (await outputs.delete(output.path(deleted))).path == output.path(deleted)
        with pytest.raises(NotFound):
            await outputs.find(output.path(deleted))
        with pytest.raises(NotFound):
            await outputs.delete(output.path(deleted))
    assert await listed(outputs) == {output.path(FLAC)}
    assert await content(outputs, output.path(FLAC)) == transcoded(FLAC, SAMPLES)
    await outputs.delete(output.path(FLAC))
    assert await keys(outputs.blobs) == set()


async def test_formats_deleted_at_the_same_moment_take_their_master_along(
    world: World, outputs: OutputShelf
) -> None:
    output = await publish(outputs)
    async with world.open() as elsewhere:
        await asyncio.gather(
            outputs.delete(output.path(WAV)), elsewhere.outputs.delete(output.path(MP3))
        )
    assert await keys(outputs.blobs) == set()


async def test_all_that_match_are_deleted(outputs: OutputShelf) -> None:
    kept = await publish(outputs, OutputDraft("vc", (), (WAV, MP3), "b"))
    gone = await publish(outputs, OutputDraft("tts", (), (MP3, FLAC), "a"))
    await content(outputs, gone.path(MP3))
    deleted = await outputs.delete_matching(Filter(generation_type="tts"))
    assert set(deleted) == {gone.path(MP3), gone.path(FLAC)}
    assert await keys(outputs.blobs) == {kept.path(WAV)}
    assert await outputs.delete_matching(Filter(folder="a")) == ()


async def test_a_format_being_made_when_it_is_deleted_stays_deleted(
    outputs: OutputShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = await publish(outputs)
    loop, made = asyncio.get_running_loop(), asyncio.Event()
    deleted = asyncio.Event()

    async def run_and_wait(call: Callable[[], object]) -> object:
        result = await loop.run_in_executor(None, call)
        made.set()
        await deleted.wait()
        return result

    monkeypatch.setattr(AudioTools, "run", lambda _, call: run_and_wait(call))
    asking = asyncio.create_task(outputs.find(output.path(MP3)))
    await made.wait()
    await outputs.delete(output.path(MP3))
    deleted.set()
    with pytest.raises(NotFound):
        await asking
    assert await keys(outputs.blobs) == {output.path(WAV)}
    assert await listed(outputs) == {output.path(WAV)}


async def test_the_master_of_any_format_can_be_had(outputs: OutputShelf, tmp_path: Path) -> None:
    output = await publish(outputs, OutputDraft("tts", (), (MP3,)))
    await outputs.blobs.put_bytes("dropped.mp3", odd(SAMPLES))
    for path in (output.path(MP3), "dropped.mp3"):
        async with outputs.master(path) as master:
            assert master.read_bytes() == wav(SAMPLES, tmp_path)
        assert not master.exists()
    with pytest.raises(NotFound):
        async with outputs.master("missing.wav"):
            pass


async def test_an_output_without_a_row_is_found(outputs: OutputShelf, tmp_path: Path) -> None:
    """The database was lost, or somebody put it there."""
    await outputs.blobs.put_bytes("a/vc_2025.wav", wav(SAMPLES, tmp_path))
    await outputs.blobs.put_bytes("song.mp3", odd(SAMPLES))
    await outputs.blobs.put_bytes("page.html", b"<script>")
    await outputs.blobs.put_bytes("noise.wav", b"not audio")
    for path, kind in (("a/vc_2025.wav", "vc"), ("song.mp3", "tts")):
        origin = (await outputs.find(path)).entry.origin
        assert origin is not None
        assert origin.generation_type == kind
    for path in ("page.html", "noise.wav"):
        with pytest.raises(NotFound):
            await outputs.find(path)
    assert await listed(outputs) == {"a/vc_2025.wav", "song.mp3"}
    await outputs.delete("song.mp3")
    assert "song.mp3" not in await keys(outputs.blobs)


async def test_an_output_removed_by_hand_is_not_found(outputs: OutputShelf) -> None:
    output = await publish(outputs)
    await outputs.blobs.delete([output.path(WAV)])
    for audio_format in (WAV, MP3):
        with pytest.raises(NotFound):
            await outputs.find(output.path(audio_format))
